"""Wrong settings: refused before a deployment begins, all of them at once."""

from pathlib import Path

import pytest

from modelwatch.domain.models import Manifest, ModelVersion, OnnxArtifact, Verification
from modelwatch.domain.schemas import Column, Schema
from modelwatch.errors import NoModelError, RegistryError, SettingError, WrongSettingsError
from modelwatch_cli.deployment.checks import check_settings
from modelwatch_cli.deployment.cloudformation.plan import APPS
from modelwatch_cli.deployment.served import ServedVersion, choose_package
from modelwatch_cli.settings import Settings

SCHEMA = Schema((Column("colour", "string"), Column("alcohol", "double")))
ONNX = OnnxArtifact("00", 1, Verification(1, 1.0, 0.0, True))


def version(number: str, onnx: OnnxArtifact | None = ONNX, *, foreign: bool = False):
    manifest = None if foreign else Manifest(SCHEMA, onnx)
    return ServedVersion(ModelVersion("wine", number, f"s3://models/{number}"), manifest)


STAGES = {
    "old": {"CaptureBucket": "old-captures", "CaptureQueueName": "modelwatch-old-captures"},
    "eu": {"CaptureBucket": "ours", "ReportBucket": "theirs", "CaptureQueueName": "q"},
}


SAID = {"API_AUTH": "iam", "MODEL_BUCKET": "models", "REQUIRE_VERIFIED_MODELS": "false"}


class Checking:
    """A check whose registry gives ``served``, or raises it."""

    def __init__(self, served=None) -> None:
        self.served = [version("1")] if served is None else served
        self.said: list[str] = []

    def read(self, _: Settings):
        if isinstance(self.served, Exception):
            raise self.served
        return tuple(self.served)

    def __call__(self, *apps: str, files=(), environ=(), **given: str):
        return check_settings(
            Settings(SAID | given),
            apps or APPS,
            lambda subject, text: self.said.append(f"{subject}: {text}"),
            self.read,
            dict.fromkeys(files, Path(".env")),
            environ,
            lambda: STAGES,
        )


def test_right_settings_give_what_shall_serve():
    assert [each.version.version for each in Checking()()] == ["1"]


def test_every_wrong_setting_is_in_one_list():
    with pytest.raises(WrongSettingsError) as caught:
        Checking()(
            files=["MODELNAME", "DRIFT_SPEED", "EDITOR", "AWS_PROFILE", "MLFLOW_S3_ENDPOINT_URL"],
            ANALYSIS_WINDOWS="1H",
            DRIFT_MODE="calibratd",
            CAPTURE_BATCH_WINDOW_SECONDS="0",
            CAPTURE_POLICY='{"color": "drop"}',
            ANALYSIS_SEGMENTS="sugar",
        )
    assert [error.name for error in caught.value.errors] == [
        "ANALYSIS_WINDOWS",
        "DRIFT_MODE",
        "MODELNAME",
        "DRIFT_SPEED",
        "CAPTURE_BATCH_WINDOW_SECONDS",
        "CAPTURE_POLICY",
        "ANALYSIS_SEGMENTS",
    ]
    lines = str(caught.value).splitlines()
    assert lines[2] == "setting MODELNAME: there is no such setting (.env); is MODEL_NAME meant?"
    assert lines[3] == "setting DRIFT_SPEED: there is no such setting (.env)"


def test_the_environment_is_not_ours_alone_so_that_a_near_name_is_only_said():
    checking = Checking()
    checking(environ=["MODELNAME", "HOME", "STAGE"])
    assert checking.said == ["settings: the variable MODELNAME is no setting; is MODEL_NAME meant?"]


def test_a_model_that_the_registry_has_not_is_refused_with_predict_alone():
    contradiction = SettingError("MODEL_NAME", "the registry has no model 'wyne' (it has wine)")
    with pytest.raises(WrongSettingsError, match="no model 'wyne'"):
        Checking(contradiction)()
    # an application of its own may send captures of it
    checking = Checking(contradiction)
    assert checking("capture", "analyze") == ()
    assert checking.said == [f"model: {contradiction}"]


@pytest.mark.parametrize("error", [NoModelError("none yet"), RegistryError("it is away")])
def test_what_is_not_known_is_said_and_deployed(error):
    checking = Checking(error)
    assert checking(CAPTURE_POLICY='{"color": "drop"}') == ()
    assert checking.said[0] == f"model: the version to serve is not known: {error}"
    assert "CAPTURE_POLICY is not checked against" in checking.said[1]


def test_a_wrong_address_is_not_asked():
    with pytest.raises(WrongSettingsError) as caught:
        Checking(AssertionError("asked"))(MLFLOW_TRACKING_URI="localhost")
    assert len(caught.value.errors) == 1


@pytest.mark.parametrize(
    ("setting", "served", "now", "package", "why"),
    [
        ("auto", [version("1"), version("2")], "image", "zip", "wine version 1 and wine version 2"),
        (
            "auto",
            [version("1"), version("2", None)],
            "zip",
            "image",
            "wine version 2 has no verified",
        ),
        ("auto", [version("3", foreign=True)], "", "image", "wine version 3 has no verified"),
        ("auto", [], "image", "image", "is not known, and it is one now"),
        ("auto", [], "zip", "zip", "is not known, and it is one now"),
        ("auto", [], "", "zip", "no version is known to serve yet"),
        ("zip", [version("1")], "", "zip", "PREDICT_PACKAGE is zip"),
        ("image", [version("1")], "", "image", "PREDICT_PACKAGE is image"),
    ],
)
def test_the_package_follows_from_what_shall_serve(setting, served, now, package, why):
    settings = Settings({"PREDICT_PACKAGE": setting})
    chosen, said = choose_package(settings, tuple(served), lambda: now)
    assert chosen == package
    assert why in said


def test_a_zip_is_refused_where_a_version_cannot_run_in_it():
    settings = Settings({"PREDICT_PACKAGE": "zip"})
    with pytest.raises(SettingError, match=r"wine version 2 has none; 'auto' chooses"):
        choose_package(settings, (version("1"), version("2", None)), lambda: "")


def test_a_name_of_another_stage_is_refused_until_it_is_said():
    for name in ("ours", "theirs"):
        with pytest.raises(WrongSettingsError, match=f"'{name}' belongs to stage eu"):
            Checking()(STAGE="prod", CAPTURE_BUCKET=name)
    Checking()(STAGE="prod", CAPTURE_BUCKET="ours", SHARED_WITH_STAGES="test, eu")
    Checking()(STAGE="eu", CAPTURE_BUCKET="ours", REPORT_BUCKET="theirs", CAPTURE_QUEUE_NAME="q")


def test_a_default_never_moves_what_is_deployed():
    with pytest.raises(WrongSettingsError, match="CAPTURE_BUCKET=old-captures to keep it"):
        Checking()(STAGE="old")
    Checking()(STAGE="old", CAPTURE_BUCKET="old-captures")
    Checking()(STAGE="old", CAPTURE_BUCKET="new-place")


def test_two_stages_share_no_default():
    names = [
        {settings.capture_bucket, settings.report_bucket}
        for account in ({}, {"AWS_ACCOUNT_ID": "123456789012"})
        for stage in ("local", "prod", "prod-eu")
        for settings in [Settings({"STAGE": stage} | account)]
    ]
    assert len(set[str]().union(*names)) == 2 * 3 * 2
    assert Settings({"STAGE": "prod"}).capture_queue_name == "modelwatch-prod-captures"


def test_a_version_that_predict_would_refuse_is_refused_before():
    unknown = Checking([version("1")])
    with pytest.raises(WrongSettingsError, match="wine version 1 has no manifest that the reg"):
        unknown(REQUIRE_VERIFIED_MODELS="")
    unknown("capture", REQUIRE_VERIFIED_MODELS="")
    unknown(REQUIRE_VERIFIED_MODELS="", AWS_ENDPOINT_URL="http://127.0.0.1:4566")


def test_code_comes_from_no_bucket_on_aws_that_anyone_may_have():
    with pytest.raises(WrongSettingsError, match="MODEL_BUCKET: name the bucket"):
        Checking()(MODEL_BUCKET="")
    Checking()(MODEL_BUCKET="", AWS_ENDPOINT_URL="http://127.0.0.1:4566")


def test_firehose_must_write_where_the_bridge_reads():
    elsewhere = {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://s3:8333"}
    with pytest.raises(WrongSettingsError, match="METRICS_TRANSPORT: firehose writes to the S3 of"):
        Checking()(METRICS_TRANSPORT="firehose", **elsewhere)
    Checking()(METRICS_TRANSPORT="firehose")
