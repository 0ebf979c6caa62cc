"""Scenario 6: the highest rate that holds a p95, found by stepping up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from modelwatch_cli.traffic.load import LoadSummary
from modelwatch_cli.traffic.schedule import Pattern, Run, Schedule, make_schedule

GROWTH = 1.5
"""Each step's rate, as a multiple of the one before."""

MAX_STEPS = 20


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one rate.

    Attributes
    ----------
    asked, reached
        Requests a second.
    p95_ms
        From the planned time of requests, in milliseconds.
    errors
        Requests without a prediction.
    late
        Requests that started late.
    held
        Whether the p95 was within the limit, without an error.
    """

    asked: float
    reached: float
    p95_ms: float
    errors: int
    late: int
    held: bool


def step_up(
    send: Callable[[Schedule], LoadSummary],
    first_rate: float,
    step_seconds: float,
    slo_ms: float,
    on_step: Callable[[Step], None] = lambda _: None,
) -> tuple[list[Step], LoadSummary]:
    """Raise the rate step by step until one does not hold; return the steps, and all that was sent.

    Parameters
    ----------
    first_rate
        Requests a second of the first step.
    slo_ms
        The p95 to hold, in milliseconds.
    """
    steps: list[Step] = []
    whole = LoadSummary(began=datetime.now(UTC))
    rate = first_rate
    for _ in range(MAX_STEPS):
        summary = send(make_schedule(Pattern.STEADY, rate, Run(seconds=step_seconds)))
        p95 = summary.percentile_ms(95)
        # nan, without any response, is not within the limit
        held = p95 <= slo_ms and summary.failures == 0
        step = Step(rate, summary.rate, p95, summary.failures, summary.late, held)
        steps.append(step)
        on_step(step)
        _add(whole, summary)
        if not held or summary.interrupted:
            break
        rate = round(rate * GROWTH, 2)
    return steps, whole


def highest(steps: list[Step]) -> float | None:
    """Return the highest rate that held; None if none did."""
    return max((step.asked for step in steps if step.held), default=None)


def _add(whole: LoadSummary, step: LoadSummary) -> None:
    whole.statuses.update(step.statuses)
    whole.latencies_ms.extend(step.latencies_ms)
    whole.predicted.extend(step.predicted)
    whole.numbers.extend(step.numbers)
    whole.classes.update(step.classes)
    whole.sent += step.sent
    whole.late += step.late
    whole.at_limit += step.at_limit
    whole.first_problem = whole.first_problem or step.first_problem
    whole.interrupted |= step.interrupted
