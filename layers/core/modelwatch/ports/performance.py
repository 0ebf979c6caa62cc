"""What the performance monitor needs from outside: outcomes, and a store of its sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import date, datetime

    import pyarrow as pa

    from modelwatch.domain.performance.encoding import HourPerformance, LabelledHour
    from modelwatch.domain.performance.losses import LossModel
    from modelwatch.domain.performance.results import PerformancePolicy, PerformanceResult
    from modelwatch.domain.performance.rows import CapturedHour, HourOutcomes, Outcomes
    from modelwatch.domain.windows import Window


class OutcomeStore(Protocol):
    """Has the predictions of model versions, and their labels."""

    def captured(
        self, model_name: str, model_version: str, window: Window
    ) -> dict[datetime, CapturedHour]:
        """Return what is stored of a version's predictions, by the hours that ``window`` touches.

        What is behind a name never changes.
        """
        ...

    def labelled(self, days: Iterable[date]) -> dict[datetime, tuple[str, ...]]:
        """Return the names of what is stored of labels, by the hour of their predictions."""
        ...

    def outcomes(
        self,
        model_name: str,
        model_version: str,
        hours: Sequence[datetime],
        losses: LossModel | None = None,
    ) -> dict[datetime, HourOutcomes]:
        """Return a version's distinct predictions by the hour, with the labels that hold now.

        ``hours``: of one day, of which all that is stored is listed once. With a loss model, also
        a sample of rows for it.
        """
        ...

    def unknown(self, hours: Iterable[datetime]) -> Iterator[tuple[datetime, tuple[int, int]]]:
        """Yield for each hour how many labels there are, and how many are of nothing captured."""
        ...

    def reference(self, table: pa.Table) -> Outcomes | None:
        """Return the rows of reference data; None where they have no predictions."""
        ...


class PerformanceStore(Protocol):
    """Keeps the performance of hours, with what it was made from."""

    def load(
        self, model_name: str, model_version: str, hours: Iterable[datetime]
    ) -> dict[datetime, HourPerformance]:
        """Return what is kept of a version's hours."""
        ...

    def save(
        self, model_name: str, model_version: str, made: Mapping[datetime, HourPerformance]
    ) -> None:
        """Keep hours of a version, in place of what was kept of them."""
        ...

    def load_labelled(self, hours: Iterable[datetime]) -> dict[datetime, LabelledHour]:
        """Return what is kept of hours' labels."""
        ...

    def save_labelled(self, labelled: Mapping[datetime, LabelledHour]) -> None:
        """Keep what is known of hours' labels, in place of what was kept of them."""
        ...


class PerformanceMonitor(Protocol):
    """Knows how well model versions predict."""

    def evaluate(
        self,
        model_name: str,
        model_version: str,
        window: Window,
        *,
        variant: str | None = None,
        reference: pa.Table | None = None,
        losses: LossModel | None = None,
        policy: PerformancePolicy | None = None,
    ) -> PerformanceResult:
        """Return how well a version predicted in ``window``, by the labels that came so far.

        ``variant``: of its predictions under that alias alone. ``reference``: rows that it was not
        trained on, with probabilities and labels; ``losses``: what was learned
        of its errors, from the same rows. ``policy``: what it takes for a result, in place of the
        deployment's.
        """
        ...
