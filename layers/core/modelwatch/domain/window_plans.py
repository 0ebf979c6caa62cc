"""Which windows to analyze, and when: lengths, steps, and what a late run catches up on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from modelwatch.domain.durations import format_duration, parse_duration
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError

MINUTE = timedelta(minutes=1)

_ORIGIN = datetime(1970, 1, 5, tzinfo=UTC)
"""A Monday, so that steps of days end at midnight and steps of weeks with a Sunday, all UTC."""


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """A window that slides: ``length`` long, it ends at every multiple of ``step`` in UTC.

    So a run that comes late, or twice, finds the same windows. A step of an hour aligns them to
    UTC hours, one of a day to UTC days. What is not a whole minute long is rounded up to one,
    since profiles are kept by the minute. Without a step, it ends when the run is due.

    Examples
    --------
    >>> plan = WindowPlan(timedelta(hours=1), timedelta(minutes=5))
    >>> window = plan.newest(datetime(2026, 1, 1, 12, 7, 30, tzinfo=UTC))
    >>> f"{window.start:%H:%M} to {window.end:%H:%M}", plan.name
    ('11:05 to 12:05', 'PT1H')
    """

    length: timedelta
    step: timedelta | None = None

    def __post_init__(self) -> None:
        if self.length <= timedelta(0):
            raise ValueError("a window must have a length")
        if self.step is not None and (self.step < MINUTE or self.step % MINUTE):
            raise ValueError("a step must be of whole minutes")

    @property
    def name(self) -> str:
        """Its length in ISO 8601, which distinguishes the windows of a run."""
        return format_duration(self.length)

    def newest(self, now: datetime) -> Window:
        """Return the newest window that has ended by ``now``."""
        if self.step is None:
            return Window.ending(now.replace(microsecond=0), seconds=self.length.total_seconds())
        return self._ending(_steps(now, self.step))

    @property
    def own_step(self) -> timedelta:
        """Its step; without one its length in whole minutes, so that windows follow one another."""
        return self.step or -(-self.length // MINUTE) * MINUTE

    def ended(self, since: datetime, until: datetime) -> Iterator[Window]:
        """Yield the windows that end after ``since`` and by ``until``, the oldest first.

        Examples
        --------
        >>> plan = WindowPlan(timedelta(hours=12))
        >>> since = datetime(2026, 1, 1, 7, tzinfo=UTC)
        >>> [f"{window.end:%d %H}" for window in plan.ended(since, since + timedelta(days=1))]
        ['01 12', '02 00']
        """
        stepped = WindowPlan(self.length, self.own_step)
        for steps in range(_steps(since, self.own_step) + 1, _steps(until, self.own_step) + 1):
            yield stepped._ending(steps)

    def due(
        self,
        now: datetime,
        last_end: datetime | None = None,
        *,
        lag: timedelta = timedelta(0),
        limit: int = 24,
    ) -> DueWindows:
        """Return the windows that ended after the last one that was analyzed.

        Parameters
        ----------
        last_end
            End of the newest window that was analyzed; None when there was none: then only the
            newest is due.
        lag
            Age at which captures count as complete.
        limit
            Most windows that are due at once: the newest; older ones are never analyzed.

        Examples
        --------
        >>> plan = WindowPlan(timedelta(hours=1), timedelta(hours=1))
        >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
        >>> due = plan.due(noon, noon - timedelta(hours=5), limit=2)
        >>> [window.end.hour for window in due.windows], due.missed, due.missed_until.hour
        ([11, 12], 3, 10)
        """
        if last_end is None:
            return DueWindows((self.newest(now - lag),))
        if self.step is None:
            return self._uncovered(self.newest(now - lag), last_end, limit)
        newest = _steps(now - lag, self.step)
        waiting = max(0, newest - _steps(last_end, self.step))
        taken = min(waiting, limit)
        missed = waiting - taken
        windows = tuple(self._ending(newest - back) for back in reversed(range(taken)))
        return DueWindows(
            windows,
            missed,
            self._end(newest - waiting + 1) if missed else None,
            self._end(newest - taken) if missed else None,
        )

    def _uncovered(self, newest: Window, last_end: datetime, limit: int) -> DueWindows:
        """Return ``newest``, and before it the windows since ``last_end`` that it leaves out."""
        if last_end >= newest.end:
            return DueWindows(())
        gap = newest.start - last_end
        waiting = max(0, -(-gap // self.length))
        taken = min(waiting, limit - 1)
        ends = [last_end + back * self.length for back in range(1, waiting + 1)]
        caught_up = [Window(end - self.length, end) for end in ends[waiting - taken :]]
        missed = ends[: waiting - taken]
        return DueWindows(
            (*caught_up, newest),
            len(missed),
            missed[0] if missed else None,
            missed[-1] if missed else None,
        )

    def _end(self, steps: int) -> datetime:
        return _ORIGIN + steps * (self.step or MINUTE)

    def _ending(self, steps: int) -> Window:
        end = self._end(steps)
        return Window(end - self.length, end).outward()


@dataclass(frozen=True, slots=True)
class DueWindows:
    """Windows to analyze, oldest first, and how many are not any more.

    Attributes
    ----------
    missed
        Number of windows that no one will analyze.
    missed_from, missed_until
        Ends of the first and the last of them.
    """

    windows: tuple[Window, ...]
    missed: int = 0
    missed_from: datetime | None = None
    missed_until: datetime | None = None


def parse_plans(text: str, field: str = "") -> tuple[WindowPlan, ...]:
    """Read windows separated by commas, each ``LENGTH`` or ``LENGTH/STEP``, in ISO 8601.

    Raises InvalidInputError when one cannot be read, a step is not of whole minutes, or a length is
    there twice.

    Parameters
    ----------
    text
        Such as ``PT1H,P7D/P1D``: the last hour, and the last seven days once a day.
    field
        What an error names as its place.

    Examples
    --------
    >>> [(plan.name, plan.step and plan.step.days) for plan in parse_plans("PT1H,P7D/P1D")]
    [('PT1H', None), ('P7D', 1)]
    """
    plans: dict[str, WindowPlan] = {}
    for part in text.split(","):
        length, slash, own_step = part.strip().partition("/")
        every = parse_duration(own_step, field) if slash else None
        if every is not None and every % MINUTE:
            raise InvalidInputError(field, f"the step '{own_step}' is not of whole minutes")
        plan = WindowPlan(parse_duration(length, field), every)
        if plan.name in plans:
            raise InvalidInputError(field, f"a window of {plan.name} is there twice")
        plans[plan.name] = plan
    return tuple(plans.values())


def _steps(time: datetime, step: timedelta) -> int:
    return (time.astimezone(UTC) - _ORIGIN) // step
