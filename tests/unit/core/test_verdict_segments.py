"""Segments of an analysis: a drift in one alone is found, and few rows are unknown."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from analysis_stage import NOW, AnalysisStage
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.domain.baselines import Baseline, CapturedWindow, RollingWindow, TrainingData
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.profiles import merge_profiles
from modelwatch.domain.records import Record
from modelwatch.domain.verdict.results import SegmentResult
from modelwatch.domain.windows import Window
from wine_records import wine_record

DECLARED = "colour; strong: alcohol > 13"


def rows(
    seed: int,
    counts: dict[str, int],
    *,
    moved: str = "",
    age: timedelta = timedelta(minutes=1),
    version: str = "1",
) -> list[Record]:
    """Return rows of each colour; the numbers of one colour are higher by three deviations."""
    draw = random.Random(seed)
    names = [name for name, count in counts.items() for _ in range(count)]
    draw.shuffle(names)
    return [
        wine_record(
            event_id=new_event_id(index),
            captured_at=NOW - age,
            model_version=version,
            features={
                "alcohol": draw.gauss(12, 0.8) + 2.4 * (colour == moved),
                "ash": draw.gauss(2, 0.3) + 0.9 * (colour == moved),
                "hue": draw.gauss(1, 0.2) + 0.6 * (colour == moved),
                "colour": colour,
            },
        )
        for index, colour in enumerate(names)
    ]


def staged(declared: str = DECLARED, **rules: object) -> AnalysisStage:
    stage = AnalysisStage(segments=declared, **rules)
    stage.training.tables["1"] = records_table(rows(1, {"red": 900, "white": 60, "rosé": 20}))
    return stage


def segments(stage: AnalysisStage) -> dict[str, SegmentResult]:
    (result,) = stage.run_after(seconds=0).results
    return {each.name: each for each in result.segments}


def test_a_drift_in_one_segment_alone_is_found_and_named():
    stage = staged()
    stage.store.write(rows(2, {"red": 950, "white": 50}, moved="white"))
    stage.analyze()
    # what is unknown to an ad hoc analysis changes no gauge
    segments = {sample.labels.get("segment") for sample in stage.metrics.samples}
    assert segments == {None, "colour=red", "colour=white", "strong"}
    stage.metrics.samples.clear()
    (result,) = stage.run_after(seconds=0).results
    assert result.status == "ok"
    found = {each.name: each for each in result.segments}
    assert list(found) == ["colour=red", "colour=rosé", "colour=white", "strong"]
    assert found["colour=red"].status == "ok"
    white = found["colour=white"]
    assert (white.status, white.rows, white.reference_rows) == ("drift", 50, 60)
    assert set(white.drifted_features) == {"alcohol", "ash", "hue"}
    assert result.reason.endswith("; drift in the segment colour=white")
    assert "in the segment colour=white: " in result.headline
    assert white.headline in result.headline
    assert stage.metrics.value("evidently_drift_status") == 3  # a warning
    status = "evidently_segment_drift_status"
    assert stage.metrics.value(status, segment="colour=white") == 1
    assert stage.metrics.value(status, segment="colour=red") == 0
    assert stage.metrics.value(status, segment="colour=rosé") == 2


def test_small_segments_are_unknown():
    stage = staged("colour; strong: alcohol > 99; other: missing == 3")
    stage.store.write(rows(2, {"red": 950, "white": 19, "rosé": 25, "orange": 30}, moved="white"))
    found = segments(stage)
    assert {name: (each.status, each.reason) for name, each in found.items()} == {
        "colour=red": ("ok", found["colour=red"].reason),
        "colour=white": ("unknown", "19 rows in the window; 20 are needed"),
        "colour=rosé": ("ok", found["colour=rosé"].reason),
        "colour=orange": ("unknown", "the reference has no rows of it"),
        "strong": ("unknown", "0 rows in the window; 20 are needed"),
        "other": ("unknown", "0 rows in the window; 20 are needed"),
    }
    labels = {
        sample.labels["segment"] for sample in stage.metrics.samples if "segment" in sample.labels
    }
    # of values that no one has seen before there may be any number
    assert labels == set(found) - {"colour=orange"}


def test_a_small_reference_is_unknown():
    stage = staged(min_rows=25)
    stage.store.write(rows(2, {"red": 950, "rosé": 40}))
    found = segments(stage)["colour=rosé"]
    assert (found.status, found.reason) == (
        "unknown",
        "the reference has 20 rows of it; 25 are needed",
    )


def test_what_is_left_of_a_column_is_never_compared():
    stage = staged("colour")
    many = {f"c{index:02}": 30 + index for index in range(30)}
    stage.training.tables["1"] = records_table(rows(1, many))
    stage.store.write(rows(2, many))
    found = segments(stage)
    assert len(found) == 21
    rest = found["colour=(other)"]
    assert (rest.status, rest.rows) == ("unknown", sum(range(30, 40)))
    assert rest.reason == "the rest has other values in every window"


def test_without_a_verdict_on_all_rows_no_segment_has_one():
    stage = staged(min_rows=100)
    stage.store.write(rows(2, {"red": 90}))
    found = segments(stage)
    assert {each.status for each in found.values()} == {"unknown"}
    assert found["strong"].reason == "90 rows in the window; 100 are needed"


def test_only_all_rows_of_the_main_window_have_segments():
    stage = staged()
    for variant in ("a", "b"):
        for record in (found := rows(ord(variant), {"red": 60})):
            record.variant = variant
        stage.store.write(found)
    results = {result.variant: result for result in stage.analyze().results}
    assert {variant: bool(result.segments) for variant, result in results.items()} == {
        "": True,
        "a": False,
        "b": False,
    }


def test_the_budget_of_false_alarms_is_shared():
    def critical_scores(declared: str) -> dict[str, float]:
        stage = staged(declared, false_alarms_per_month=200)
        stage.store.write(rows(2, {"red": 950, "white": 50}))
        (result,) = stage.analyze().results
        verdicts = {"": result, **{each.name: each for each in result.segments}}
        return {
            name: each.features[0].critical_score
            for name, each in verdicts.items()
            if each.features
        }

    alone, shared, more = map(critical_scores, ("", "white: colour == 'white'", "colour"))
    # white has few rows: its critical score is beyond its threshold, and more the smaller the level
    assert alone[""] <= shared[""] == more[""]
    assert shared["white"] < more["colour=white"]


def test_a_segment_that_is_gone_does_not_keep_its_alert():
    stage = staged()
    stage.store.write(rows(2, {"red": 950, "white": 50}, moved="white"))
    stage.run_after(seconds=0)
    stage.metrics.samples.clear()
    stage.training.tables["1"] = records_table(rows(1, {"red": 900}))
    stage.store.write(rows(3, {"red": 950}, age=timedelta(minutes=-90)))
    (result,) = stage.run_after(hours=2).results[-1:]
    assert "colour=white" not in {each.name for each in result.segments}
    status = "evidently_segment_drift_status"
    assert stage.metrics.value(status, segment="colour=white") == 2
    stage.metrics.samples.clear()
    stage.store.write(rows(4, {"red": 950}, age=timedelta(minutes=-150)))
    stage.run_after(hours=1)
    assert "colour=white" not in {sample.labels.get("segment") for sample in stage.metrics.samples}


def baseline(stage: AnalysisStage, origin: CapturedWindow | RollingWindow | TrainingData) -> None:
    """Make a baseline of what there is, and put it to use."""
    window = origin.window if isinstance(origin, CapturedWindow) else None
    if window is None:
        found, profile = None, stage.training.profile(stage.registry.version("wine", "1"))
    else:
        found = stage.profiles.profiles("wine", "1", window)
        profile = merge_profiles(list(found.variants.values()))
    made = Baseline(name="kept", model_name="wine", origin=origin, made_at=NOW, rows=profile.rows)
    constraints = learn_constraints(profile)
    stage.baselines.create(made, profile, constraints, found.segments if found else {})
    stage.baselines.use("wine", "kept")


DAY_BEFORE = Window(NOW - timedelta(days=2), NOW - timedelta(days=1))


@pytest.mark.parametrize(
    "origin",
    [
        CapturedWindow("1", DAY_BEFORE.start, DAY_BEFORE.end),
        RollingWindow("P2D"),
        TrainingData("1"),
    ],
)
def test_baselines_have_segments(origin):
    stage = staged()
    stage.store.write(rows(5, {"red": 900, "white": 60}, age=timedelta(hours=30)))
    baseline(stage, origin)
    stage.store.write(rows(2, {"red": 950, "white": 50}, moved="white"))
    found = segments(stage)
    assert (found["colour=white"].status, found["colour=red"].status) == ("drift", "ok")


def test_a_baseline_from_before_a_segment_was_declared_cannot_tell():
    stage = staged()
    stage.store.write(rows(5, {"red": 900, "white": 60}, age=timedelta(hours=30)))
    declared, stage.profiles.declared = stage.profiles.declared, type(stage.profiles.declared)()
    baseline(stage, CapturedWindow("1", DAY_BEFORE.start, DAY_BEFORE.end))
    stage.profiles.declared = declared
    stage.store.write(rows(2, {"red": 950, "white": 50}, moved="white"))
    found = segments(stage)["colour=white"]
    assert (found.status, found.reason) == (
        "unknown",
        "the reference has no rows of it, or was made before it was declared",
    )
