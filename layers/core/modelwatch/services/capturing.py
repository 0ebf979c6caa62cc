"""Which rules of capture hold for a model: its monitor's, read again and again beside requests.

A monitor may say that less is captured than before. So rules that no one could read lately do not
hold any more: nothing is captured then, and what is not is counted as lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from modelwatch.domain.capture_policy import CapturePlan
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.schemas import Schema
from modelwatch.errors import ModelwatchError, StoreError, public_text
from modelwatch.ports.capture import CaptureMonitors

_LOG = logging.getLogger(__name__)

LONGEST_UNREAD_SECONDS = 600.0
"""So long rules hold that cannot be read again because the store does not respond."""


@dataclass(frozen=True, slots=True)
class Capturing:
    """Rules as they were read last.

    Attributes
    ----------
    rules
        None: nothing may be captured.
    sample_rate
        Share of the predictions that is captured, or should be.
    read_at
        When they were read, in seconds since 1970.
    """

    rules: CaptureRules | None
    sample_rate: float
    read_at: float = float("-inf")
    plans: dict[tuple[str, str], CapturePlan] = field(default_factory=dict)

    def plan(self, version: ModelVersion, schema: Schema) -> CapturePlan | None:
        """Return the policy made ready for a version's rows; None: nothing may be captured."""
        if self.rules is None:
            return None
        key = (version.name, version.version)
        if key not in self.plans:
            for problem in self.rules.policy.problems([schema]):
                _LOG.warning("the capture policy does not fit %s version %s: %s", *key, problem)
            self.plans[key] = CapturePlan(self.rules.policy, schema)
        return self.plans[key]


class ModelCapture:
    """The rules of one model.

    Parameters
    ----------
    defaults
        What the deployment's settings say.
    monitors
        Say what a model's monitor overrides; None: nothing does.
    every_seconds
        How often `refresh` is called at the least, while there are requests.

    Attributes
    ----------
    problem
        Why nothing is captured now, or will not be if it lasts; empty: nothing is wrong.
    """

    def __init__(
        self,
        model_name: str,
        defaults: CaptureRules,
        monitors: CaptureMonitors | None = None,
        every_seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._model_name = model_name
        self._defaults = defaults
        self._monitors = monitors
        self._longest_unread = every_seconds + LONGEST_UNREAD_SECONDS
        self._clock = clock
        self._nothing = Capturing(None, defaults.sample_rate)
        self._held = self._nothing if monitors else Capturing(defaults, defaults.sample_rate)
        self.problem = ""

    def refresh(self) -> None:
        """Read the rules again. It never raises: what goes wrong costs captures, no prediction."""
        if self._monitors is None:
            return
        problem = ""
        try:
            rules = self._defaults.overridden(self._monitors.of(self._model_name))
        except StoreError as error:
            problem = self._say("what to capture cannot be read", error)
        except Exception as error:  # noqa: BLE001 - see above
            problem = self._say("nothing is captured", error)
            self._held = self._nothing
        else:
            plans = self._held.plans if rules == self._held.rules else {}
            self._held = Capturing(rules, rules.sample_rate, self._clock(), plans)
        self.problem = problem

    def _say(self, what: str, error: Exception) -> str:
        """Return what is wrong for a caller; the log has all of it, once."""
        known = public_text(error) if isinstance(error, ModelwatchError) else type(error).__name__
        problem = f"{what}: {known}"
        if problem != self.problem:
            _LOG.error("%s: %s: %s: %s", self._model_name, what, type(error).__name__, error)
        return problem

    def now(self) -> Capturing:
        """Return the rules that hold."""
        held = self._held
        if self._monitors and self._clock() - held.read_at > self._longest_unread:
            return self._nothing
        return held
