"""The planned times of requests: a pure function of pattern, rate and length of the run.

A pattern is a cycle of ramps: times in which the rate changes evenly from one value to another.
Request number k is due when the integral of the rate reaches k. So the first one is due at
once, and the number in any time span is the integral of the rate, plus or minus one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count, islice

from modelwatch.errors import InvalidInputError

DAY_SECONDS = 86_400.0

DAY_CURVE = (4, 3, 2, 2, 2, 3, 5, 9, 14, 17, 18, 17, 15, 16, 17, 16, 15, 15, 16, 18, 17, 13, 9, 6)
"""Requests by the hour of a day, for a service that people use: only the shape matters."""

_STEADY_SECONDS = 3600.0
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_SECONDS}


class Pattern(StrEnum):
    """How the rate changes while requests are sent."""

    STEADY = "steady"
    BURST = "burst"
    GRADUAL = "gradual"
    DAILY = "daily"


@dataclass(frozen=True, slots=True)
class Run:
    """How long requests are sent: ``requests`` of them, or for ``seconds``; neither: for ever."""

    requests: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Bursts:
    """Of the pattern `burst`.

    Attributes
    ----------
    height
        Rate of a burst, as a multiple of the rate between bursts.
    seconds
        Length of a burst.
    every_seconds
        From the start of a burst to the start of the next one.
    """

    height: float = 5.0
    seconds: float = 5.0
    every_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Ramp:
    """A time of ``seconds`` in which the rate goes from ``start`` to ``end`` requests a second."""

    seconds: float
    start: float
    end: float

    @property
    def requests(self) -> float:
        """The number of requests in it."""
        return self.seconds * (self.start + self.end) / 2

    def rate_at(self, seconds: float) -> float:
        """Return the rate ``seconds`` after its start."""
        return self.start + (self.end - self.start) * seconds / self.seconds

    def requests_until(self, seconds: float) -> float:
        """Return the number of requests in its first ``seconds``."""
        return seconds * (self.start + self.rate_at(seconds)) / 2

    def time_of(self, requests: float) -> float:
        """Return the seconds after its start at which ``requests`` were due."""
        slope = (self.end - self.start) / self.seconds
        root = math.sqrt(max(0.0, self.start**2 + 2 * slope * requests))
        # this form of the solution stays exact if the slope is small or zero
        return 2 * requests / (self.start + root) if requests else 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Ramps in a cycle, for as long as ``run`` lasts.

    Examples
    --------
    >>> list(Schedule((Ramp(60, 2, 2),), Run(requests=3)).times())
    [0.0, 0.5, 1.0]
    >>> Schedule((Ramp(60, 2, 2),), Run(seconds=10)).requests
    20
    """

    ramps: tuple[Ramp, ...]
    run: Run

    @property
    def cycle_seconds(self) -> float:
        """Length of a cycle."""
        return math.fsum(ramp.seconds for ramp in self.ramps)

    @property
    def requests(self) -> int | None:
        """How many requests will be sent; None: there is no end."""
        if self.run.seconds is None:
            return self.run.requests
        cycles, rest = divmod(self.run.seconds, self.cycle_seconds)
        total = cycles * math.fsum(ramp.requests for ramp in self.ramps)
        for ramp in self.ramps:
            total += ramp.requests_until(min(rest, ramp.seconds))
            rest = max(0.0, rest - ramp.seconds)
        return math.ceil(round(total, 6))

    def times(self) -> Iterator[float]:
        """Yield when each request is due, in seconds from the start of the run."""
        return islice(self._endless(), self.requests)

    def rate_at(self, seconds: float) -> float:
        """Return the rate at a time after the start, in requests a second."""
        rest = seconds % self.cycle_seconds
        for ramp in self.ramps:
            if rest < ramp.seconds:
                return ramp.rate_at(rest)
            rest -= ramp.seconds
        return self.ramps[-1].end

    def mean_rate(self, requests: int) -> float | None:
        """Return the mean target rate of its first ``requests``; None below two of them."""
        if requests < 2:
            return None
        last = next(islice(self._endless(), requests - 1, None))
        return (requests - 1) / last

    def _endless(self) -> Iterator[float]:
        number = 0
        per_cycle = math.fsum(ramp.requests for ramp in self.ramps)
        for cycle in count():
            begins, before = cycle * self.cycle_seconds, cycle * per_cycle
            for ramp in self.ramps:
                # what is due at the very end of a ramp is due at the start of the next
                while number - before < ramp.requests - 1e-9:
                    yield begins + ramp.time_of(max(0.0, number - before))
                    number += 1
                begins += ramp.seconds
                before += ramp.requests


def make_schedule(
    pattern: Pattern,
    rate: float,
    run: Run,
    *,
    bursts: Bursts = Bursts(),
    to_rate: float | None = None,
    day_seconds: float | None = None,
) -> Schedule:
    """Return the schedule of a pattern.

    Raises InvalidInputError when the options contradict each other.

    Parameters
    ----------
    rate
        Requests a second: all the time (steady), between bursts, at the start (gradual), or in the
        mean of a day (daily).
    bursts
        Of `burst`; half of the time between two is before the first one.
    to_rate
        Of `gradual`: the rate at the end of the run; five times ``rate`` by default.
    day_seconds
        Of `daily`: how long a day lasts; by default as long as the run, or for ever a real day.
    """
    if pattern is Pattern.STEADY:
        return Schedule((Ramp(_STEADY_SECONDS, rate, rate),), run)
    if pattern is Pattern.BURST:
        return Schedule(_bursts(rate, bursts), run)
    if pattern is Pattern.DAILY:
        day = day_seconds or run.seconds or (run.requests or DAY_SECONDS * rate) / rate
        return Schedule(_day(rate, day), run)
    end = 5 * rate if to_rate is None else to_rate
    if run.seconds is None and run.requests is None:
        raise InvalidInputError("--pattern", "gradual needs an end: -n or --duration")
    seconds = run.seconds or 2 * (run.requests or 0) / (rate + end)
    return Schedule((Ramp(seconds, rate, end),), run)


def parse_seconds(option: str, text: str) -> float:
    """Return the seconds of a duration such as ``90``, ``90s``, ``5m``, ``2h`` or ``1d``.

    Raises InvalidInputError when it is something else, or nothing.

    Examples
    --------
    >>> parse_seconds("--duration", "2h")
    7200.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if found is None or float(found[1]) == 0:
        raise InvalidInputError(option, f"'{text}' is no duration such as 90s, 5m or 2h")
    return float(found[1]) * _UNITS[found[2]]


def _bursts(rate: float, bursts: Bursts) -> tuple[Ramp, ...]:
    quiet = bursts.every_seconds - bursts.seconds
    if quiet <= 0:
        raise InvalidInputError(
            "--burst-every",
            f"{bursts.every_seconds:g} s must be longer than a burst ({bursts.seconds:g} s)",
        )
    high = rate * bursts.height
    between = Ramp(quiet / 2, rate, rate)
    return between, Ramp(bursts.seconds, high, high), between


def _day(rate: float, day_seconds: float) -> tuple[Ramp, ...]:
    hours = len(DAY_CURVE)
    mean = sum(DAY_CURVE) / hours
    rates = [rate * weight / mean for weight in DAY_CURVE]
    return tuple(
        Ramp(day_seconds / hours, rates[hour], rates[(hour + 1) % hours]) for hour in range(hours)
    )
