"""Made-up traffic with a week, with nights, or with neither: what is found by which phase.

    PYTHONPATH=. python -m benchmarks.seasonal.phases

Windows come one after the other, each with the past of those that ended a week before it, as in
use. Prints the share of quiet windows in which a column drifts, and of those found that look like
another part of the week or of the day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from modelwatch.domain.past.calibration import calibrate
from modelwatch.domain.past.history import JOINS_AFTER, Past
from modelwatch.domain.past.phases import AskedPhase
from modelwatch.domain.past.scores import trace_of
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.features import PastColumns, evaluate_columns
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.domain.windows import Window

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
_ROWS, _SEEDS, _LEVEL = 200, 4, 1 / 730
_FIRST = 36
"""The day from which on windows are watched."""

_POLICY = DriftPolicy()

type Rows = Mapping[str, Distribution]
type Draw = Callable[[np.random.Generator, datetime], Rows]


class _Kind(NamedTuple):
    """Traffic, and by name which time a window may look like: None where it has none."""

    draw: Draw
    length: timedelta
    days: int
    changes: Mapping[str, Callable[[datetime], datetime | None]]


def _categories(rng: np.random.Generator, shares: list[float]) -> Distribution:
    counts = rng.multinomial(_ROWS, rng.dirichlet(np.array(shares) * 300))
    return Distribution.of_counts({f"c{at}": int(each) for at, each in enumerate(counts) if each})


def _numbers(rng: np.random.Generator, middle: float, spread: float) -> Distribution:
    return Distribution.of_numbers(rng.normal(middle, spread, _ROWS).round(1))


def _shop(rng: np.random.Generator, at: datetime) -> Rows:
    weekend = at.weekday() >= 5
    return {
        "amount": _numbers(rng, (80 if weekend else 50) + rng.normal(0, 2), 15 if weekend else 10),
        "channel": _categories(rng, [0.1, 0.2, 0.7] if weekend else [0.7, 0.25, 0.05]),
        **_plain(rng, at),
    }


def _plain(rng: np.random.Generator, _: datetime) -> Rows:
    numbers = {f"number {at}": _numbers(rng, rng.normal(0, 0.3), 1) for at in range(8)}
    return {**numbers, "region": _categories(rng, [0.5, 0.3, 0.2])}


def _nights(rng: np.random.Generator, at: datetime) -> Rows:
    shares = [0.1, 0.1, 0.8] if at.hour < 6 else [0.6, 0.3, 0.1]
    return {"kind": _categories(rng, shares), "number": _numbers(rng, rng.normal(0, 0.3), 1)}


_WEEK = {
    "a weekday like a Sunday": lambda at: (
        at + (6 - at.weekday()) * DAY if at.weekday() < 5 else None
    ),
    "a weekend like a weekday": lambda at: at - 3 * DAY if at.weekday() >= 5 else None,
}
_KINDS = {
    "weekends": _Kind(_shop, DAY, 200, _WEEK),
    "weekends, hours": _Kind(_shop, HOUR, 57, _WEEK),
    "nights, hours": _Kind(
        _nights,
        HOUR,
        43,
        {"noon like night": lambda at: at.replace(hour=2) if 10 <= at.hour < 16 else None},
    ),
    "neither": _Kind(_plain, DAY, 200, {}),
}


def _windows(kind: _Kind, asked: AskedPhase, seed: int) -> Iterator[tuple[str, bool]]:
    """Yield of each watched window what it looks like, "" as it should, and whether one drifts."""
    rng, past = np.random.default_rng(seed), Past()
    parts = [kind.draw(rng, _MONDAY + at * kind.length) for at in range(28 * DAY // kind.length)]
    reference = {name: _together([part[name] for part in parts]) for name in parts[0]}
    for place in range(kind.days * DAY // kind.length):
        start = _MONDAY + place * kind.length
        rows = kind.draw(rng, start)
        if start >= _MONDAY + _FIRST * DAY:
            window = Window(start, start + kind.length)
            known = past.until(start - JOINS_AFTER)
            said = calibrate(known, window, _POLICY.methods, 28, phase=asked)
            looks = {name: like(start) for name, like in kind.changes.items()}
            others = {name: kind.draw(rng, at) for name, at in looks.items() if at}
            for name, some in {"": rows, **others}.items():
                columns = PastColumns(said, _ROWS)
                found = evaluate_columns(reference, some, _POLICY, _LEVEL, columns)
                yield name, any(each.status == "drift" for each in found)
        past = past.add(start, kind.length, _ROWS, _traces(reference, rows))


def _traces(reference: Rows, rows: Rows) -> dict[str, np.ndarray]:
    traces = {}
    for name, known in reference.items():
        method = METHODS[_POLICY.methods[known.kind == "categorical"]]
        traces[name] = trace_of(known, rows[name], method.score(known, rows[name]))
    return traces


def _together(parts: list[Distribution]) -> Distribution:
    if parts[0].kind == "categorical":
        texts = sorted({text for part in parts for text in part.counts})
        return Distribution.of_counts(
            {text: sum(part.counts.get(text, 0) for part in parts) for text in texts}
        )
    values = [np.repeat(part.values, part.weights.astype(int)) for part in parts]
    return Distribution.of_numbers(np.concatenate(values))


def main() -> None:
    """Measure and print."""
    table = Table("traffic", "phase", "windows that look", "number", "with a drift")
    for title, kind in _KINDS.items():
        for asked in ("none", "day", "auto") if kind.length < DAY else ("none", "auto"):
            said: dict[str, list[bool]] = {}
            for seed in range(_SEEDS if kind.length == DAY else 1):
                for name, is_drift in _windows(kind, asked, seed):
                    said.setdefault(name, []).append(is_drift)
            for name, some in said.items():
                share = f"{fmean(some):.1%}"
                table.add_row(title, asked, name or "as ever", str(len(some)), share)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
