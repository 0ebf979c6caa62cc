"""A champion and its challenger on the real stack: compared, promoted, and results made again."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from modelwatch import Client
from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.windows import Window
from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic.reference import reference_features
from modelwatch_cli.traffic.scenarios import SCENARIOS, simulate_rows
from running_stack import RunningStack
from waiting import eventually

pytestmark = pytest.mark.servers

MODEL = "wine_quality_model"
REQUESTS = 400
RIGHT = {"champion": 0.6, "challenger": 0.95}


class Trial:
    """Two trained versions, half of the requests each, and their ground truth."""

    def __init__(self, stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stack = stack
        self.began = datetime.now(UTC) - timedelta(seconds=1)
        self.versions = {
            alias: self.json("train")["registration"]["version"]["version"] for alias in RIGHT
        }
        environ = self.json("env")
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        self.settings = Settings(environ)
        self.client = s3_client(self.settings)
        self.captures = S3RecordStore(self.client, self.settings.capture_bucket)
        self.reports = S3Objects(self.client, self.settings.report_bucket)
        self.urls = self.json("deploy")["urls"]
        for alias, version in self.versions.items():
            self.run("promote", version, "--alias", alias)
        self.run("route", *(f"{alias}=1" for alias in RIGHT), "--now")

    def run(self, *command: str, environ: dict[str, str] | None = None) -> str:
        stack = self.stack
        if environ:
            stack = RunningStack(stack.home, {**stack.environ, **environ})
        done = stack.run(*command)
        assert done.returncode == 0, done.stderr or done.stdout[:3000]
        return done.stdout

    def json(self, *command: str, **options: Any) -> Any:
        return json.loads(self.run(*command, "--json", **options))

    def results(self, command: str = "analyze") -> list[dict[str, Any]]:
        """Return a command's results of the model: other tests' models share the stack."""
        found = self.json(command)["results"]
        return [each for each in found if each["model_name"] == MODEL]

    def predict(self) -> None:
        """Send normal traffic of callers who get the same variants in every run."""
        rows = simulate_rows(SCENARIOS["normal"], reference_features(self.settings), REQUESTS, 11)
        callers = [f"user {number}" for number in range(REQUESTS)]
        with Client(predict=self.urls["predict"]) as client, ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda row, key: client.predict(row, routing_key=key), rows, callers))

    def rows(self) -> list[dict[str, Any]]:
        """Return what was captured of both since the trial began."""
        window = Window(self.began, datetime.now(UTC) + timedelta(minutes=1))
        tables = [self.captures.read(MODEL, each, window) for each in self.versions.values()]
        rows = [row for table in tables for row in table.to_pylist()]
        return [row for row in rows if row["variant"] in RIGHT]

    def label(self) -> None:
        """Post the truth, by which each is right as often as `RIGHT` says."""
        draw = random.Random(4)
        labels = []
        for row in self.rows():
            right = draw.random() < RIGHT[row["variant"]]
            wrong = (row["prediction"] + 1) % 3
            label = row["prediction"] if right else wrong
            labels.append({"event_id": row["event_id"], "label": int(label)})
        for start in range(0, len(labels), 100):
            posted = httpx.post(
                f"{self.urls['capture']}/ground-truth", json=labels[start : start + 100], timeout=60
            )
            assert posted.status_code == 202, posted.text

    def compare(self, *options: str) -> Any:
        return self.json("compare", "champion", "challenger", *options)


@pytest.fixture(scope="module")
def trial(stack: RunningStack) -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        trial = Trial(stack, monkeypatch)
        trial.predict()
        eventually(lambda: len(trial.rows()) == REQUESTS)
        yield trial
        trial.run("route", "--clear", "--now")
        trial.run("baseline", "use", "training")
        trial.run("deploy")


def test_without_labels_it_is_unknown_which_is_better(trial):
    found = trial.compare()
    assert found["outcome"] == "unknown"
    assert "labels do not show yet how good champion is" in found["sentence"]
    assert found["a"]["rows"] + found["b"]["rows"] == REQUESTS
    assert min(found["a"]["rows"], found["b"]["rows"]) > REQUESTS / 3
    # callers are assigned by their keys alone: both see the same traffic
    assert {each["status"] for each in found["inputs"]} == {"ok"}
    assert found["a"]["latency_ms"][0] > 0


def test_labels_tell_which_is_better(trial):
    trial.label()
    found = eventually(lambda: _labelled(trial.compare(), REQUESTS))
    assert found["outcome"] == "b better"
    accuracy = found["performance"]["accuracy"]
    assert accuracy["difference"]["method"] == "newcombe"
    assert 0.2 < accuracy["difference"]["low"] < 0.35 < accuracy["difference"]["high"] < 0.5
    printed = trial.run("compare", "challenger", "champion")
    assert "challenger is better: accuracy" in printed
    assert "a better" in printed
    address = trial.urls["analyze"]
    asked = {"a": "champion", "b": "challenger"}
    served = httpx.get(f"{address}/compare", params=asked, timeout=60)
    if served.status_code == 202:  # a slow machine
        later = f"{address}/{served.headers['Location']}"
        served = eventually(lambda: (it := httpx.get(later, timeout=60)).status_code != 202 and it)
    assert (served.status_code, served.json()["outcome"]) == (200, "b better"), served.text
    by_version = trial.json("compare", *trial.versions.values())
    assert by_version["outcome"] == "b better"
    refused = trial.stack.run("compare", trial.versions["champion"], "champion")
    assert refused.returncode == 1
    assert "have predictions in common" in refused.stderr


def test_a_promoted_challenger_has_its_own_reference_and_its_answers_are_made_again(trial):
    version = trial.versions["challenger"]
    trial.run("promote", version, "--now")
    given = {each["model_version"]: each for each in trial.results()}
    for each in trial.versions.values():
        assert given[each]["reference"] == f"training data of version {each}"
    names = [given[each]["name"] for each in trial.versions.values()]
    for name in names:
        done = trial.json("replay", name)
        assert (done["same"], done["differences"]) == (True, [])
        assert done["given_by"]["revision"]
        assert done["manifest"]["window"]["objects"]
        # names of objects are many
        result = trial.reports.read(_key(trial, name, "result.json"))
        assert b"/model_version=" not in result

    # everything around the results changes
    trial.json("baseline", "create", "other", "--from-training", trial.versions["champion"])
    trial.run("baseline", "use", "other")
    changed = {"DRIFT_MODE": "classic", "DRIFT_NUMERICAL_THRESHOLD": "0.0001"}
    trial.run("deploy", environ=changed)
    compaction = S3Compaction(trial.client, trial.settings.capture_bucket)
    for hour in compaction.hours(since=trial.began - timedelta(hours=1)):
        if f"model_version={version}/" in hour.name:
            compaction.merge(hour, np.empty(0, np.uint64))
    later = trial.results()
    other = next(each for each in later if each["model_version"] == version)
    assert other["status"] == "drift"
    assert other["reference"].startswith("baseline other")
    for name in [*names, other["name"]]:
        assert trial.json("replay", name)["same"]


def test_another_configuration_is_tried_on_the_past(trial):
    version = trial.versions["challenger"]

    def is_alarm(result: dict[str, Any]) -> bool:
        scheduled = result["model_version"] == version and not result["ad_hoc"]
        return bool(scheduled and result["status"] == "drift")

    # by the thresholds of the deployment; what was asked for is no part of the past
    eventually(lambda: [*filter(is_alarm, trial.results("reports"))])
    options = ("--since", "PT1H", "--version", version)
    strict = ("--set", "DRIFT_MODE=classic", "--set", "DRIFT_NUMERICAL_THRESHOLD=0.0001")
    found = trial.json("backtest", *options, *strict)
    (series,) = found["series"]
    evaluated = [each for each in series["windows"] if each["other"]["status"] != "unknown"]
    assert {each["other"]["status"] for each in evaluated} == {"drift"}
    lax = ("--set", "DRIFT_NUMERICAL_THRESHOLD=99", "--set", "DRIFT_SHARE_THRESHOLD=1")
    lax += ("--set", "ANALYSIS_VERDICT_RULE=share")  # the prediction is a category
    found = trial.json("backtest", *options, *lax)
    (series,) = found["series"]
    assert series["other"].get("drift", 0) == 0
    assert series["alarms"]
    assert all(alarm["other"] is None for alarm in series["alarms"])
    assert "other alarms" in trial.run("backtest", *options, *lax)


def test_a_missing_part_is_said_and_a_difference_fails(trial):
    version = trial.versions["challenger"]
    given = next(
        each
        for each in trial.results("reports")
        if each["model_version"] == version and each["rows"] >= 100
    )
    place = _key(trial, given["name"], "result.json")
    whole = trial.reports.read(place)
    changed = json.loads(whole) | {"drift_share": 0.123}
    trial.reports.write(place, json.dumps(changed).encode(), "application/json")
    done = trial.stack.run("replay", given["name"])
    assert done.returncode == 1
    assert "1 differences" in done.stdout
    assert "drift_share" in done.stdout
    trial.reports.write(place, whole, "application/json")
    assert trial.run("replay", given["name"]).strip().endswith("the same")
    trial.reports.delete([_key(trial, given["name"], "window-")])
    done = trial.stack.run("replay", given["name"])
    assert done.returncode == 1
    assert "the profile of the window no longer exists: analyses/" in done.stderr


def _labelled(found: Any, count: int) -> Any:
    return found if found["a"]["labelled"] + found["b"]["labelled"] == count else None


def _key(trial: Trial, name: str, part: str) -> str:
    ending = name.split(".", 2)[2]
    version = name.split(".", 2)[1]
    keys = trial.reports.keys(f"analyses/{MODEL}/{version}/{ending}/")
    (found,) = (key for key, _ in keys if f"/{part}" in key)
    return found
