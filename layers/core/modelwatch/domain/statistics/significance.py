"""What every method says of chance: how likely its score is when nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from modelwatch.domain.statistics.distributions import Pair


class Chance(Protocol):
    """What chance makes of the score of two distributions.

    ``p_value`` is how likely a score like theirs, or a farther one, is when both are samples of the
    same distribution.
    """

    @property
    def p_value(self) -> float: ...

    def score_at(self, level: float) -> float:
        """Return the score that chance alone passes with a probability of about ``level``."""


NullDistribution = Callable[[Sequence[Pair]], Sequence[Chance]]
"""What chance makes of the score of each pair (reference, window)."""


@dataclass(frozen=True, slots=True)
class PValue:
    """What chance makes of a score that is a p-value itself."""

    p_value: float

    def score_at(self, level: float) -> float:
        """Return ``level``."""
        return level
