"""The window of simulated traffic holds all of it, and begins in no minute before it."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from modelwatch.domain.windows import Window
from modelwatch_cli.traffic.running import window_seconds


@given(st.floats(0, 59.999), st.floats(0, 4000), st.floats(0, 55))
def test_it_starts_in_the_first_minute_however_late_the_function_reads_its_clock(
    second, lasted, delay
):
    minute = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    began = minute + timedelta(seconds=second)
    last = began + timedelta(seconds=lasted)
    # the window is asked for a second after the last prediction, less the lag
    end = last + timedelta(seconds=1)
    # whole seconds, as the function has them
    read = (end + timedelta(seconds=delay)).replace(microsecond=0)
    window = Window.ending(read, seconds=window_seconds(began, end)).outward()
    assert window.start == minute
    assert window.end >= last
