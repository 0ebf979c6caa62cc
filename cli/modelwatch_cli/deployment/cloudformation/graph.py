"""Steps that wait for one another; independent steps run at the same time."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from modelwatch.errors import ModelwatchError


@dataclass(frozen=True, slots=True)
class Step:
    """A step that runs when the steps that it needs are done."""

    run: Callable[[], None]
    needs: Collection[str] = ()


class StepsFailedError(ModelwatchError):
    """More than one step failed.

    Parameters
    ----------
    errors
        Their errors, in the order of time.
    """

    def __init__(self, errors: list[ModelwatchError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in errors))


def run_steps(steps: Mapping[str, Step], workers: int = 4) -> None:
    """Run every step after those that it needs.

    When one fails, running steps are finished and no new one begins. CloudFormation does not stop,
    and its result should be known.

    Raises
    ------
    ModelwatchError
        The error of the step that failed; a :class:`StepsFailedError` when several failed.
    graphlib.CycleError
        When steps wait for each other: a mistake in the plan.
    """
    sorter = graphlib.TopologicalSorter({name: step.needs for name, step in steps.items()})
    sorter.prepare()
    errors: list[ModelwatchError] = []
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(workers) as pool:
        while sorter.is_active() or running:
            ready = sorter.get_ready() if not errors else ()
            for name in ready:
                running[pool.submit(steps[name].run)] = name
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                try:
                    future.result()
                except ModelwatchError as error:
                    errors.append(error)
                else:
                    sorter.done(name)
    if errors:
        raise errors[0] if len(errors) == 1 else StepsFailedError(errors)
