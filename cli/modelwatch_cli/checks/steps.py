"""Steps that are taken one after the other, each of which is right or says what to do."""

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
    found
        What was found.
    remedy
        What to do about it; empty for what the step says in general.
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
        Does it and returns what was found; raises ModelwatchError when that is not right.
    remedy
        What to do when it fails.
    needs
        The steps without which it makes no sense.
    """

    name: str
    take: Callable[[], str]
    remedy: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a step; ``remedy`` is empty unless it failed."""

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
    """Take ``steps`` in order; one that fails stops those that need it and no other.

    Parameters
    ----------
    begins
        Called with the name of a step before it.
    done
        Called with what came of it.
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
