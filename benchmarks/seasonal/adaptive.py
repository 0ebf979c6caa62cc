"""Slow change: how often today's critical scores alarm, beside an adaptive layer on top of them.

    PYTHONPATH=. python -m benchmarks.seasonal.adaptive

Daily scores of no real series: log-normal, each day near the one before, growing by a share a
month. The adaptive layer is adaptive conformal inference (Gibbs and Candes, *Adaptive Conformal
Inference Under Distribution Shift*, NeurIPS 2021): each window that is a week old moves the
logarithm of a factor of the critical score, up after an alarm, down else, and never below today's.
In the long run its alarms are at most the budget, plus 1 / (step x windows). Prints alarms a month
from the 28th day on, and how many steps of three times the score, on the 300th day, are found on
the day and in a week.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from modelwatch.domain.past.history import GROSS, JOINS_AFTER, KEPT_DAYS
from modelwatch.domain.past.scores import margin_of

_MONTH = 30.4
_DAYS, _LEARNED, _STEP_AT, _YEARS = 365, 28, 300, 200
_THRESHOLD = 0.1
_LEVEL = 1 / _MONTH

type Floats = NDArray[np.float64]


def scores(growth: float, seed: int) -> Floats:
    """Return a year of daily scores that grow by a share a month."""
    rng = np.random.default_rng(seed)
    logs = np.zeros(_DAYS)
    for day in range(1, _DAYS):
        logs[day] = 0.7 * logs[day - 1] + rng.normal(0, 0.35 * np.sqrt(1 - 0.7**2))
    return np.asarray(0.12 * np.exp(logs) * (1 + growth) ** (np.arange(_DAYS) / _MONTH))


def alarms(found: Floats, step: float) -> NDArray[np.bool_]:
    """Return on which days a score is above its critical score; ``step`` 0: without a layer."""
    joined: list[float] = []
    said = np.zeros(len(found), bool)
    log_factor = 0.0
    for day, score in enumerate(found):
        if (old := day - JOINS_AFTER.days) >= 0:
            if found[old] <= GROSS * _critical(joined):
                joined.append(found[old])
            if old >= _LEARNED:
                log_factor = max(0.0, log_factor + step * (said[old] - _LEVEL))
        said[day] = day >= _LEARNED and score > _critical(joined) * np.exp(log_factor)
    return said


def _critical(joined: list[float]) -> float:
    if not joined:
        return float("inf")
    past = np.array(joined[-KEPT_DAYS:])
    return max(float(past.max() * margin_of(np.array(len(past)))), _THRESHOLD)


def main() -> None:
    """Measure and print."""
    table = Table("growth a month", "layer", "alarms a month", "step: on the day", "in a week")
    for growth in (0.0, 0.1, 0.25, 0.5, 1.0):
        for step in (0.0, 0.05, 0.2):
            quiet, day, week = [], [], []
            for seed in range(_YEARS):
                found = scores(growth, seed)
                quiet.append(alarms(found, step)[_LEARNED:].mean())
                found[_STEP_AT:] *= 3
                said = alarms(found, step)[_STEP_AT : _STEP_AT + 7]
                day.append(said[0])
                week.append(said.any())
            table.add_row(
                f"{growth:.0%}",
                f"step {step}" if step else "none",
                f"{_MONTH * np.mean(quiet):.2f}",
                f"{np.mean(day):.0%}",
                f"{np.mean(week):.0%}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
