"""Relations between two columns: the sample they are read from, and a verdict on a broken one."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from analysis_stage import AnalysisStage
from examples import examples
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.domain.baselines import Baseline, CapturedWindow
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.past.calibration import calibrate
from modelwatch.domain.past.history import Past, PastDocument, decode_past, encode_past
from modelwatch.domain.past.relations import FEWEST_ROWS, MOST_PAIRS, relations_of, strongest
from modelwatch.domain.profiles import (
    MOST_ROWS,
    Profile,
    QuantileSketch,
    RowSample,
    decode_profile,
    encode_profile,
    merge_profiles,
    number_column,
)
from modelwatch.domain.profiles.sample import MOST_COLUMNS, merge_samples, sample_of, sampled_rows
from modelwatch.domain.records import Record
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.domain.windows import Window
from modelwatch.services.replay import replay
from wine_records import numbered_id

DAY = timedelta(days=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
PAIR = ("heat", "sugar")
LEARNED = 50
ROWS = 120


def sampled(hashes: np.ndarray, rows: int = MOST_ROWS, **columns: np.ndarray) -> RowSample:
    places = sampled_rows(hashes, rows)
    return sample_of(
        ((name, each[places]) for name, each in columns.items()), hashes[places], len(hashes)
    )


def sample(**columns: np.ndarray) -> RowSample:
    count = len(next(iter(columns.values())))
    hashes = np.random.default_rng(0).integers(0, 2**64, count, np.uint64)
    return sampled(hashes, rows=count, **columns)


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-9, 9) | st.none()), min_size=40))
@settings(max_examples=examples(60))
def test_a_relation_is_the_rank_correlation_of_the_rows_that_have_both(rows):
    one = np.array([each[0] for each in rows], float)
    other = np.array([np.nan if each[1] is None else each[1] for each in rows], float)
    both = ~np.isnan(other)
    found = relations_of(sample(one=one, other=other), [("one", "other")])
    if both.sum() < FEWEST_ROWS or not (np.ptp(one[both]) and np.ptp(other[both])):
        assert found == {}
        return
    value, count = found["one", "other"]
    assert count == both.sum()
    assert value == pytest.approx(spearmanr(one[both], other[both])[0], abs=1e-5)


@given(
    st.lists(st.integers(0, 900), min_size=1, max_size=5),
    st.integers(0, 99),
    st.permutations([0, 1, 2]),
)
@settings(max_examples=examples(40))
def test_samples_of_parts_make_the_sample_of_the_whole_in_any_order(sizes, seed, order):
    rng = np.random.default_rng(seed)
    parts = [(rng.integers(0, 2**64, size, np.uint64), rng.normal(size=size)) for size in sizes]
    samples = [sampled(hashes, x=values) for hashes, values in parts]
    hashes, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    whole = sampled(hashes, x=values)
    shuffled = sorted(samples, key=lambda each: order[len(each) % 3])
    merged = merge_samples(shuffled)
    nested = merge_samples([merge_samples(samples[:2]), *samples[2:]])
    for each in (merged, nested):
        np.testing.assert_array_equal(each.hashes, whole.hashes)
        np.testing.assert_array_equal(each.values, whole.values)
        assert each.limit == whole.limit


def test_a_part_with_more_rows_than_it_keeps_bounds_the_whole():
    rng = np.random.default_rng(3)
    hashes = np.sort(rng.integers(0, 2**64, 5000, np.uint64))
    few, all_of_them = (
        sampled(hashes[::2], rows=64, x=hashes[::2].astype(float)),
        sampled(hashes[1:100:2], x=hashes[1:100:2].astype(float)),
    )
    merged = merge_samples([few, all_of_them])
    # uniform: what the first part cut off is missing of the second, too
    assert merged.hashes.max() <= few.limit
    assert len(merged) == 64 + np.searchsorted(all_of_them.hashes, few.limit, side="right")


def test_a_sample_is_written_and_read_to_the_bit_and_old_profiles_have_none():
    rng = np.random.default_rng(2)
    values = np.where(rng.random((2, 50)) < 0.1, np.nan, rng.normal(size=(2, 50)))
    profile = Profile(
        rows=50,
        features={"text": number_column(values[0]), "a": number_column(values[1])},
        sample=sample(a=values[1], text=values[0]),
    )
    read = decode_profile(encode_profile(profile))
    assert read.sample.names == ("a", "text")
    for name in ("hashes", "values", "limit"):
        np.testing.assert_array_equal(getattr(read.sample, name), getattr(profile.sample, name))
    assert encode_profile(read) == encode_profile(profile)
    # of many rows, each number is the nearest one of the column's sketch
    x = rng.lognormal(0, 9, 5000)
    large = Profile(rows=5000, features={"x": number_column(x)}, sample=sample(x=x, y=x))
    large = replace(large, sample=replace(large.sample, names=("x",), values=x[:, None]))
    again = decode_profile(encode_profile(large))
    assert encode_profile(again) == encode_profile(large)
    (ranks, read_ranks) = (
        np.argsort(np.argsort(each.sample.column("x"))) for each in (large, again)
    )
    assert np.abs(ranks - read_ranks).max() / 5000 < 2 * QuantileSketch.RANK_ERROR
    old = Profile(rows=3, features={"a": number_column(np.ones(3))})
    assert decode_profile(encode_profile(old)).sample is None
    # a sample of a part of the rows is none of all of them
    assert merge_profiles([profile, old]).sample is None


def test_the_strongest_relations_are_few_and_of_columns_that_say_something():
    rng = np.random.default_rng(1)
    x, noise = rng.normal(size=200), rng.normal(size=(30, 200))
    many = {f"f{place}": x + each / 9 for place, each in enumerate(noise)}
    assert len(strongest(sample(**many))) == MOST_PAIRS
    rare = np.where(rng.random(200) < 0.6, np.nan, x)
    assert strongest(sample(x=x, constant=np.ones(200), rare=rare, alone=noise[0])) == ()
    assert strongest(sample(x=x[:20], same=x[:20])) == ()
    assert strongest(None) == ()
    wide = {f"c{place}": x for place in range(MOST_COLUMNS + 5)}
    assert len(sample(**wide).names) == MOST_COLUMNS


def past_of(values, rows=400) -> Past:
    past = Past(pairs=(PAIR,))
    for day, value in enumerate(values):
        past = past.add(MONDAY + day * DAY, DAY, rows, {}, relations={PAIR: (value, rows)})
    return past


def broken(values, now: float, rows: int = 400, level: float = 1e-4):
    past = past_of(values)
    start = MONDAY + (len(values) + 7) * DAY
    known = calibrate(past, Window(start, start + DAY), ("", ""), 28)
    return known.broken({PAIR: (now, rows)}, level)


def test_a_relation_breaks_where_the_past_is_steady_and_not_where_it_varies():
    steady = np.full(60, 0.8)
    ((pair, value, before, critical),) = broken(steady, 0.1)
    assert (pair, value, before) == (PAIR, 0.1, 0.8)
    assert 0.2 <= critical < 0.7
    assert broken(steady, 0.65) == []  # less than what matters
    assert broken(steady, 0.1, rows=FEWEST_ROWS) != []
    assert broken(steady, 0.5, rows=FEWEST_ROWS) == []  # so few rows say nothing of it
    days_off = np.where(np.arange(60) % 9, 0.8, 0.35)
    assert broken(days_off, -0.8) == []  # it was lost on days of the past
    season = 0.45 + 0.4 * np.sin(np.arange(60) / 4)
    assert broken(season, 0.1) == broken(season, 0.85) == []
    assert broken(steady[:20], 0.1) == []  # still learning


def test_draws_of_one_relation_stay_quiet():
    rng = np.random.default_rng(5)

    def drawn(rows: int) -> float:
        x = rng.normal(size=rows)
        return float(spearmanr(x, x + rng.normal(size=rows))[0])

    values = [drawn(100) for _ in range(60)]
    past = past_of(values, rows=100)
    start = MONDAY + 67 * DAY
    known = calibrate(past, Window(start, start + DAY), ("", ""), 28)
    assert sum(bool(known.broken({PAIR: (drawn(100), 100)}, 0.001)) for _ in range(300)) <= 1
    assert known.broken({PAIR: (0.0, 100)}, 0.001)


def test_what_is_kept_of_the_past_is_read_again():
    past = past_of(np.linspace(0.2, 0.6, 40))
    document = PastDocument(reference="r", methods=("a", "b"), pairs=(PAIR,), seen=MONDAY)
    read = decode_past(encode_past(document.holding(past, MONDAY, ()))).past()
    assert read.pairs == past.pairs
    np.testing.assert_array_equal(read.correlations, past.correlations)
    np.testing.assert_array_equal(read.breaks, past.breaks)


def of_a_day(day: int, change=None) -> list[Record]:
    """Return rows in which sugar goes with heat, and colour with nothing."""
    rng = np.random.default_rng(day)
    heat = rng.normal(30, 4, ROWS)
    columns = {
        "heat": heat,
        "sugar": heat * 3 + rng.normal(0, 4, ROWS),
        "acid": rng.normal(3, 1, ROWS),
    }
    columns = change(rng, columns) if change else columns
    return [
        Record(
            event_id=numbered_id(10_000 * day + place),
            captured_at=MONDAY + day * DAY + timedelta(hours=12, milliseconds=place),
            model_name="wine",
            model_version="1",
            variant="production",
            features={
                **{name: float(each[place]) for name, each in columns.items()},
                "colour": "red",
            },
            prediction=1,
        )
        for place in range(ROWS)
    ]


def shuffled(rng, columns):
    return {**columns, "sugar": rng.permutation(columns["sugar"])}


@pytest.fixture(scope="module")
def stage() -> AnalysisStage:
    """Return a stage with a past that is learned."""
    stage = AnalysisStage(plans=(WindowPlan(DAY, DAY),))
    stage.training.tables["1"] = records_table(
        [each for day in (900, 901) for each in of_a_day(day)]
    )
    for day in range(LEARNED):
        stage.store.write(of_a_day(day))
    stage.store.write(of_a_day(LEARNED, shuffled))
    stage.store.write(of_a_day(LEARNED + 1))
    stage.now = MONDAY + (LEARNED + 2) * DAY
    while stage.analyze(window_end=stage.now).results[0].learning:
        pass
    return stage


def result_of(stage: AnalysisStage, day: int):
    (result,) = stage.analyze(window_end=MONDAY + (day + 1) * DAY).results
    return result


def test_a_join_that_shuffles_a_column_is_a_drift_of_both_columns(stage):
    result = result_of(stage, LEARNED)
    assert result.drifted_features == ("heat", "sugar")
    assert (result.learning, result.severity) == ("", "drift")
    for name, other in (PAIR, PAIR[::-1]):
        (found,) = (each for each in result.features if each.feature == name)
        (change,) = found.changes
        assert change.name == "relation"
        assert change.words.startswith(f"relation to {other}: rank correlation ")
        assert re.search(r" -?0\.[0-3]\d, 0\.9\d before$", change.words)
        assert change.score > 0.5 > change.critical_score >= 0.2
        assert found.reason == str(change)
        # the column alone looks as ever
        assert found.score < found.critical_score
    kept = stage.reports.evidence(result)
    assert [pair for pair, *_ in kept.manifest.window.relations] == [PAIR]
    assert decode_profile_of(kept).sample is None  # rows are not kept with results
    assert replay(stage.reports, result.name, stage.code).same


def decode_profile_of(evidence) -> Profile:
    return decode_profile(evidence.window)


def test_the_next_day_is_ok_again(stage):
    result = result_of(stage, LEARNED + 1)
    assert (result.severity, result.drifted_features) == ("ok", ())


def test_a_baseline_keeps_relations_and_no_rows(stage):
    day = Window(MONDAY, MONDAY + DAY)
    profile = stage.profiles.profiles("wine", "1", day).variants["production"]
    assert len(profile.sample) == 32
    baseline = Baseline(
        name="monday",
        model_name="wine",
        origin=CapturedWindow("1", day.start, day.end),
        made_at=stage.now,
        rows=ROWS,
    )
    kept = stage.baselines.create(baseline, profile, learn_constraints(profile))
    assert kept.pairs == strongest(profile.sample)
    assert PAIR in kept.pairs
    assert stage.baselines.profile(kept).sample is None
    assert stage.references.of("wine", "1", stage_window(stage), "monday").pairs == kept.pairs


def stage_window(stage) -> Window:
    return Window(stage.now - DAY, stage.now)


def test_knowing_less_makes_no_alarm():
    young = AnalysisStage(plans=(WindowPlan(DAY, DAY),))
    young.training.tables["1"] = records_table(
        [each for day in (900, 901) for each in of_a_day(day)]
    )
    for day in range(20):
        young.store.write(of_a_day(day))
    young.store.write(of_a_day(20, shuffled))
    young.now = MONDAY + 21 * DAY
    result = result_of(young, 20)
    assert (result.severity, result.learning) == ("ok", "7 of 28 days")
