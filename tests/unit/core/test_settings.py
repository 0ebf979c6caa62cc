"""Settings: defaults, refusals, and that `.env.example` lists them all."""

import re
from pathlib import Path

import pytest

from modelwatch.errors import SettingError
from modelwatch.settings import Group, Setting
from modelwatch_cli.settings import Settings, env_example

ROOT = Path(__file__).parents[3]


def test_env_example_lists_every_setting_with_its_default():
    assert (ROOT / ".env.example").read_text() == env_example(), "run `make env-example`"
    listed = dict(re.findall(r"^#([A-Z0-9_]+)=(.*)$", env_example(), re.MULTILINE))
    assert listed == {name: each.default for name, each in Settings.declared().items()}


@pytest.mark.parametrize("value", ["-1", "1.5", "ten", "1e3"])
def test_a_whole_number_is_asked_for_by_name(value):
    with pytest.raises(SettingError, match=r"setting ANALYSIS_MIN_ROWS: '.*' is not a whole"):
        assert Settings({"ANALYSIS_MIN_ROWS": value}).analysis_min_rows


WRONG = [
    ("ANALYSIS_WINDOWS", "1H", "'1H' is no duration; expected one such as PT1H or P7D"),
    ("ANALYSIS_WINDOWS", "PT1H/PT90S", "the step 'PT90S' is not of whole minutes"),
    ("DRIFT_MODE", "calibratd", "'calibratd' is not one of calibrated, classic; is calibrated"),
    ("DRIFT_NUMERICAL_METHOD", "wassertein", "is wasserstein meant?"),
    ("DRIFT_NUMERICAL_METHOD", "z", "'z' is not one of wasserstein, jensenshannon, psi"),
    ("DRIFT_CATEGORICAL_METHOD", "wasserstein", "is not one of jensenshannon, psi"),
    ("DRIFT_NUMERICAL_THRESHOLD", "nan", "'nan' is not a number of 0 or more"),
    ("ANALYSIS_MIN_ROWS", "0", "'0' is not a whole number of 2 or more"),
    ("ANALYSIS_MIN_ROWS", "9" * 400, "is not a whole number of 2 or more"),
    ("DRIFT_SHARE_THRESHOLD", "50%", "'50%' is not a share, a number from 0 to 1; 50 % is 0.5"),
    ("CAPTURE_SAMPLE_RATE", "1.01", "'1.01' is not a share"),
    ("CAPTURE_SAMPLE_RATE", "-0.1", "'-0.1' is not a share"),
    ("CAPTURE_RETENTION_DAYS", "0", "'0' is not a whole number of 1 or more"),
    ("CAPTURE_BATCH_SIZE", "10001", "is not a whole number from 1 to 10000"),
    ("CAPTURE_BATCH_WINDOW_SECONDS", "301", "is not a whole number from 0 to 300"),
    ("ANALYSIS_PHASE", "weekly", "is not one of auto, none, day, week; is week meant?"),
    ("ANALYSIS_STALE", "P1M", "has years or months"),
    ("ANALYSIS_SCHEDULE", "rate(1 minut)", "'rate(1 minut)' is neither rate(5 minutes) nor cron("),
    ("ANALYSIS_SCHEDULE", "rate(1 minutes)", "is wrong; write rate(1 minute)"),
    ("ANALYSIS_SCHEDULE", "rate(5 minute)", "is wrong; write rate(5 minutes)"),
    ("ANALYSIS_SCHEDULE", "rate(0 minutes)", "is neither rate(5 minutes) nor cron("),
    ("COMPACTION_SCHEDULE", "cron(0 * * * *)", "has 5 fields; EventBridge asks for six: minutes,"),
    ("COMPACTION_SCHEDULE", "cron(0 * * * * *)", "one of day of month and day of week is '?'"),
    ("COMPACTION_SCHEDULE", "cron(60 * * * ? *)", "'60' is no minutes (0 to 59)"),
    ("COMPACTION_SCHEDULE", "cron(0 12 ? * MOO *)", "'MOO' is no day of week (1 to 7)"),
    ("COMPACTION_SCHEDULE", "cron(0/0 12 ? * 2 *)", "'0/0' is no minutes"),
    ("COMPACTION_SCHEDULE", "cron(٣ 12 ? * 2 *)", "'٣' is no minutes"),
    ("COMPACTION_SCHEDULE", f"cron({'0,' * 150}0 12 ? * 2 *)", "EventBridge takes 256 at most"),
    ("BRIDGE_PORT", "65536", "is not a whole number from 1 to 65535"),
    ("S3_PORT", "65529", "is not a whole number from 1 to 65528"),
    ("CAPTURE_BUCKET", "My_Bucket", "'My_Bucket' is not a bucket's name"),
    ("REPORT_BUCKET", "127.0.0.1", "is not a bucket's name"),
    ("MODEL_NAME", "a/b", "'a/b' is no name of a model"),
    ("MODEL_NAME", "a=b", "'a=b' is no name of a model"),
    ("MODEL_NAME", "n" * 251, "is no name of a model"),
    ("MODEL_ALIAS", "v2", "'v2' is not an alias"),
    ("MODEL_STAGE", "Prod", "'Prod' is not one of Staging, Production, Archived"),
    ("STAGE", "Prod_1", "beginning with a letter"),
    ("PREDICT_PACKAGE", "tar", "'tar' is not one of auto, zip, image"),
    ("LAMBDA_ARCHITECTURE", "riscv", "is not one of x86_64, arm64"),
    ("MLFLOW_TRACKING_URI", "localhost:5000", "is no address; expected http://host:port"),
    ("AWS_ENDPOINT_URL", "http://a:99999", "is no address; expected http://host:port"),
    ("AWS_EMF_AGENT_ENDPOINT", "127.0.0.1:1", "is no address; expected tcp://host:port"),
    ("AWS_DEFAULT_REGION", "Frankfurt", "'Frankfurt' is not a region, such as eu-central-1"),
    ("ANALYSIS_SEGMENTS", "alcohol >", "'alcohol >'"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_what_is_wrong_is_said_with_what_is_right(name, value, said):
    settings = Settings({name: value})
    with pytest.raises(SettingError, match=rf"^setting {name}: .*{re.escape(said)}"):
        settings.text(name)
    (error,) = settings.wrong()
    assert said in str(error)


def test_everything_that_is_wrong_is_found_at_once():
    wrong = Settings({name: value for name, value, _ in WRONG}).wrong()
    assert {error.name for error in wrong} == {name for name, _, _ in WRONG}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANALYSIS_SCHEDULE", "rate(1 minute)"),
        ("ANALYSIS_SCHEDULE", "cron(0/15 8-17 ? * MON-FRI *)"),
        ("ANALYSIS_SCHEDULE", "cron(0 10 L * ? 2026-2030)"),
        ("ANALYSIS_SCHEDULE", "cron(15,45 * 15W JAN,jul ? *)"),
        ("ANALYSIS_SCHEDULE", "cron(0 8 ? * 6#3 *)"),
        ("ANALYSIS_WINDOWS", "PT1H, P7D/P1D"),
        ("MODEL_STAGE", "production"),
        ("MODEL_NAME", "wine quality (v2)"),
        ("CAPTURE_QUEUE_URL", "http://sqs.us-east-1.localhost.localstack.cloud:4566/0/q"),
        ("AWS_ENDPOINT_URL_S3", "http://[::1]:8333"),
    ],
)
def test_what_is_right_is_taken(name, value):
    settings = Settings({name: value})
    assert settings.text(name) == value
    assert settings.wrong() == []


def test_the_defaults_are_right():
    assert Settings({}).wrong() == []


def test_a_setting_is_declared_once():
    groups = [group for group in Settings.__mro__ if issubclass(group, Group)]
    values = [value for group in groups for value in vars(group).values()]
    names = [value.name for value in values if isinstance(value, Setting)]
    assert sorted(names) == sorted(Settings.declared())


def test_what_may_be_left_out_has_a_value_of_its_type():
    empty = Settings({})
    for name, setting in Settings.declared().items():
        if not setting.default:
            assert getattr(empty, name.lower()) == setting.blank
    assert empty.capture_retention_days is None
    assert Settings({"CAPTURE_RETENTION_DAYS": "30"}).capture_retention_days == 30


def test_blank_means_not_set():
    assert Settings({"MODEL_ALIAS": "  "}).model_alias == "production"


def test_only_settings_reads_the_environment():
    sources = [
        path
        for folder in ("layers/core/modelwatch", "functions")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "reading.py"
    ]
    assert sources
    readers = [
        str(path)
        for path in sources
        if re.search(r"os\.(environ(?!\.update)|getenv)", path.read_text())
    ]
    assert readers == []
