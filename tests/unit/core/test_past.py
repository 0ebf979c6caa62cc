"""What windows of the past say: each statistic against numpy and scipy, and what is kept."""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom, wasserstein_distance

from examples import examples
from modelwatch.domain.past.calibration import Calibration, ColumnPast, calibrate
from modelwatch.domain.past.chance import chance_of_rate, chance_of_unseen
from modelwatch.domain.past.history import (
    FEWEST_WINDOWS,
    JOINS_AFTER,
    KEPT_DAYS,
    Past,
    PastDocument,
    decode_past,
    encode_past,
    past_windows,
)
from modelwatch.domain.past.scores import (
    DECILES,
    SCORES,
    TRACE,
    large,
    rise,
    scores_of,
    trace_of,
    unit_of,
)
from modelwatch.domain.past.words import deciles_of, words_of
from modelwatch.domain.statistics.distributions import NUMBERS, Distribution
from modelwatch.domain.statistics.transport import wasserstein
from modelwatch.domain.verdict.features import PastColumns, evaluate_columns
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.domain.windows import Window
from modelwatch.errors import ProfileFormatError

NAMES = [score.name for score in SCORES]
START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
numbers = st.lists(st.integers(-50, 50).map(float), min_size=5, max_size=60)


def score(name, now, before=None):
    before = np.zeros(TRACE) if before is None else before
    return float(scores_of(now, before)[NAMES.index(name)])


def trace(**values: float) -> np.ndarray:
    """Return a trace with a distance, missing share, ... and deciles around ``middle``."""
    found = np.zeros(TRACE)
    found[4:] = values.get("middle", 0.0) + np.linspace(-1, 1, 9) * values.get("spread", 1.0)
    for place, name in enumerate(("distance", "missing", "spike", "unseen")):
        found[place] = values.get(name, 0.0)
    return found


# --- scores ---------------------------------------------------------------------------------------


@given(numbers, numbers)
@settings(max_examples=examples(50), deadline=None)
def test_the_deciles_of_a_trace_are_numpys_in_units_of_the_reference(before, now):
    reference, window = map(Distribution.of_numbers, (before, now))
    found = trace_of(reference, window, 0.25)
    middle, *expected = (
        np.quantile(before, 0.5, method="inverted_cdf"),
        *np.quantile(now, DECILES, method="inverted_cdf"),
    )
    assert found[0] == 0.25
    assert found[4:] == pytest.approx((np.array(expected) - middle) / unit_of(reference))


@given(numbers, numbers)
@settings(max_examples=examples(50), deadline=None)
def test_a_shift_is_the_distance_of_the_deciles_and_a_spread_their_ratio(before, now):
    reference = Distribution.of_numbers(range(100))
    traces = [trace_of(reference, Distribution.of_numbers(side), None) for side in (now, before)]
    deciles = [each[4:] for each in traces]
    assert score("shift", *traces) == pytest.approx(wasserstein_distance(*deciles))
    wide = [np.ptp(each) + 0.01 for each in deciles]
    assert score("spread", *traces) == pytest.approx(abs(np.log(wide[0] / wide[1])))


@given(numbers, numbers)
@settings(max_examples=examples(50), deadline=None)
def test_a_spike_is_the_largest_rise_of_the_share_of_a_frequent_number(before, now):
    found = trace_of(Distribution.of_numbers(before), Distribution.of_numbers(now), None)
    rises = [now.count(each) / len(now) - before.count(each) / len(before) for each in set(now)]
    assert score("spike", found) <= max(rises) + 1e-12
    commonest = max(now.count(each) for each in set(now)) / len(now)
    assert score("spike", found) >= commonest - max(map(before.count, before)) / len(before) - 1e-12


def test_the_unseen_and_the_missing_are_shares():
    reference = Distribution.of_counts({"a": 80, "b": 20})
    found = trace_of(reference, Distribution.of_counts({"a": 60, "z": 20}, missing=20), None)
    assert (score("unseen", found), score("missing", found)) == pytest.approx((0.25, 0.2))
    before = trace_of(reference, Distribution.of_counts({"a": 9}, missing=1), None)
    assert score("missing", found, before) == pytest.approx(0.1)
    # of a column of many categories the reference has not counted all
    many = Distribution.of_counts({"a": 60}, rest=40)
    few_new = Distribution.of_counts({"a": 60, "z": 40})
    assert score("unseen", trace_of(many, few_new, None)) == 0.0


def test_what_a_column_has_not_is_no_score():
    texts, values = Distribution.of_counts({"a": 9}), Distribution.of_numbers(range(9))
    for one, other in ((texts, values), (values, Distribution(kind="empty", missing_ratio=1.0))):
        scores = scores_of(trace_of(one, other, None), np.zeros(TRACE))
        assert np.isnan(np.delete(scores, NAMES.index("missing"))).all()
    assert np.isnan(score("shift", trace_of(values, values, 0.0), np.full(TRACE, np.nan)))


# --- how large is large ---------------------------------------------------------------------------


def test_distances_follow_the_largest_of_the_past_with_a_margin_that_falls():
    rng = np.random.default_rng(1)
    past = rng.lognormal(size=(400, 3, len(SCORES)))
    for count in (1, 25, 400):
        found = large(past[:count])[:, :3]
        largest = past[:count].max(axis=0)[:, :3]
        assert found == pytest.approx(
            np.maximum(largest * (1.15 + 0.8 / count**0.5), [0, 0.1, 0.2])
        )


def test_a_rate_that_was_high_once_does_not_hide_the_next_time():
    past = np.full((200, 1, len(SCORES)), 0.001)
    past[50] = 1.0  # the source was down
    found = dict(zip(NAMES, large(past)[0], strict=True))
    assert found["distance"] > 1.0
    assert found["missing"] < 0.2
    assert found["missing"] >= 0.02, "no less than what matters"


@given(
    st.lists(st.lists(st.floats(0, 5) | st.just(np.nan), min_size=6, max_size=6), min_size=1),
)
@settings(max_examples=examples(50), deadline=None)
def test_what_has_no_score_takes_no_part(rows):
    past = np.array(rows)[:, None, :]
    for place in range(len(SCORES)):
        known = [row for row in rows if np.isfinite(row[place])]
        expected = np.inf
        if known:
            expected = large(np.array(known)[:, None, :])[0, place]
        assert large(past)[0, place] == pytest.approx(expected)


def test_a_further_window_is_seldom_larger_than_n_of_its_kind():
    rng = np.random.default_rng(2)
    for count in (20, 60):
        windows = rng.lognormal(sigma=0.5, size=(count + 1, 4000, 1)) * np.ones(len(SCORES))
        alarms = windows[-1, :, 0] > large(windows[:-1])[:, 0]
        assert alarms.mean() <= 1 / (count + 1)


# --- what is kept ---------------------------------------------------------------------------------


def past_of(days: int, length: timedelta = DAY, **values: float) -> Past:
    past = Past()
    for window in past_windows(length, START, START + days * DAY):
        past = past.add(window.start, length, 100, {"x": trace(**values)})
    return past


@given(st.lists(st.lists(st.integers(0, 9), min_size=0, max_size=5), min_size=1, max_size=6))
@settings(max_examples=examples(50), deadline=None)
def test_what_was_just_before_is_the_median(groups):
    traces = np.full((len(groups), TRACE), np.nan)
    for place, group in enumerate(groups):
        traces[place, : len(group)] = group
    past = Past()
    for place, each in enumerate(traces):
        past = past.add(START + place * DAY, DAY, 100, {"x": each})
    found = past.just_before(START + 8 * DAY + place * DAY, DAY)[0]
    known = ~np.isnan(traces).all(axis=0)
    assert (np.isfinite(found) == known).all()
    assert found[known] == pytest.approx(np.nanmedian(traces[:, known], axis=0))


def test_of_hours_those_at_the_same_time_of_day_count():
    past = Past()
    for window in past_windows(HOUR, START, START + 10 * DAY):
        past = past.add(window.start, HOUR, 100, {"x": trace(middle=window.start.hour)})
    noon = past.just_before(START + 20 * DAY + 12 * HOUR, HOUR)[0]
    midnight = past.just_before(START + 20 * DAY, HOUR)[0]
    assert (noon[8], midnight[8]) == (12.0, 1.0)


def test_a_window_counts_a_week_after_its_end():
    past = past_of(3).add(START + 3 * DAY, DAY, 100, {"x": trace(middle=9)})
    end = START + 4 * DAY
    assert len(past.until(end + JOINS_AFTER - HOUR - JOINS_AFTER).ends) == 3
    before, after = (
        past.just_before(end + JOINS_AFTER + late, DAY)[0, 8] for late in (-HOUR, timedelta())
    )
    assert before == 0.0
    assert after == 0.0, "one of four windows moves no median"


def test_a_change_that_lasts_does_not_teach_itself():
    past = past_of(40)
    for place in range(30):
        past = past.add(START + (40 + place) * DAY, DAY, 100, {"x": trace(distance=9, middle=5)})
    scores = past.scores[-30:, 0]
    assert np.isnan(scores[:, NAMES.index("distance")]).all()
    # a week on, the windows just before are already the changed ones; the score itself is not kept
    assert np.isnan(scores[:7, NAMES.index("shift")]).all()
    assert large(past.scores)[0, NAMES.index("distance")] < 1


def test_the_past_of_more_than_a_year_has_a_bounded_size():
    past = Past()
    for place in range(3 * 365):  # noon and midnight
        past = past.add(START + place * 12 * HOUR, HOUR, 100, {"x": trace()})
    assert past.days <= KEPT_DAYS + 30
    assert len(past.ends) <= KEPT_DAYS + 30 * 2
    assert (np.diff(past.ends) > 0).all()
    old = past.ends < past.ends[-1] - 30 * 86_400
    assert np.isnan(past.traces[old]).all(), "what is old is never just before a window"


def test_a_day_that_is_old_is_kept_by_its_largest_scores_and_fewest_rows():
    past = Past()
    for window in past_windows(HOUR, START, START + 60 * DAY):
        hour = window.start.hour
        if 0 < hour < 21 and window.start > START + DAY:
            continue
        values = trace(distance=hour / 24)
        past = past.add(window.start, HOUR, 100 + hour, {"x": values})
    assert past.scores[0, 0, 0] == pytest.approx(23 / 24)
    assert past.rows[0] == 100


@given(st.integers(0, 20_000), st.sampled_from([60, 300, 3600, 5430, 86_400, 604_800]))
@settings(max_examples=examples(60), deadline=None)
def test_the_windows_of_the_past_do_not_overlap_and_none_comes_twice(minutes, seconds):
    length = timedelta(seconds=seconds)
    middle, until = START + timedelta(minutes=minutes), START + timedelta(minutes=30_000)
    windows = past_windows(length, START, until)
    assert windows == past_windows(length, START, middle) + past_windows(length, middle, until)
    for one, other in pairwise(windows):
        assert one.end <= other.start
    assert all(START < each.end <= until for each in windows)


def document(past: Past) -> PastDocument:
    made = PastDocument(reference="a1", methods=("wasserstein", "jensenshannon"), seen=START)
    return made.holding(past, START + DAY, [date(2026, 3, 2)])


def test_the_past_is_read_as_it_was_written():
    past = past_of(40, distance=0.25)
    read = decode_past(encode_past(document(past)))
    assert (read.seen, read.captured) == (START + DAY, (date(2026, 3, 2),))
    for name in ("ends", "rows", "traces", "scores"):
        expected = getattr(past, name).astype("<f4" if name in ("traces", "scores") else "<f8")
        assert np.array_equal(getattr(read.past(), name), expected, equal_nan=True)
    assert read.past().add(START + 40 * DAY, DAY, 100, {"x": trace()}).names == ("x",)


@pytest.mark.parametrize(
    "change", [{"ends": b"123"}, {"traces": b""}, {"names": ("x", "y")}, {"format": 9}]
)
def test_a_damaged_past_is_refused(change):
    damaged = msgspec.structs.replace(document(past_of(3)), **change)
    with pytest.raises(ProfileFormatError, match="the past"):
        decode_past(encode_past(damaged))


@given(st.binary(max_size=100))
def test_no_bytes_break_the_reading_of_a_past(payload):
    with pytest.raises(ProfileFormatError):
        decode_past(payload)


# --- calibration ----------------------------------------------------------------------------------


def calibrated(past: Past, days: int = 28) -> Calibration:
    window = Window(START + 60 * DAY, START + 61 * DAY)
    return calibrate(past, window, ("wasserstein", "jensenshannon"), days)


def test_it_is_learned_after_so_many_days_and_windows():
    assert calibrated(Past()).learning == "0 of 28 days"
    assert calibrated(past_of(5)).learning == "5 of 28 days"
    assert calibrated(past_of(40)).learning == ""
    assert calibrated(past_of(5), days=1).learning == f"5 of {FEWEST_WINDOWS} windows"


def test_a_week_is_a_past_of_seven_days():
    past = Past()
    for place in range(FEWEST_WINDOWS):
        past = past.add(START + place * 7 * DAY, 7 * DAY, 100, {"x": trace()})
    window = Window(START, START + 7 * DAY)
    assert calibrate(past, window, ("", ""), 28).learning == ""


def test_changes_are_found_when_it_is_learned_and_not_before():
    stuck = trace(spread=0.0, spike=1.0)
    # windows just before: those of the last four weeks
    names = [each.name for each, *_ in calibrated(past_of(55)).changes("x", stuck, 100)]
    assert names == ["shift", "spread", "spike"]
    assert calibrated(past_of(20)).changes("x", stuck, 100) == []
    assert calibrated(past_of(55)).of_a_part().changes("x", stuck, 100) == []
    assert calibrated(past_of(55)).changes("y", stuck, 100) == []


def test_fewer_rows_than_the_past_had_have_higher_critical_scores():
    found = calibrated(past_of(40, distance=0.5))
    assert found.critical_score("distance", "x", 25) == 2 * found.critical_score(
        "distance", "x", 100
    )
    assert found.critical_score("distance", "x", 1000) == found.critical_score("distance", "x", 100)
    assert found.of_a_part().critical_score("distance", "x", 100) == found.critical_score(
        "distance", "x", 100
    )
    assert found.critical_score("distance", "y", 100) is None


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=6))
def test_it_is_the_same_when_it_is_written_and_read(critical):
    known = tuple(critical[:6])
    given = Calibration(
        windows=3, days=2, needed_days=1, rows=1 / 3, columns={"\x00out": ColumnPast(known, known)}
    )
    assert msgspec.json.decode(msgspec.json.encode(given), type=Calibration) == given


# --- words ----------------------------------------------------------------------------------------


def words(name, window, before=None, critical=0.3):
    numbers = np.random.default_rng(5).normal(60, 10, 500)
    reference = Distribution.of_numbers(numbers)
    before = trace_of(reference, Distribution.of_numbers(numbers[::2] + 2), None)
    return words_of(name, reference, window, trace_of(reference, window, None), before, critical)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda x: x * 1.8 + 32, "looks like x 1.8 + 32"),
        (lambda x: (x - 32) / 1.8, "looks like x 0.5556 - 17.778"),
        (lambda x: x + 273.15, "looks like + 273.15"),
        (lambda x: x * 1000, "looks like x 1000"),
        (lambda x: x * 0.453592, "looks like x 0.4536"),
        (lambda x: -x, "looks like x -1"),
        (lambda x: x + 30, "values moved by +30"),
        (lambda x: x * 1.3, "values moved by +1"),
    ],
)
def test_a_change_of_unit_is_named_when_its_reversal_is_as_before(change, expected):
    numbers = np.random.default_rng(6).normal(62, 10, 300)
    assert words("shift", Distribution.of_numbers(change(numbers))).startswith(expected)


def test_what_changed_is_said_with_its_value():
    numbers = np.random.default_rng(6).normal(62, 10, 200)
    stuck = Distribution.of_numbers([0.7] * 200)
    assert words("spike", stuck) == "stuck at 0.7"
    numbers[:10] = 0
    assert words("spike", Distribution.of_numbers(numbers)) == "5 % at 0, 0 % in the reference"
    numbers[:40] = np.nan
    assert words("missing", Distribution.of_numbers(numbers)) == "20 % missing, 0 % before"
    numbers[:] = np.nan
    assert words("missing", Distribution.of_numbers(numbers)) == "100 % missing, 0 % before"
    large = Distribution.of_numbers([1234567.0] * 200)
    assert words("spike", large) == "stuck at 1234567"
    assert re.fullmatch(r"values moved by \+12345\d\d", words("shift", large))
    numbers = np.random.default_rng(6).normal(62, 10, 200)
    wide = Distribution.of_numbers(62 + (numbers - 62) * 5000)
    assert re.fullmatch(r"spread x \d{4}", words("spread", wide))
    narrow = Distribution.of_numbers(62 + (numbers - 62) * 0.3)
    assert re.fullmatch(r"spread x 0\.3\d?", words("spread", narrow))


def test_of_unseen_categories_the_commonest_is_named():
    reference = Distribution.of_counts({"UA": 60, "AA": 40})
    window = Distribution.of_counts({"UA": 70, "ZZ": 20, "Y" * 99: 10})
    trace = trace_of(reference, window, None)
    said = words_of("unseen", reference, window, trace, trace, 0.01)
    assert said == "30 % unseen categories, such as 'ZZ'"
    # of a reference that did not count all of its categories, the rest may be among them
    many = Distribution.of_counts({"UA": 60, "AA": 20}, rest=20)
    trace = trace_of(many, window, None)
    said = words_of("unseen", many, window, trace, trace, 0.01)
    assert said == "at least 10 % unseen categories, such as 'ZZ'"


def test_a_category_that_comes_more_often_is_said():
    users = {f"u{place}": 1 + place for place in range(40)}
    reference = Distribution.of_counts(users, rest=180)
    for counts, expected, share in (
        ({"u7": 96, "u8": 4}, "stuck at 'u7'", 0.952),
        ({**users, "u0": 540}, "40 % at 'u0', 0.1 % in the reference", 0.397),
        ({"u9": 60, NUMBERS: 40}, "60 % at 'u9', 1 % in the reference", 0.59),
        ({"u9": 5, NUMBERS: 95}, "stuck at numbers", 0.949),
    ):
        window = Distribution.of_counts(counts)
        trace = trace_of(reference, window, None)
        assert words_of("spike", reference, window, trace, trace, 0.03) == expected
        assert score("spike", trace) == pytest.approx(share, abs=1e-3)
    # most have it already
    weather = Distribution.of_counts({"clear": 65, "rain": 35})
    window = Distribution.of_counts({"clear": 95, "rain": 5})
    trace = trace_of(weather, window, None)
    said = words_of("spike", weather, window, trace, trace, 0.03)
    assert said == "95 % at 'clear', 65 % in the reference"
    # it has not counted this one, which may be as frequent as its rarest
    window = Distribution.of_counts({"u99": 60, "u1": 40})
    assert rise(reference, window) == ("u99", 0.6, 0.001)


def test_a_few_past_windows_do_not_say_how_high_spikes_go():
    past = np.full((40, 1, len(SCORES)), 0.1)
    past[:21, :, NAMES.index("spike")] = np.nan
    assert np.isinf(large(past)[0]).tolist() == [name == "spike" for name in NAMES]
    past[20] = 0.1
    assert np.isfinite(large(past)).all()


def test_values_of_another_column_are_named_where_they_explain_the_move():
    numbers = np.random.default_rng(6).normal(62, 10, 300)
    now = Distribution.of_numbers(3 * numbers - 20)
    reference = Distribution.of_numbers(numbers[::2])
    sides = trace_of(reference, now, None), trace_of(reference, reference, None)
    others = {"wind": 2 * deciles_of(reference, sides[1]), "gust": deciles_of(reference, sides[0])}
    assert words_of("shift", reference, now, *sides, 0.3, others) == "looks like the values of gust"
    del others["gust"]
    said = words_of("shift", reference, now, *sides, 0.3, others)
    assert said.startswith("values moved by +10")


# --- chance ---------------------------------------------------------------------------------------


@given(st.integers(10, 200), st.integers(1, 60), st.integers(20, 400))
@settings(max_examples=examples(50), deadline=None)
def test_the_chance_of_a_rate_is_scipys(rows, more, reference_rows):
    count = min(more, rows - 1)
    numbers = Distribution.of_numbers([0.0] * count + list(range(1, rows - count + 1)))
    reference = Distribution.of_numbers([0.0] * 5 + list(range(1, reference_rows)))
    if count / rows > 5 / reference.size + max(0.05, 1 / rows):
        both = rows + reference.size
        expected = numbers.distinct * hypergeom.sf(count - 1, both, count + 5, rows)
        trace = trace_of(reference, numbers, None)
        found = chance_of_rate("spike", reference, numbers, trace, trace)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-300)
    with_gaps = Distribution.of_numbers([*numbers.values, *[np.nan] * more])
    trace, before = (trace_of(reference, each, None) for each in (with_gaps, reference))
    before[1] = 0.1
    size = with_gaps.size + more
    assert chance_of_rate("missing", reference, with_gaps, trace, before) == pytest.approx(
        binom.sf(more - 1, size, 0.1), rel=1e-6, abs=1e-300
    )


def test_two_unseen_of_few_are_chance_and_many_are_not():
    reference = Distribution.of_counts({"UA": 80, "AA": 62})
    for count, is_chance in ((2, True), (20, False)):
        window = Distribution.of_counts({"UA": 100 - count, "ZZ": count})
        trace = trace_of(reference, window, None)
        assert (chance_of_rate("unseen", reference, window, trace, trace) > 0.001) == is_chance


# --- with the verdict -----------------------------------------------------------------------------


def test_independent_draws_stay_as_quiet_as_without_a_past():
    rng = np.random.default_rng(7)
    names = ("a", "b", "c")

    def draw(rows):
        return {name: Distribution.of_numbers(rng.normal(size=rows).round(1)) for name in names}

    reference, past = draw(150), Past()
    for window in past_windows(DAY, START, START + 40 * DAY):
        rows = draw(150)
        traces = {
            name: trace_of(reference[name], rows[name], wasserstein(reference[name], rows[name]))
            for name in names
        }
        past = past.add(window.start, DAY, 150, traces)
    known = PastColumns(calibrated(past), 150)
    level = 1 / 730
    drifted = sum(
        any(
            each.status == "drift"
            for each in evaluate_columns(reference, draw(150), DriftPolicy(), level, known)
        )
        for _ in range(200)
    )
    assert drifted <= 1


FAMILIES = {
    "one is rare": [0.9, 0.09, 0.01],
    "one of 2.3 %": [0.5, 0.477, 0.023],
    "ten are rare": [0.5, 0.4, *[0.01] * 10],
    "a long tail": 1 / np.arange(1, 201) ** 1.1,
    "a thousand": np.ones(1000),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("rows", "reference_rows"), [(50, 142), (2000, 142), (500, 1000)])
def test_categories_that_a_small_reference_does_not_have_are_no_drift(family, rows, reference_rows):
    rng = np.random.default_rng(1)
    shares = np.array(FAMILIES[family]) / sum(FAMILIES[family])
    alarms = 0
    for _ in range(400):
        drawn = [rng.multinomial(size, shares) for size in (reference_rows, rows)]
        sides = [
            Distribution.of_counts({str(place): int(each[place]) for place in each.nonzero()[0]})
            for each in drawn
        ]
        alarms += 2 * chance_of_unseen(*sides) <= 0.01
    assert alarms <= 12  # of 400 at 1 %: 4 are expected at most, 12 are rarer than 1 in 1000
