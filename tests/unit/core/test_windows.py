"""Durations, windows and which of them are due."""

import contextlib
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modelwatch.domain.durations import LONGEST, format_duration, parse_duration
from modelwatch.domain.window_plans import WindowPlan, parse_plans
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

times = st.datetimes(
    datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)
)  # fmt: skip
durations = st.integers(1, int(LONGEST.total_seconds())).map(lambda s: timedelta(seconds=s))
steps = st.integers(1, 60 * 24 * 14).map(lambda minutes: timedelta(minutes=minutes))
plans = st.builds(WindowPlan, durations, steps)


@given(durations)
def test_a_duration_is_read_as_it_was_written(duration):
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("P1W", 604_800), ("P1DT12H", 129_600), ("PT90M", 5400), ("PT1,5M", 90), ("P0DT1S", 1)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("P1M", "'P1M' has years or months, which have no one length; say it in days"),
        ("P1Y2DT1H", "'P1Y2DT1H' has years or months, which have no one length; say it in days"),
        ("1h", "'1h' is no duration; expected one such as PT1H or P7D"),
        ("", "'' is no duration; expected one such as PT1H or P7D"),
        ("P", "'P' is no duration; expected one such as PT1H or P7D"),
        ("P1DT", "'P1DT' is no duration; expected one such as PT1H or P7D"),
        ("-PT1H", "'-PT1H' is no duration; expected one such as PT1H or P7D"),
        ("PT0S", "'PT0S' is not above 0 and at most 366 days"),
        ("P367D", "'P367D' is not above 0 and at most 366 days"),
        ("PT0.5S", "'PT0.5S' is not a number of whole seconds"),
        ("P1.5DT1H", "'P1.5DT1H' has a fraction before its last number"),
    ],
)
def test_what_is_no_duration_is_refused(text, problem):
    with pytest.raises(InvalidInputError) as raised:
        parse_duration(text, "ANALYSIS_WINDOWS")
    assert str(raised.value) == f"ANALYSIS_WINDOWS: {problem}"


@given(st.text(alphabet="PTWDHMSY0123456789.,", max_size=12))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InvalidInputError):
        assert timedelta(0) < parse_duration(text) <= LONGEST


@given(times, times)
def test_rounding_outward_keeps_the_window_within_whole_minutes(one, other):
    assume(one != other)
    window = Window(min(one, other), max(one, other))
    outward = window.outward()
    assert outward.start <= window.start
    assert window.end <= outward.end
    assert outward.start > window.start - MINUTE
    assert outward.end < window.end + MINUTE
    assert outward.outward() == outward
    assert outward.start_ms % 60_000 == outward.end_ms % 60_000 == 0


@given(plans, times, durations)
def test_what_is_due_does_not_depend_on_the_second_of_the_run(plan, now, lag):
    (window,) = plan.due(now, lag=lag).windows
    assert now - lag - plan.step < window.end <= now - lag
    assert plan.length <= window.end - window.start < plan.length + MINUTE
    (again,) = plan.due(window.end + lag + plan.step - timedelta(microseconds=1), lag=lag).windows
    assert again == window


@given(plans, times, st.integers(0, 10**7), st.integers(1, 50))
def test_catching_up_leaves_no_gap_and_repeats_nothing(plan, now, seconds, limit):
    last = plan.newest(now - timedelta(seconds=seconds)).end
    due = plan.due(now, last, limit=limit)
    ends = [window.end for window in due.windows]
    assert len(ends) <= limit
    assert all(after - before == plan.step for before, after in itertools.pairwise(ends))
    expected = (plan.newest(now).end - last) // plan.step
    assert len(ends) + due.missed == expected
    if ends:
        assert ends[-1] == plan.newest(now).end
    if due.missed:
        assert due.missed_from == last + plan.step
        assert due.missed_until == ends[0] - plan.step
        assert (due.missed_until - due.missed_from) // plan.step + 1 == due.missed
    assert plan.due(now, plan.newest(now).end).windows == ()


def test_a_clock_that_went_back_finds_nothing_due():
    for plan in (WindowPlan(timedelta(hours=1)), WindowPlan(timedelta(hours=1), MINUTE)):
        assert plan.due(NOON, NOON + timedelta(hours=3)).windows == ()


@given(durations, times, st.integers(1, 10**7), st.integers(1, 50))
def test_a_window_without_steps_ends_when_it_is_due_and_leaves_no_gap(length, now, seconds, limit):
    length = max(length, timedelta(seconds=1))
    now = now.replace(microsecond=0)
    plan = WindowPlan(length)
    (first,) = plan.due(now).windows
    assert (first.start, first.end) == (now - length, now)
    last = now - timedelta(seconds=seconds)
    due = plan.due(now, last, limit=limit)
    *caught_up, newest = due.windows
    assert newest == first
    assert len(due.windows) <= limit
    covered = last if due.missed_until is None else due.missed_until
    for window in (*caught_up, newest):
        assert window.start <= covered
        covered = window.end
    assert (due.missed == 0) or len(due.windows) == limit


def test_windows_align_to_hours_days_and_weeks_in_utc():
    now = NOON + timedelta(minutes=34, seconds=5)

    def end(step):
        return WindowPlan(timedelta(hours=1), step).newest(now).end

    assert end(timedelta(hours=1)) == NOON
    assert end(timedelta(days=1)) == NOON.replace(hour=0)
    assert end(timedelta(weeks=1)) == NOON.replace(hour=0)  # a Monday
    assert end(timedelta(minutes=1)) == NOON + timedelta(minutes=34)


def test_a_local_time_is_the_same_instant():
    zone = datetime.fromisoformat("2026-11-23T17:30:00+05:30")
    plan = WindowPlan(timedelta(hours=1), timedelta(hours=1))
    assert plan.newest(zone) == plan.newest(zone.astimezone(UTC))


def test_plans():
    hour, week = parse_plans(" PT1H, P7D/P1D")
    assert (hour.length, hour.step) == (timedelta(hours=1), None)
    assert (week.length, week.step) == (timedelta(days=7), timedelta(days=1))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("PT1H,PT60M", "a window of PT1H is there twice"),
        ("PT1H/PT30S", "the step 'PT30S' is not of whole minutes"),
        ("PT1H,", "'' is no duration; expected one such as PT1H or P7D"),
        ("PT1H/P1M", "'P1M' has years or months, which have no one length; say it in days"),
    ],
)
def test_plans_that_are_refused(text, problem):
    with pytest.raises(InvalidInputError) as raised:
        parse_plans(text, field="ANALYSIS_WINDOWS")
    assert str(raised.value) == f"ANALYSIS_WINDOWS: {problem}"
