"""Settings: defaults, refusals, and that `.env.example` lists them all."""

import re
from pathlib import Path

import pytest

from modelwatch.errors import SettingError
from modelwatch.settings import SETTINGS, Settings, env_example

ROOT = Path(__file__).parents[3]


def test_env_example_lists_every_setting_with_its_default():
    assert (ROOT / ".env.example").read_text() == env_example(), "run `make env-example`"
    listed = dict(re.findall(r"^#([A-Z0-9_]+)=(.*)$", env_example(), re.MULTILINE))
    assert listed == {setting.name: setting.default or "" for setting in SETTINGS}


@pytest.mark.parametrize("value", ["-1", "1.5", "ten", "1e3"])
def test_a_whole_number_is_asked_for_by_name(value):
    with pytest.raises(SettingError, match=r"setting ANALYSIS_MIN_ROWS: '.*' is not a whole"):
        Settings({"ANALYSIS_MIN_ROWS": value}).integer("ANALYSIS_MIN_ROWS")


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "much"])
def test_a_number_is_asked_for_by_name(value):
    with pytest.raises(SettingError, match="DRIFT_SHARE_THRESHOLD"):
        Settings({"DRIFT_SHARE_THRESHOLD": value}).number("DRIFT_SHARE_THRESHOLD")


def test_a_choice_tells_the_choices():
    with pytest.raises(SettingError, match="'tar' is not one of zip, image"):
        Settings({"PREDICT_PACKAGE": "tar"}).choice("PREDICT_PACKAGE", "zip", "image")


@pytest.mark.parametrize("value", ["-0.1", "1.01", "all"])
def test_a_share_is_asked_for_by_name(value):
    with pytest.raises(SettingError, match=rf"setting CAPTURE_SAMPLE_RATE: '{value}' is not a "):
        Settings({"CAPTURE_SAMPLE_RATE": value}).share("CAPTURE_SAMPLE_RATE")


def test_blank_means_not_set():
    assert Settings({"MODEL_ALIAS": "  "}).text("MODEL_ALIAS") == "production"


def test_only_settings_reads_the_environment():
    sources = [
        path
        for folder in ("layers/core/modelwatch", "functions")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "settings.py"
    ]
    assert sources
    readers = [
        str(path) for path in sources if re.search(r"os\.(environ|getenv)", path.read_text())
    ]
    assert readers == []
