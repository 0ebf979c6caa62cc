"""Two months of a season on the real stack: learned, quiet, and a change of unit is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record
from modelwatch_cli.deployment.calling import open_client
from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic.reference import reference_features
from running_stack import RunningStack

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

DAY = timedelta(days=1)
DAYS = 60
ROWS = 150
END = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def a_day(features: pd.DataFrame, day: int, version: str, factor: float = 1.0) -> list[Record]:
    """Return predictions of a day: alcohol and ash follow the season, and the weather."""
    rng = np.random.default_rng(day)
    rows = features.sample(ROWS, replace=True, random_state=day)
    season = np.sin(day / 40) + rng.normal(0, 0.3)
    for name in ("alcohol", "ash"):
        rows[name] += season * features[name].std()
    rows["magnesium"] *= factor
    start = END - (DAYS - day) * DAY
    return [
        Record(
            event_id=new_event_id(int(start.timestamp() * 1000) + place),
            captured_at=start + timedelta(hours=12, seconds=place),
            model_name="wine_quality_model",
            model_version=version,
            variant="production",
            features={name: float(value) for name, value in row.items()},
            prediction=1,
        )
        for place, row in enumerate(rows.to_dict("records"))
    ]


@pytest.fixture
def by_day(stack: RunningStack) -> Iterator[RunningStack]:
    """A stack that analyzes days, too: only of lengths that are scheduled it learns the past."""
    # by the share of features: these records all predict the same, unlike the reference
    own = {"ANALYSIS_WINDOWS": "PT1H,P1D", "ANALYSIS_VERDICT_RULE": "share"}
    yield replace(stack, environ={**stack.environ, **own})
    stack.json("deploy")


def test_a_season_is_quiet_and_a_change_of_unit_is_found(by_day: RunningStack) -> None:
    stack = by_day
    version = stack.json("train")["registration"]["version"]["version"]
    stack.json("deploy")
    variables = stack.json("env")
    with pytest.MonkeyPatch.context() as environ:
        for name, value in variables.items():
            environ.setenv(name, value)
        settings = Settings(variables)
        features = reference_features(settings)
        client = open_client(settings, "analyze")
        store = S3RecordStore(s3_client(settings), settings.capture_bucket)
    for day in range(DAYS - 1):
        store.write(a_day(features, day, version))
    # on the last day magnesium comes in another unit
    store.write(a_day(features, DAYS - 1, version, factor=1.8))

    def verdict(end: datetime) -> Any:
        found = client.analyze(window_seconds=86_400, window_end=end)
        assert found.failures == {}
        (result,) = (each for each in found.results if each.model_version == version)
        return result

    first = quiet = verdict(END - DAY)
    while quiet.past_days < DAYS - 9:
        # a run reads a week; those of the schedule come between
        before, quiet = quiet.past_days, verdict(END - DAY)
        assert quiet.past_days > before
    found = (quiet.status, quiet.drifted_features, quiet.learning)
    assert found == ("ok", (), ""), (quiet.reason, quiet.headline)
    seasonal = {each.feature for each in quiet.features if each.critical_from == "past windows"}
    assert {"alcohol", "ash"} <= seasonal

    changed = verdict(END)
    assert changed.drifted_features == ("magnesium",)
    (magnesium,) = (each for each in changed.features if each.feature == "magnesium")
    assert magnesium.score >= magnesium.critical_score
    assert {each.name for each in magnesium.changes} == {"shift", "spread"}
    for result in (first, quiet, changed):
        outcome = stack.run("replay", result.name)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    shown = stack.run("analyze", "--window-seconds", "86400", "--min-rows", "100").stdout
    assert "critical" in shown
