"""What analyses need from outside: profiles, references, reports and a store of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from datetime import date, datetime, timedelta

    import pyarrow as pa

    from modelwatch.domain.baselines import Baseline
    from modelwatch.domain.constraints import Constraints
    from modelwatch.domain.due import DueAnalysis
    from modelwatch.domain.episodes.events import VerdictEvent
    from modelwatch.domain.episodes.record import EpisodeRecord
    from modelwatch.domain.importance import Importance
    from modelwatch.domain.models import ModelVersion
    from modelwatch.domain.monitors import MonitorSet
    from modelwatch.domain.past.history import PastDocument
    from modelwatch.domain.performance.losses import LossModel
    from modelwatch.domain.performance.results import PerformanceResult
    from modelwatch.domain.profiles import Profile, WindowProfile
    from modelwatch.domain.segments import SegmentKey
    from modelwatch.domain.verdict.evidence import Evidence
    from modelwatch.domain.verdict.results import (
        AnalysisResult,
        LastResult,
        ResultName,
        WindowVerdict,
    )
    from modelwatch.domain.windows import Window

    type TrainedWindows = Iterator[tuple[Window, Profile, Profile]]


class ProfileStore(Protocol):
    """Knows windows of captures by their profiles."""

    def versions(self, window: Window) -> list[tuple[str, str]]:
        """Return (model name, version) of everything captured in ``window``, sorted."""
        ...

    def days(self, model_name: str, model_version: str) -> list[date]:
        """Return the days of UTC of which a version has captures, in order."""
        ...

    def has_captures(self, model_name: str, model_version: str, window: Window) -> bool:
        """Return whether a version may have captures in ``window``."""
        ...

    def profiles(self, model_name: str, model_version: str, window: Window) -> WindowProfile:
        """Return the profiles of a version's distinct records in ``window``, by variant.

        With those of the declared segments. The window is rounded outward to whole minutes.
        """
        ...

    def sample(self, model_name: str, model_version: str, window: Window, rows: int) -> pa.Table:
        """Return a uniform sample of ``rows`` of these records, or all when they are no more."""
        ...


class ReferenceStore(Protocol):
    """Keeps the reference data of model versions."""

    def reference(self, version: ModelVersion) -> pa.Table | None:
        """Return the rows a version was trained on, or None when it has none.

        They are as they would be captured: without what the capture policy keeps back.
        """
        ...

    def profile(self, version: ModelVersion) -> Profile | None:
        """Return their profile, or None when there are none.

        Its outputs are those of `holdout`, where there is one.
        """
        ...

    def windows(self, version: ModelVersion, windows: Sequence[Window]) -> TrainedWindows:
        """Yield each window that its rows fill, its profile, and that of its rows of other weeks.

        None is filled where the rows have no times of their own. Outputs are those on these rows.
        """
        ...

    def segments(self, version: ModelVersion) -> Mapping[SegmentKey, Profile]:
        """Return the profiles of its rows by segment, of those that have any."""
        ...

    def holdout(self, version: ModelVersion) -> pa.Table | None:
        """Return rows that the version was not trained on, or None when it has none.

        With its predictions, and with labels in the column ``label`` where they are known.
        """
        ...

    def importance(self, version: ModelVersion) -> Importance | None:
        """Return how much the version depends on each feature, or None when it is not measured."""
        ...

    def losses(self, version: ModelVersion) -> LossModel | None:
        """Return what the errors of a regression depend on, or None when it was not learned."""
        ...


class BaselineStore(Protocol):
    """Keeps named baselines, by model, and which one is in use."""

    def create(
        self,
        baseline: Baseline,
        profile: Profile,
        constraints: Constraints,
        segments: Mapping[SegmentKey, Profile] = ...,
    ) -> Baseline:
        """Keep a new baseline; return it as it is kept.

        Raises InvalidInputError when there is one of that name.
        """
        ...

    def baselines(self, model_name: str) -> list[Baseline]:
        """Return a model's baselines, by name."""
        ...

    def baseline(self, model_name: str, name: str) -> Baseline:
        """Return a baseline; raises NotFoundError when there is none of that name."""
        ...

    def profile(self, baseline: Baseline) -> Profile:
        """Return the profile of a baseline."""
        ...

    def segments(self, baseline: Baseline) -> Mapping[SegmentKey, Profile]:
        """Return the profiles of its segments: of those that were declared when it was made."""
        ...

    def constraints(self, baseline: Baseline) -> Constraints:
        """Return the constraints that hold now."""
        ...

    def replace_constraints(self, baseline: Baseline, constraints: Constraints) -> None:
        """Replace the constraints in use."""
        ...

    def delete(self, model_name: str, name: str) -> None:
        """Delete a baseline; raises InvalidInputError when it is in use."""
        ...

    def in_use(self, model_name: str, model_version: str = "") -> str:
        """Return the name of the baseline in use for a version.

        `baselines.TRAINING` for each version's own training data.
        """
        ...

    def of_versions(self, model_name: str) -> dict[str, str]:
        """Return the names of the baselines that are in use for single versions."""
        ...

    def use(self, model_name: str, name: str) -> None:
        """Compare windows of the model with this baseline from now on."""
        ...


class MonitorStore(Protocol):
    """Keeps the monitors of models, by version."""

    def current(self) -> MonitorSet:
        """Return the monitors that hold; those of number 0 when none was ever applied."""
        ...


class PastStore(Protocol):
    """Keeps what was learned from past windows of a version, by their length."""

    def load(self, model_name: str, model_version: str, length: timedelta) -> PastDocument | None:
        """Return what was learned; None when there is nothing, or nothing that can be read."""
        ...

    def save(
        self, model_name: str, model_version: str, length: timedelta, document: PastDocument
    ) -> None:
        """Keep what was learned, in place of what was kept."""
        ...


class EpisodeStore(Protocol):
    """Keeps one record of a model's episodes."""

    def load(self, model_name: str) -> EpisodeRecord:
        """Return the record of a model; an empty one when there is none."""
        ...

    def update(
        self, model_name: str, change: Callable[[EpisodeRecord], EpisodeRecord]
    ) -> EpisodeRecord:
        """Change the record as it is now, whole or not at all; return what is kept then.

        ``change`` is called again when another writer was faster.
        """
        ...


class AskedStore(Protocol):
    """Keeps what became of the analyses that someone asked for: each part of one is written once.

    The parts are ``request``, ``started`` and ``done``.
    """

    def write(self, name: str, part: str, payload: bytes) -> bool:
        """Keep a part, unless there is one; return whether it is kept. Raises StoreError."""
        ...

    def read(self, name: str, part: str) -> bytes:
        """Return a part; raises NotFoundError when there is none, StoreError otherwise."""
        ...


class EventBus(Protocol):
    """Takes events to other systems."""

    def send(self, event: VerdictEvent) -> None:
        """Send an event; raises EventBusError when it is not taken."""
        ...


class AnalysisQueue(Protocol):
    """Takes what is due, for others to evaluate: in order of each model, the same only once."""

    def send(self, due: Sequence[DueAnalysis]) -> None:
        """Hand ``due`` over; raises QueueError when any was not taken."""
        ...


class DriftReporter(Protocol):
    """Explains drift to people."""

    def html(
        self,
        reference: pa.Table,
        current: pa.Table,
        verdict: WindowVerdict,
        title: str,
        notes: Sequence[str] = (),
        profiles: tuple[Profile, Profile] | None = None,
    ) -> bytes:
        """Return a report on samples of both sides, as one HTML page with a ``title``.

        ``verdict`` is the one on all rows: it is above what the samples show, with ``notes``
        (since when it lasts, and what it does), and a picture of each drifted feature from the
        ``profiles`` of reference and window.
        """
        ...


class Listed(NamedTuple):
    """A result that is not read yet: its name, its size, and how often it was restated."""

    name: ResultName
    size_bytes: int
    restated: int = 0


class ReportStore(Protocol):
    """Keeps results and reports."""

    def save(
        self,
        result: AnalysisResult,
        files: Mapping[str, bytes],
        evidence: Evidence | None = None,
    ) -> bool:
        """Store a result, files beside it by name, and what it was made of; the result last.

        The file ``report.html`` is its report.

        Returns False, and leaves it alone, when there is a result of that name.
        """
        ...

    def result(self, name: str, restated: int = 0) -> AnalysisResult:
        """Return a result; raises NotFoundError when there is none of that name.

        ``restated``: with the performance of this restatement; 0: as it was written at first.
        """
        ...

    def restate(self, name: str, performance: PerformanceResult, number: int) -> bool:
        """Store a restated performance beside the result ``name``, as restatement ``number``.

        Returns False, and leaves it alone, when there is one of that number.
        """
        ...

    def evidence(self, result: AnalysisResult) -> Evidence:
        """Return what a result was made of.

        Raises EvidenceError when it was not kept, or is missing or damaged.
        """
        ...

    def names(self, model_name: str, since: datetime, until: datetime) -> list[str]:
        """Return the names of a model's results whose windows end in that time, both included.

        They are in the order of these ends.
        """
        ...

    def versions(self, model_name: str = "") -> list[tuple[str, str]]:
        """Return (model name, version) of all that has results, of one model or all, sorted."""
        ...

    def newest(
        self,
        versions: Sequence[tuple[str, str]],
        since: datetime | None,
        until: datetime | None,
        most: int,
        before: ResultName | None = None,
    ) -> list[Listed]:
        """Return the newest results of versions, newest first; they are not read.

        Of windows that end after ``since`` and not after ``until``; of those that are older than
        ``before`` or, if they end with it, come later in the list. At most ``most``.
        """
        ...

    def last(self, model_name: str, model_version: str) -> dict[str, LastResult]:
        """Return what is remembered of a version's newest analyses, by `LastResult` key.

        Raises DamagedError when it cannot be read.
        """
        ...

    def remember(
        self, model_name: str, model_version: str, newest: Mapping[str, LastResult]
    ) -> None:
        """Remember a version's newest analyses, in place of what was remembered."""
        ...

    def report_url(self, name: str, expires_seconds: int) -> str:
        """Return a URL that opens the report of the result ``name`` for a while.

        Raises NotFoundError when there is none.
        """
        ...
