"""When requests are due: to the millisecond for each pattern, and what holds for every schedule."""

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.errors import InvalidInputError
from modelwatch_cli.traffic.schedule import (
    DAY_CURVE,
    Bursts,
    Pattern,
    Run,
    Schedule,
    make_schedule,
    parse_seconds,
)

runs = st.one_of(
    st.builds(Run, requests=st.integers(1, 400)), st.builds(Run, seconds=st.floats(0.5, 60))
)


@st.composite
def schedules(draw: st.DrawFn, run: st.SearchStrategy[Run] = runs) -> Schedule:
    every = draw(st.floats(1, 30))
    return make_schedule(
        draw(st.sampled_from(Pattern)),
        draw(st.floats(0.5, 30)),
        draw(run),
        bursts=Bursts(draw(st.floats(1, 8)), every * draw(st.floats(0.1, 0.9)), every),
        to_rate=draw(st.none() | st.floats(0, 30)),
        day_seconds=draw(st.none() | st.floats(1, 100)),
    )


def milliseconds(schedule: Schedule, count: int | None = None) -> list[int]:
    return [round(each * 1000) for each in islice(schedule.times(), count)]


def test_steady_is_even():
    schedule = make_schedule(Pattern.STEADY, 4, Run(requests=6))
    assert milliseconds(schedule) == [0, 250, 500, 750, 1000, 1250]
    assert len(list(make_schedule(Pattern.STEADY, 4, Run(seconds=2)).times())) == 8
    last = list(make_schedule(Pattern.STEADY, 0.5, Run(seconds=7300)).times())[-1]
    assert last == pytest.approx(7298)


def test_a_burst_is_higher_for_its_length_at_its_distance():
    bursts = Bursts(height=5, seconds=1, every_seconds=3)
    schedule = make_schedule(Pattern.BURST, 2, Run(seconds=6), bursts=bursts)
    burst = [1000, 1100, 1200, 1300, 1400, 1500, 1600, 1700, 1800, 1900]
    cycle = [0, 500, *burst, 2000, 2500]
    assert milliseconds(schedule) == [*cycle, *(3000 + each for each in cycle)]
    assert [schedule.rate_at(at) for at in (0.5, 1.5, 2.5, 4.5)] == [2, 10, 2, 10]


def test_gradual_goes_evenly_from_one_rate_to_the_other():
    schedule = make_schedule(Pattern.GRADUAL, 1, Run(seconds=4), to_rate=3)
    # the integral of 1 + t/2 is t + t²/4: it reaches k at 2 * (sqrt(1 + k) - 1)
    assert milliseconds(schedule) == [0, 828, 1464, 2000, 2472, 2899, 3292, 3657]
    assert (schedule.rate_at(0), schedule.rate_at(2)) == (1, 2)
    by_count = make_schedule(Pattern.GRADUAL, 1, Run(requests=8), to_rate=3)
    assert milliseconds(by_count) == milliseconds(schedule)
    down = make_schedule(Pattern.GRADUAL, 2, Run(requests=4), to_rate=0)
    assert milliseconds(down) == [0, 536, 1172, 2000]


def test_a_day_is_compressed_into_the_run_and_has_its_mean_rate():
    schedule = make_schedule(Pattern.DAILY, 10, Run(seconds=24))
    times = list(schedule.times())
    assert len(times) == 240
    hours = [sum(hour <= each < hour + 1 for each in times) for hour in range(24)]
    assert hours.index(min(hours)) in range(1, 5)
    assert DAY_CURVE.index(max(DAY_CURVE)) - hours.index(max(hours)) in range(-9, 10)
    assert max(hours) > 5 * min(hours)
    whole = make_schedule(Pattern.DAILY, 10, Run(), day_seconds=24)
    assert whole.requests is None
    next_day = [each - 24 for each in islice(whole.times(), 480) if each >= 24]
    assert next_day == pytest.approx(times)


@given(schedules())
def test_the_number_of_requests_is_known_beforehand(schedule):
    times = list(schedule.times())
    assert len(times) == schedule.requests
    assert times[0] == 0
    assert all(before <= after for before, after in pairwise(times))
    if schedule.run.seconds is not None:
        assert times[-1] <= schedule.run.seconds + 1e-6


@given(schedules(), st.floats(0, 1), st.floats(0, 1))
def test_any_stretch_of_time_holds_what_its_rate_makes(schedule, one, other):
    times = list(schedule.times())
    begin, end = sorted((one * times[-1], other * times[-1]))
    steps = 2000
    width = (end - begin) / steps
    expected = width * sum(schedule.rate_at(begin + (n + 0.5) * width) for n in range(steps))
    highest = max(max(ramp.start, ramp.end) for ramp in schedule.ramps)
    # the sum is an approximation: a step of it may lie across the edge of a burst
    slack = 1.001 + 4 * highest * width * (1 + end / schedule.cycle_seconds)
    assert abs(sum(begin <= each < end for each in times) - expected) <= slack


@given(schedules(st.builds(Run, requests=st.integers(2, 400))))
def test_the_mean_rate_is_that_of_the_times(schedule):
    times = list(schedule.times())
    assert schedule.mean_rate(len(times)) == pytest.approx((len(times) - 1) / times[-1])
    assert schedule.mean_rate(1) is None


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(InvalidInputError, match="--burst-every: 5 s must be longer than a burst"):
        make_schedule(Pattern.BURST, 1, Run(), bursts=Bursts(2, 5, 5))
    with pytest.raises(InvalidInputError, match="gradual needs an end"):
        make_schedule(Pattern.GRADUAL, 1, Run())


@pytest.mark.parametrize(
    ("text", "seconds"), [("300", 300), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400)]
)
def test_durations_are_numbers_with_a_unit(text, seconds):
    assert parse_seconds("--duration", text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "2 hours", "h", "1e9", "nan"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InvalidInputError, match="is no duration such as"):
        parse_seconds("--duration", text)
