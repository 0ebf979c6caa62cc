"""Columns that time alone makes other: ids, counters, times, and dates as texts."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.past.calibration import calibrate
from modelwatch.domain.past.growth import growth_of
from modelwatch.domain.past.history import JOINS_AFTER, Past
from modelwatch.domain.past.scores import SHAPE, TRACE, unit_of
from modelwatch.domain.past.words import words_of
from modelwatch.domain.profiles import Profile, merge_profiles, number_column, text_column
from modelwatch.domain.segments import parse_segments
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.columns import all_distributions, traces_of
from modelwatch.domain.verdict.rules import AnalysisRules
from modelwatch.domain.verdict.sides import Reference, WindowProfiles
from modelwatch.domain.verdict.time_columns import DATES
from modelwatch.domain.verdict.window import evaluate_window
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.domain.windows import Window

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
ROWS = 100
RULES = AnalysisRules(plans=(WindowPlan(DAY),), run_every=DAY, min_rows=20)
KINDS = {
    "id": lambda day, rng: 1000 * day + np.sort(rng.random(ROWS)) * 1000,
    "countdown": lambda day, rng: 9000 - day - np.sort(rng.random(ROWS)),
    "age": lambda day, rng: rng.normal(40 + day / 365, 0.02, ROWS),
    "as ever": lambda _, rng: rng.normal(0, 1, ROWS),
    "drift from the first day on": lambda day, rng: rng.normal(max(day - 56, 0) / 10, 1, ROWS),
    "step": lambda day, rng: rng.normal(3 * (day >= 70), 1, ROWS),
    "constant": lambda _, __: np.full(ROWS, 7.0),
    "constant, once another": lambda day, _: np.full(ROWS, 7.0 + (day >= 70)),
    "week": lambda day, rng: rng.normal(day % 7, 0.1, ROWS),
    "day of the week": lambda day, _: np.full(ROWS, float(day % 7)),
    "weekend": lambda day, _: np.full(ROWS, "yes" if day % 7 > 4 else "no"),
    "colour": lambda _, rng: rng.choice(["red", "white"], ROWS),
    "weather": lambda day, rng: rng.normal(np.random.default_rng(day).normal(0, 3), 1, ROWS),
}


def profile_of(day, rng, draws=KINDS):
    ms = int((START + day * DAY).timestamp()) * 1000
    return Profile(
        rows=ROWS,
        estimated_rows=ROWS,
        first_ms=ms,
        last_ms=ms + 86_399_000,
        features={name: column_of(np.asarray(draw(day, rng))) for name, draw in draws.items()},
    )


def column_of(values):
    if values.dtype.kind != "U":
        return number_column(values)
    return text_column(Counter(values.tolist()), nulls=0)


class World:
    """56 days of reference, and the days after them as captures of which each was evaluated."""

    def __init__(self, days=36, draws=KINDS):
        self.rng, self.draws = np.random.default_rng(1), draws
        self.profile = merge_profiles([profile_of(day, self.rng, draws) for day in range(56)])
        self.past = Past()
        known = all_distributions(self.profile)
        for day in range(56, 56 + days):
            window = profile_of(day, self.rng, draws)
            traces = traces_of(known, window, RULES.policy)
            self.past = self.past.add(START + day * DAY, DAY, ROWS, traces)
        self.day = 56 + days

    def calibration(self):
        start = START + self.day * DAY
        past = self.past.until(start - JOINS_AFTER)
        return calibrate(past, Window(start, start + DAY), RULES.policy.methods, 28)

    def verdict(self, constraints=None, rules=RULES, **changed):
        start = START + self.day * DAY
        profile = profile_of(self.day, self.rng, self.draws | changed)
        reference = Reference(
            title="",
            profile=self.profile,
            constraints=constraints or learn_constraints(self.profile),
            segments=dict.fromkeys(parse_segments(rules.segments).named, self.profile),
        )
        found = WindowProfiles(
            model_name="shop",
            model_version="1",
            window=Window(start, start + DAY),
            profile=profile,
            segments=dict.fromkeys(reference.segments, profile) or None,
        )
        return evaluate_window(found, reference, rules, self.calibration())


@pytest.fixture(scope="module")
def world():
    return World()


def test_what_only_grows_or_falls_is_told_from_what_drifts(world):
    assert world.calibration().growth == {"id": "grows", "countdown": "falls", "age": "grows"}


def test_what_only_grows_is_no_drift_and_breaks_no_bound_and_is_said(world):
    verdict = world.verdict()
    said = {each.feature: each for each in verdict.features}
    for name, way in (("id", "grows"), ("countdown", "falls"), ("age", "grows")):
        assert said[name].status == "ok"
        assert said[name].score > 1, "it is far from the reference"
        assert said[name].reason.startswith(f"only {way}, ")
    assert "only" not in said["as ever"].reason
    assert {each.feature for each in verdict.quality.violations}.isdisjoint(
        {"id", "countdown", "age"}
    )


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda day, rng: 1000 * KINDS["id"](day, rng), "looks like x 1000"),
        (lambda day, rng: KINDS["id"](day - 92, rng), "values moved by -7"),
        (lambda _, __: np.full(ROWS, 92_000.0), "stuck at 92000"),
        (lambda day, rng: np.where(rng.random(ROWS) < 0.3, np.nan, KINDS["id"](day, rng)),
         "missing, 0 % before"),
    ],
    ids=["another unit", "it began again", "stuck", "missing"],
)  # fmt: skip
def test_other_changes_of_what_only_grows_are_found(world, draw, words):
    found = next(each for each in world.verdict(id=draw).features if each.feature == "id")
    assert found.status == "drift"
    assert words in found.reason


def test_bounds_to_the_other_side_and_those_that_someone_asks_for_hold(world):
    fallen = world.verdict(id=lambda _, __: np.full(ROWS, -5000.0)).quality.violations
    assert ("id", "range") in {(each.feature, each.check) for each in fallen}
    learned = learn_constraints(world.profile)
    asked = msgspec.structs.replace(learned.columns["id"].range, reference=None, maximum=60_000.0)
    column = msgspec.structs.replace(learned.columns["id"], range=asked)
    constraints = msgspec.structs.replace(learned, columns=learned.columns | {"id": column})
    broken = world.verdict(constraints).quality.violations
    assert ("id", "range") in {(each.feature, each.check) for each in broken}


def test_what_has_one_value_in_each_window_breaks_no_rule_by_that(world):
    assert set(world.calibration().single) >= {"day of the week", "weekend"}
    assert set(world.calibration().single).isdisjoint({"constant", "as ever", "id", "step"})
    verdict = world.verdict()
    broken = {each.feature for each in verdict.quality.violations}
    assert broken.isdisjoint({"day of the week", "weekend", "colour"})


def test_what_had_several_values_and_has_one_breaks_a_rule(world):
    verdict = world.verdict(
        **{
            "as ever": lambda _, __: np.full(ROWS, 1.0),
            "colour": lambda _, __: np.full(ROWS, "red"),
        }
    )
    broken = {(each.feature, each.check) for each in verdict.quality.violations}
    assert broken >= {
        ("as ever", "varying"), ("colour", "varying"), ("colour", "vanished_categories")
    }  # fmt: skip


def test_a_window_of_unknown_texts_breaks_a_rule_where_each_window_has_one_text(world):
    verdict = world.verdict(weekend=lambda _, __: np.full(ROWS, "maybe"))
    broken = {(each.feature, each.check) for each in verdict.quality.violations}
    assert ("weekend", "unseen_categories") in broken


def test_a_conversion_has_to_explain_how_wide_the_values_are():
    """In kelvin 0 °F is not far from nothing: a factor of 3600 makes all values nothing."""
    reference = Distribution.of_numbers(np.linspace(-30, 30, 200))
    then, now = np.linspace(0, 0.8, 9), 32 + 1.8 * (np.linspace(0, 0.8, 9) + 2.9)
    traces = []
    for deciles in (then, now):
        traces.append(np.zeros(TRACE))
        traces[-1][SHAPE] = deciles / unit_of(reference)
    assert words_of("shift", reference, reference, traces[1], traces[0], 0.2) == (
        "looks like x 1.8 + 32"
    )


def test_segments_know_it_too(world):
    verdict = world.verdict(rules=segmented("large: amount > 1"))
    (segment,) = verdict.segments
    assert "id" not in segment.drifted_features
    assert "step" in segment.drifted_features, "it is another world than the reference's"


def segmented(text):
    return AnalysisRules(plans=RULES.plans, run_every=DAY, min_rows=20, segments=text)


def test_few_windows_and_windows_of_a_few_hours_say_nothing():
    traces = np.zeros((40, TRACE))
    traces[:, SHAPE] = np.arange(40)[:, None] + np.linspace(0, 0.9, 9)
    days, hours = (np.arange(40) * seconds for seconds in (86_400.0, 3600.0))
    assert growth_of(days, traces) == "grows"
    assert growth_of(days[:4], traces[:4]) is None
    assert growth_of(hours, traces) is None, "a morning gets warmer"
    traces[:10, SHAPE] = np.nan
    assert growth_of(days, traces) == "grows"


def dated(day, way="%Y-%m-%d"):
    counts = {f"{START + (day + one) * DAY:{way}}": 30 for one in range(3)}
    return Profile(rows=90, features={"date": text_column(counts, nulls=0)})


@pytest.mark.parametrize(
    "way",
    ["%Y-%m-%d", "%Y-%m", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%Y-W%W", "%Y-%m-%dT%H:%M:%S+00:00"],
)
def test_dates_as_texts_are_not_compared_and_new_ones_are_not_wrong(way):
    verdict = texts_verdict(dated(0, way), dated(90, way))
    (found,) = verdict.features
    assert (found.status, found.reason) == ("unknown", DATES)
    assert verdict.quality.violations == ()


def test_dates_that_are_written_in_another_way_are_a_drift():
    verdict = texts_verdict(dated(0), dated(90, "%d.%m.%Y"))
    assert [each.status for each in verdict.features] == ["drift"]
    assert {each.check for each in verdict.quality.violations} >= {"unseen_categories"}


@pytest.mark.parametrize("text", ["v1.2.{}", "b-{}", "{}", "19{}", "2026-13-{}"])
def test_other_texts_with_digits_are_compared(text):
    sides = [
        Profile(rows=90, features={"x": text_column({text.format(at): 90}, nulls=0)})
        for at in (10, 11)
    ]
    assert [each.status for each in texts_verdict(*sides).features] == ["drift"]


def texts_verdict(before, now):
    found = WindowProfiles(
        model_name="shop", model_version="1", window=Window(START, START + DAY),
        profile=at_start(now),
    )  # fmt: skip
    reference = Reference(title="", profile=before, constraints=learn_constraints(before))
    return evaluate_window(found, reference, RULES)


def at_start(profile):
    ms = int(START.timestamp()) * 1000
    return Profile(
        rows=profile.rows, estimated_rows=profile.rows, first_ms=ms, last_ms=ms + 86_399_000,
        features=profile.features,
    )  # fmt: skip
