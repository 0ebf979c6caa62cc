"""Commands about a model go by its monitor, as the analysis does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.domain.monitors import Monitor, MonitorSet
from modelwatch.errors import InvalidInputError, ModelwatchError, MonitorError
from modelwatch_cli.baselines.making import BaselineMaker, Source
from modelwatch_cli.deployment.cloudformation.calling import (
    Api,
    predict_api,
    predict_url,
    serving_settings,
)
from modelwatch_cli.monitors.held import held_monitors, named_baseline, require_not_named
from modelwatch_cli.settings import Settings
from wine_records import wine_record

DAY = datetime(2026, 11, 2, tzinfo=UTC)
A_WEEK = Source(since=DAY.isoformat(), until=(DAY + timedelta(days=7)).isoformat())


class Elsewhere:
    """A model that no registry knows, with 60 captures of a version."""

    def __init__(self, tmp_path) -> None:
        registry = tmp_path / "registry"
        registry.mkdir()
        self.settings = Settings(
            {
                "MODEL_REGISTRY": registry.as_uri(),
                "CAPTURE_BUCKET": "bucket",
                "REPORT_BUCKET": "bucket",
                "STAGE": "local",
            }
        )
        self.s3 = InMemoryS3()
        self.capture("7")

    def capture(self, version: str) -> None:
        S3RecordStore(self.s3, "bucket").write(
            [
                wine_record(
                    model_name="price",
                    model_version=version,
                    captured_at=DAY + timedelta(hours=1, seconds=place),
                )
                for place in range(60)
            ]
        )

    def apply(self, **settings: str) -> None:
        monitor = Monitor(stage="local", baseline="first", settings=settings)
        store = S3MonitorStore(self.s3, "bucket")
        store.append(MonitorSet(number=store.current().number + 1, monitors={"price": monitor}))

    def make(self, source: Source = A_WEEK):
        return BaselineMaker(self.settings, "price", self.s3).make("first", source)


@pytest.fixture
def elsewhere(tmp_path):
    return Elsewhere(tmp_path)


def test_a_baseline_needs_as_many_rows_as_the_monitor_asks_for(elsewhere):
    with pytest.raises(ModelwatchError, match="60 rows; a baseline needs 100"):
        elsewhere.make()
    elsewhere.apply(ANALYSIS_MIN_ROWS="30")
    made = elsewhere.make()
    # no registry knows the version: it is the one that was captured
    assert (made.rows, made.origin.version) == (60, "7")


def test_of_several_captured_versions_one_has_to_be_named(elsewhere):
    elsewhere.apply(ANALYSIS_MIN_ROWS="30")
    elsewhere.capture("8")
    with pytest.raises(InvalidInputError, match="price, which has versions 7, 8"):
        elsewhere.make()
    with pytest.raises(InvalidInputError, match="no captures in that time"):
        elsewhere.make(Source(since="2026-10-01", until="2026-10-02"))


def test_a_baseline_that_a_monitor_names_is_in_use(elsewhere):
    assert named_baseline(elsewhere.settings, elsewhere.s3, "price") == ""
    elsewhere.apply()
    named = named_baseline(elsewhere.settings, elsewhere.s3, "price")
    assert named == "first"
    with pytest.raises(MonitorError, match="names the baseline 'first': change the monitor's"):
        require_not_named("price", named)
    assert held_monitors(elsewhere.settings, elsewhere.s3).of("other").baseline == ""


def test_a_further_model_takes_the_place_of_the_default_one():
    settings = Settings({"MODEL_NAME": "wine", "MODELS": "churn model@champion"})
    assert serving_settings(settings, None) is settings
    found = serving_settings(settings, "churn model")
    assert (found.model_name, found.model_alias) == ("churn model", "champion")
    assert predict_api(Api("http://x"), "churn model").url == "http://x/models/churn%20model"
    assert predict_url("http://x", settings, "wine") == "http://x/predict"
    further = "http://x/models/churn%20model/predict"
    assert predict_url("http://x", settings, "churn model") == further
    with pytest.raises(
        InvalidInputError,
        match=r"is not named by MODEL_NAME or MODELS \(they name wine, churn model\)",
    ):
        predict_url("http://x", settings, "churn")
