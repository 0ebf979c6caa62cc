"""A folder as the model registry: on disk, by several processes, and up to a prediction."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, timedelta
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from modelwatch.adapters.models.training_references import TrainingReferences
from modelwatch.adapters.registries import NewVersion, artifacts_of, registry_of
from modelwatch.domain.capture_policy import read_policy
from modelwatch.domain.models import LOSSES_PATH, ModelVersion
from modelwatch.domain.windows import Window
from modelwatch.errors import (
    InvalidInputError,
    ModelLoadError,
    NoModelError,
    RegistryError,
    SettingError,
    StoreError,
)
from modelwatch_cli.deployment.served import check_reach, read_served
from modelwatch_cli.settings import Settings
from modelwatch_training.adoption import adopt
from modelwatch_training.registration import Registration, register_model

ROOT = Path(__file__).parents[2]
ROWS = pd.DataFrame({"alcohol": [11.0, 12.5, 13.0, 14.5] * 5, "ash": [2.0, 2.5, 2.0, 2.5] * 5})
GOOD = [0, 1, 0, 1] * 5


class Files:
    """A model of one small file."""

    def save(self, path: str) -> None:
        Path(path).mkdir()
        (Path(path) / "MLmodel").write_text("small")

    def log(self) -> object:
        raise AssertionError("there is no MLflow")


def settings_of(folder: Path, **given: str) -> Settings:
    return Settings({"MODEL_REGISTRY": folder.as_uri(), "MODEL_NAME": "wine", **given})


def publish(folder: Path, alias: str = "production") -> str:
    registry = registry_of(settings_of(folder))
    return registry.publish("wine", alias, NewVersion(Files()), lambda _: {}).version.version


def register(folder: Path, model: object = None, name: str = "wine") -> ModelVersion:
    fitted = model or DecisionTreeClassifier(random_state=0).fit(ROWS, GOOD)
    return register_model(
        fitted,
        name=name,
        train=ROWS,
        test=ROWS,
        settings=settings_of(folder),
        metrics={"f1": 0.9},
    ).version


def modelwatch(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command where neither a stack nor MLflow is up."""
    return subprocess.run(
        [sys.executable, "-m", "modelwatch_cli.main", *arguments],
        env={
            **{key: value for key, value in os.environ.items() if key in ("PATH", "HOME")},
            "MODEL_REGISTRY": folder.as_uri(),
            "MODEL_NAME": "wine",
            "MODELWATCH_HOME": str(folder.parent / "home"),
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def everything(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


# -- on disk


def test_processes_that_publish_at_once_make_a_version_each(tmp_path):
    program = f"""
import sys
from pathlib import Path
from modelwatch.adapters.registries import NewVersion, registry_of
from modelwatch_cli.settings import Settings
class Files:
    def save(self, path): Path(path).mkdir()
registry = registry_of(Settings({{"MODEL_REGISTRY": {(tmp_path / "models").as_uri()!r}}}))
sys.stdin.readline()
for number in range(8):
    alias = f"alias-{{sys.argv[1]}}-{{number}}"
    made = registry.publish("wine", alias, NewVersion(Files()), lambda _: {{}})
    registry.tag_version("wine", "1", alias, "set")
    print(made.version.version)
"""
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for each in programs:
        each.stdin.write("begin\n")
        each.stdin.flush()
    outputs = [each.communicate(timeout=60)[0].split() for each in programs]
    assert sorted(int(number) for made in outputs for number in made) == list(range(1, 25))
    model = registry_of(settings_of(tmp_path / "models")).model("wine")
    assert model.aliases == {
        f"alias-{program}-{index}": number
        for program, made in enumerate(outputs)
        for index, number in enumerate(made)
    }
    tags = msgspec.json.decode((tmp_path / "models/wine/versions/1/version.json").read_bytes())
    assert set(tags["tags"]) == set(model.aliases), "no tag was lost"


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_is_a_place_is_refused(tmp_path, name):
    registry = registry_of(settings_of(tmp_path / "models"))
    with pytest.raises(InvalidInputError, match="is no name of a model"):
        registry.publish(name, "production", NewVersion(Files()), lambda _: {})
    assert list(tmp_path.rglob("version.json")) == []


def test_a_number_is_not_given_twice_after_its_version_is_gone(tmp_path):
    publish(tmp_path)
    assert publish(tmp_path) == "2"
    (tmp_path / "wine" / "versions" / "2").rename(tmp_path / "elsewhere")
    assert publish(tmp_path) == "3"


def test_what_is_half_made_is_seen_by_no_one_and_goes(tmp_path):
    publish(tmp_path)
    before = everything(tmp_path)

    def look(version: ModelVersion) -> dict[str, str]:
        assert artifacts_of(settings_of(tmp_path)).read(version, "MLmodel") == b"small"
        registry = registry_of(settings_of(tmp_path))
        assert registry.names() == ["wine"]
        with pytest.raises(NoModelError):
            registry.version("wine", "2")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry_of(settings_of(tmp_path)).publish("wine", "x", NewVersion(Files()), look)
    assert everything(tmp_path) == before


def test_drafts_of_killed_programs_go_after_a_day(tmp_path):
    publish(tmp_path)
    old, young = tmp_path / ".drafts" / "old", tmp_path / ".drafts" / "young"
    for draft in (old, young):
        draft.mkdir()
    os.utime(old, (0, 0))
    publish(tmp_path)
    assert [each.name for each in (tmp_path / ".drafts").iterdir()] == ["young"]


def test_a_folder_that_is_not_there_is_said_to_be_so(tmp_path):
    registry = registry_of(settings_of(tmp_path / "nosuch"))
    for ask in (registry.names, lambda: registry.plan("wine", "production")):
        with pytest.raises(RegistryError, match=r"nosuch does not exist \(MODEL_REGISTRY\)"):
            ask()
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(RegistryError, match="file is no folder"):
        registry_of(settings_of(file)).names()
    with pytest.raises(RegistryError, match="cannot be used: Not a directory"):
        publish(file)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("model.json", "{", "is damaged"),
        ("model.json", '{"name": "wine", "aliases": 3}', "is damaged"),
        ("model.json", '{"name": "Wine"}', "is of the model 'Wine', and not of 'wine'"),
        ("model.json", '{"name": "wine", "format": 2}', "has format 2"),
        ("versions/1/version.json", "", "is damaged"),
        ("versions/1/version.json", None, "No such file"),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, text, problem):
    publish(tmp_path)
    file = tmp_path / "wine" / name
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with pytest.raises(RegistryError, match=f"{name}.*{problem}"):
        registry_of(settings_of(tmp_path)).resolve("wine", "production")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("s3://models/registry", "there is no registry of the kind 's3'.*begins with file://"),
        ("file://models", "is no folder of this machine; one is written with three slashes"),
        ("/srv/models", "is not the address of a registry, such as file:///srv/models"),
    ],
)
def test_an_address_that_names_no_registry_is_refused(address, problem):
    with pytest.raises(SettingError, match=f"setting MODEL_REGISTRY: .*{problem}"):
        registry_of(Settings({"MODEL_REGISTRY": address}))


def test_artifacts_outside_the_folder_are_refused(tmp_path):
    artifacts = artifacts_of(settings_of(tmp_path / "models"))
    for source in (
        tmp_path.as_uri(),
        (tmp_path / "models" / ".." / "x").as_uri(),
        "s3://models/1",
        "models/1",
    ):
        with pytest.raises(ModelLoadError, match="is not in the registry's folder"):
            artifacts.read(ModelVersion("wine", "1", source), "MLmodel")


# -- all the way


def test_a_registered_model_is_served_by_chalice_without_a_server(tmp_path):
    version = register(tmp_path / "models")
    assert (version.version, version.alias) == ("1", "production")
    program = """
import json
from chalice.test import Client
from app import app
headers = {"Content-Type": "application/json"}
body = json.dumps({"features": {"alcohol": 14.5, "ash": 2.5}}).encode()
with Client(app) as client:
    response = client.http.post("/predict", headers=headers, body=body)
    print(json.dumps([response.status_code, response.json_body]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT / "functions" / "predict",
        env={
            "PATH": os.environ["PATH"],
            "MODEL_REGISTRY": (tmp_path / "models").as_uri(),
            "MODEL_NAME": "wine",
            "MODEL_CACHE": str(tmp_path / "cache"),
            "CAPTURE_SAMPLE_RATE": "0",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    status, response = json.loads(done.stdout.splitlines()[-1])
    assert status == 200, response
    assert (response["prediction"], response["model_version"]) == (1, "1")
    assert "WARNING" not in done.stderr


def test_a_deployment_is_held_against_the_folder(tmp_path):
    folder = tmp_path / "models"
    register(folder)
    [served] = read_served(settings_of(folder))
    assert served.has_onnx
    assert served.schema().names == ("alcohol", "ash")
    assert b"mlflow" in served.requirements
    with pytest.raises(SettingError, match="no model 'wein' \\(it has wine\\); is wine meant"):
        read_served(settings_of(folder, MODEL_NAME="wein"))
    with pytest.raises(SettingError, match="no version with alias 'prod' \\(it has production\\)"):
        read_served(settings_of(folder, MODEL_ALIAS="prod"))
    with pytest.raises(SettingError, match="functions on AWS cannot read file:"):
        check_reach(settings_of(folder), ["predict"])
    check_reach(settings_of(folder), ["capture"])
    check_reach(settings_of(folder, AWS_ENDPOINT_URL="http://127.0.0.1:4566"), ["predict"])


def test_a_version_without_a_manifest_is_adopted(tmp_path):
    from mlflow.sklearn import save_model

    class Plain:
        def save(self, path: str) -> None:
            model = LinearRegression().fit(ROWS, GOOD)
            save_model(model, path, serialization_format="cloudpickle", pip_requirements=[])

        def log(self) -> object:
            raise AssertionError("there is no MLflow")

    settings = settings_of(tmp_path / "models")
    registry_of(settings).publish("wine", "production", NewVersion(Plain()), lambda _: {})
    rows = tmp_path / "rows.csv"
    ROWS.to_csv(rows, index=False)
    adopted = adopt(settings, "wine", None, rows, verify_onnx=True)
    assert (adopted.schema_from, adopted.reference_rows) == ("reference", 20)
    version = registry_of(settings).resolve("wine", "production")
    manifest = artifacts_of(settings).manifest(version)
    assert manifest is not None
    assert (manifest.onnx is None) == (adopted.onnx is None)
    assert artifacts_of(settings).reference(version).num_rows == 20


def test_the_commands_work_without_a_server(tmp_path):
    folder = tmp_path / "models"
    for _ in range(2):
        register(folder)
    listed = modelwatch(folder, "models", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout) == [
        {"name": "wine", "aliases": {"production": "2"}, "routing": None, "stages": {"None": "2"}}
    ]
    moved = modelwatch(folder, "promote", "1", "--least", "f1=0.8", "--json")
    assert moved.returncode == 0, moved.stderr
    assert json.loads(moved.stdout)["before"] == "2"
    gated = modelwatch(folder, "promote", "2", "--least", "f1=0.95")
    assert gated.returncode == 1
    assert "f1 is 0.9, less than 0.95" in gated.stderr
    assert "production → 1" in modelwatch(folder, "models", "list").stdout
    register(folder, name="churn")
    further = {"MODELS": "churn@new"}
    moved = modelwatch(folder, "promote", "1", "--model", "churn", "--json", **further)
    assert moved.returncode == 0, moved.stderr
    assert json.loads(moved.stdout) | {"before": None} == {
        "model_name": "churn", "alias": "new", "version": "1", "before": None, "serves": True,
    }  # fmt: skip
    routed = modelwatch(folder, "route", "--model", "churn", "--json", **further)
    assert json.loads(routed.stdout)["variants"]["new"]["version"] == "1"
    unknown = modelwatch(folder, "promote", "1", "--model", "churn")
    assert (unknown.returncode, "set MODELS" in unknown.stderr) == (1, True)
    missing = modelwatch(tmp_path / "nosuch", "models", "list")
    assert missing.returncode == 1
    assert "does not exist (MODEL_REGISTRY)" in missing.stderr
    assert "Traceback" not in missing.stderr + gated.stderr


def test_what_is_kept_is_what_was_registered(tmp_path):
    register(tmp_path)
    kept = msgspec.json.decode((tmp_path / "wine/versions/1/version.json").read_bytes())
    assert kept["metrics"]["f1"] == "0.9"
    assert kept["tags"]["onnx"] == "verified"
    names = everything(tmp_path / "wine" / "versions" / "1" / "artifacts")
    assert {"MLmodel", "modelwatch/manifest.json", "modelwatch/model.onnx"} <= names
    assert not any(".draft" in each for each in names)


def test_the_times_of_training_rows_are_kept_with_them(tmp_path):
    settings = settings_of(tmp_path)
    days = pd.date_range("2026-03-02", periods=len(ROWS), freq="D", tz="Europe/Berlin")
    fitted = DecisionTreeClassifier(random_state=0).fit(ROWS, GOOD)
    given = {"name": "wine", "train": ROWS, "test": ROWS, "settings": settings}
    done = register_model(fitted, timestamps=days, **given)
    assert (done.trained_from, done.trained_until) == (days[0], days[-1])
    artifacts = artifacts_of(settings)
    assert artifacts.reference(done.version)["captured_at"].to_pylist() == list(days)
    with pytest.raises(InvalidInputError, match="timestamps: row 1 is a text"):
        register_model(fitted, timestamps=list(map(str, days)), **given)
    assert [each.name for each in (tmp_path / "wine" / "versions").iterdir()] == ["1"]

    # a day's rows, beside those of other weeks, as they would be captured
    references = TrainingReferences(artifacts, lambda _: read_policy('{"ash": "drop"}'))
    start = days[8].to_pydatetime().astimezone(UTC)
    window = Window(start, start + timedelta(days=1))
    ((found, profile, others),) = references.windows(done.version, [window])
    assert (found, profile.rows, set(profile.features)) == (window, 1, {"alcohol"})
    # its week has seven
    assert others.rows == len(ROWS) - 7
    without = register_model(fitted, **given)
    assert (without.trained_from, without.trained_until) == (None, None)
    assert list(references.windows(without.version, [window])) == []


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (["yes", "no"], "labels no, yes; predictions 0, 1"),
        (["yes"], "labels yes; predictions 0, 1"),
        ([7, 8], "labels 7, 8; predictions 0, 1"),
    ],
)
def test_labels_that_no_prediction_can_equal_are_refused(tmp_path, labels, problem):
    fitted = DecisionTreeClassifier(random_state=0).fit(ROWS, GOOD)
    given = (labels * len(ROWS))[: len(ROWS)]
    rows = {"name": "wine", "train": ROWS, "test": ROWS, "settings": settings_of(tmp_path)}
    expected = f"no label is a class that the model predicts: {problem}"
    with pytest.raises(InvalidInputError, match=f"^labels: {expected}"):
        register_model(fitted, labels=given, **rows)
    assert not (tmp_path / "wine").exists()

    register(tmp_path)
    ROWS.assign(good=given).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(InvalidInputError, match=f"^--labels-column: {expected}"):
        adopt(settings_of(tmp_path), "wine", None, tmp_path / "rows.csv", labels_column="good")


@pytest.mark.parametrize("labels", [[0, 1], ["0", "1"], [0.0, 1.0], [False, True], [1, 2], [1]])
def test_labels_that_a_prediction_can_equal_are_kept(tmp_path, labels):
    fitted = DecisionTreeClassifier(random_state=0).fit(ROWS, GOOD)
    given = (labels * len(ROWS))[: len(ROWS)]
    rows = {"name": "wine", "train": ROWS, "test": ROWS, "settings": settings_of(tmp_path)}
    done = register_model(fitted, labels=given, **rows)
    assert artifacts_of(settings_of(tmp_path)).holdout(done.version)["label"].to_pylist() == given


def test_a_metric_that_is_no_number_is_refused(tmp_path):
    fitted = DecisionTreeClassifier(random_state=0).fit(ROWS, GOOD)
    rows = {"name": "wine", "train": ROWS, "test": ROWS, "settings": settings_of(tmp_path)}
    for value in ("high", None, [0.9]):
        with pytest.raises(InvalidInputError, match=r"metrics: 'f1' is .*; expected a number"):
            register_model(fitted, metrics={"f1": value}, **rows)
    assert not (tmp_path / "wine").exists()


def test_a_version_is_adopted_with_the_times_of_a_column(tmp_path):
    settings = settings_of(tmp_path)
    version = register(tmp_path)
    rows = ROWS.assign(good=GOOD, at=pd.date_range("2026-03-02", periods=len(ROWS), freq="6h"))
    rows.to_csv(tmp_path / "rows.csv", index=False)
    adopted = modelwatch(
        tmp_path, "adopt", "wine", "--reference", str(tmp_path / "rows.csv"),
        "--labels-column", "good", "--timestamps-column", "at",
    )  # fmt: skip
    assert adopted.returncode == 0, adopted.stderr
    assert "of 2026-03-02 00:00 to 2026-03-06 18:00 UTC" in " ".join(adopted.stdout.split())
    kept = artifacts_of(settings).reference(version)["captured_at"].to_pylist()
    assert kept == list(rows["at"].dt.tz_localize("UTC"))
    wrong = modelwatch(
        tmp_path, "adopt", "wine", "--reference", str(tmp_path / "rows.csv"),
        "--timestamps-column", "good",
    )  # fmt: skip
    assert wrong.returncode == 1
    assert "--timestamps-column: row 1 is a int" in " ".join(wrong.stderr.split())


def test_a_regression_is_registered_with_what_its_errors_depend_on(tmp_path):
    rows = pd.concat([ROWS] * 10, ignore_index=True)
    labels = [2.0 * value + number % 7 for number, value in enumerate(rows["alcohol"])]
    fitted = LinearRegression().fit(rows, labels)

    def registered(**given: object) -> Registration:
        return register_model(
            fitted, name="cars", train=rows, test=rows, settings=settings_of(tmp_path), **given
        )

    artifacts = artifacts_of(settings_of(tmp_path))
    done = registered(labels=labels)
    assert (done.losses_rows, done.losses_problem) == (200, "")
    learned = artifacts.losses(done.version)
    assert [feature.name for feature in learned.features] == ["alcohol", "ash", ""]
    without = registered()
    assert without.losses_problem == "no labels of the test rows were given"
    assert artifacts.losses(without.version) is None
    # what was damaged since is named, and is not taken for "was not learned"
    artifacts.write(done.version, LOSSES_PATH, b"damaged")
    with pytest.raises(StoreError, match=r"losses\.trees of cars version 1"):
        artifacts.losses(done.version)
