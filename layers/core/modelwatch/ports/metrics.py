"""Where metrics go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    pass


class Sample(msgspec.Struct, frozen=True):
    """Values of one metric of `modelwatch.metric_names`, with their labels."""

    name: str
    value: float | Sequence[float]
    labels: Mapping[str, str]


class MetricSink(Protocol):
    """Takes metrics."""

    def emit(self, samples: Sequence[Sample]) -> None:
        """Report ``samples``; never raises for a well-formed sample."""
        ...
