"""Steps in order; each of them succeeds, or says what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from modelwatch.errors import ModelwatchError

State = Literal["ok", "failed", "skipped"]


class StepError(ModelwatchError):
    """A step failed.

    Parameters
    ----------
    remedy
        What to do; empty for the step's general remedy.
    """

    def __init__(self, found: str, remedy: str = "") -> None:
        super().__init__(found)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Step:
    """A step.

    Attributes
    ----------
    name
        One word.
    take
        Does it and returns the finding; raises ModelwatchError if that is an error.
    remedy
        What to do when it fails.
    needs
        The steps that must succeed before it.
    """

    name: str
    take: Callable[[], str]
    remedy: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a step; ``remedy`` is empty unless it failed."""

    step: str
    state: State
    found: str
    remedy: str
    seconds: float


def take_steps(
    steps: Iterable[Step],
    begins: Callable[[str], None],
    done: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run ``steps`` in order; if one fails, the steps that need it do not run.

    Parameters
    ----------
    begins
        Called with the name of a step before it runs.
    """
    outcomes: list[Outcome] = []
    failed: set[str] = set()
    for step in steps:
        began = time.monotonic()
        needed = [name for name in step.needs if name in failed]
        if needed:
            outcome = Outcome(step.name, "skipped", f"needs {' and '.join(needed)}", "", 0.0)
        else:
            begins(step.name)
            state: State = "ok"
            remedy = ""
            try:
                found = step.take()
            except ModelwatchError as error:
                found, state = str(error), "failed"
                remedy = (error.remedy if isinstance(error, StepError) else "") or step.remedy
            seconds = round(time.monotonic() - began, 2)
            outcome = Outcome(step.name, state, found, remedy, seconds)
        if outcome.state != "ok":
            failed.add(step.name)
        outcomes.append(outcome)
        done(outcome)
    return outcomes
