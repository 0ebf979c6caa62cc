"""Since when a drift lasts: change points and their ranges, the order of columns, the segment."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from analysis_stage import AnalysisStage, records
from modelwatch.adapters.captures.arrow_profiles import profile_column
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.onset import change_point, onset_of
from modelwatch.domain.verdict.results import FeatureDrift, SegmentResult
from modelwatch.domain.windows import Window

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def column(values):
    return profile_column(pa.chunked_array([pa.array(values, from_pandas=True)]))


def numbers(rng, hour, size=200):
    """Return values with a season of a day."""
    return rng.normal(np.sin(hour * np.pi / 12), 1, size)


CHANGES = {
    "shift": lambda values, _: values + 2,
    "unit": lambda values, _: values * 1.8 + 32,
    "stuck": lambda values, _: np.full_like(values, 0.5),
    "spike": lambda values, rng: np.where(rng.random(len(values)) < 0.05, 0.0, values),
    "missing": lambda values, rng: np.where(rng.random(len(values)) < 0.1, np.nan, values),
}


def drift_of(hours_before, hours_after, change, seed=1):
    """Return sides of a column, and its hours, the last of which are changed."""
    rng = np.random.default_rng(seed)
    hours = []
    for hour in range(hours_before + hours_after):
        values = numbers(rng, hour)
        hours.append(change(values, rng) if hour >= hours_before else values)
    reference = np.concatenate([numbers(rng, hour) for hour in range(48)])
    window = hours[-1]
    sides = tuple(Distribution.of_column(column(each)) for each in (reference, window))
    return sides, [column(each) for each in hours]


def spans(count):
    return [Window(MIDNIGHT + hour * HOUR, MIDNIGHT + (hour + 1) * HOUR) for hour in range(count)]


@pytest.mark.parametrize("change", CHANGES)
def test_the_hour_of_a_change_is_in_its_range(change):
    right = 0
    for seed in range(20):
        sides, hours = drift_of(60, 5, CHANGES[change], seed)
        found = onset_of(
            {"a": sides}, [(s, {"a": h}) for s, h in zip(spans(65), hours, strict=True)]
        )
        assert found is not None
        (known,) = found.columns
        changed = MIDNIGHT + 60 * HOUR
        right += known.earliest <= changed < known.latest
        assert abs(known.at - changed) <= 3 * HOUR
    assert right >= 19


def test_what_changed_first_comes_first_and_a_column_of_before_has_no_time():
    early, early_hours = drift_of(40, 25, CHANGES["unit"])
    late, late_hours = drift_of(60, 5, CHANGES["shift"], seed=2)
    old, old_hours = drift_of(0, 65, CHANGES["unit"], seed=3)
    columns = {"late": late, "early": early, "old": old}
    hours = [
        (span, {"early": one, "late": two, "old": three})
        for span, one, two, three in zip(spans(65), early_hours, late_hours, old_hours, strict=True)
    ]
    found = onset_of(columns, hours)
    assert [each.column for each in found.columns] == ["old", "early", "late"]
    assert found.columns[0].at is None
    assert found.sentence == (
        "changed: old before 2026-03-01 00:00; then early since about 2026-03-02 16:00 "
        "(03-02 15:00 to 03-02 17:00); then late since about 2026-03-03 12:00 "
        "(03-03 11:00 to 03-03 13:00) UTC"
    )


def test_no_change_has_no_time_and_few_hours_show_none():
    sides, hours = drift_of(60, 5, CHANGES["unit"])
    spanned = list(zip(spans(65), ({"a": each} for each in hours), strict=True))
    assert onset_of({"a": sides}, spanned[-3:]) is None
    assert onset_of({"a": (sides[0], sides[0])}, spanned[:60]) is None
    assert onset_of({"b": sides}, spanned) is None


def test_noise_without_a_change_is_rarely_one():
    rng = np.random.default_rng(5)
    found = sum(change_point(rng.normal(size=96)) is not None for _ in range(500))
    assert found <= 10


def test_the_segment_that_has_most_of_it_is_named():
    sides, hours = drift_of(60, 5, CHANGES["unit"])
    spanned = list(zip(spans(65), ({"a": each} for each in hours), strict=True))

    def segment(name, rows, score, status="drift"):
        one = FeatureDrift(
            feature="a", kind="numerical", status=status, method="", threshold=0.1, score=score
        )
        return SegmentResult(
            name=name, column="c", status=status, reason="", rows=rows, features=(one,)
        )

    mostly = [segment("c=red", 20, 4.0), segment("c=white", 80, 0.05, "ok")]
    found = onset_of({"a": sides}, spanned, mostly)
    assert (found.segment, "95% of it in the segment c=red" in found.sentence) == ("c=red", True)
    alike = [segment("c=red", 20, 1.0), segment("c=white", 80, 1.0)]
    assert onset_of({"a": sides}, spanned, alike).segment == ""


def test_a_run_says_since_when_once_and_remembers_it():
    stage = AnalysisStage()
    for hour in range(2, 9):
        stage.store.write(records(30, 1.0, age_seconds=hour * 3600))
    stage.store.write(records(30, 3.0, age_seconds=60))
    stage.store.write(records(30, 3.0, age_seconds=3000))
    (first,) = stage.run_after(seconds=0).results
    assert first.status == "drift"
    (known,) = first.onset.columns
    assert known.column == "alcohol"
    assert first.onset.sentence in stage.reporter.notes
    assert known.earliest < stage.now - HOUR < known.latest + HOUR
    asked = []
    profiles = stage.profiles.profiles
    stage.profiles.profiles = lambda *given: asked.append(given) or profiles(*given)
    (second,) = stage.run_after(minutes=1).results
    assert second.onset == first.onset
    assert len(asked) == 1  # the window alone
