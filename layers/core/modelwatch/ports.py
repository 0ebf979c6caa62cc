"""The roles that the services need. Adapters play them; in tests, in-memory fakes do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from datetime import date, datetime

    import pyarrow as pa

    from modelwatch.domain.baselines import Baseline
    from modelwatch.domain.blocks import Block
    from modelwatch.domain.compaction import CaptureHour, MergedHour
    from modelwatch.domain.constraints import Constraints
    from modelwatch.domain.importance import Importance
    from modelwatch.domain.labels import Label
    from modelwatch.domain.models import ModelVersion, Predictions
    from modelwatch.domain.performance.encoding import HourPerformance, LabelledHour
    from modelwatch.domain.performance.results import PerformanceResult
    from modelwatch.domain.performance.rows import CapturedHour, HourOutcomes, Outcomes
    from modelwatch.domain.profiles import Profile, WindowProfile
    from modelwatch.domain.profiles.hashes import Hashes
    from modelwatch.domain.records import Record, Value
    from modelwatch.domain.routing import ServingPlan
    from modelwatch.domain.schemas import Schema
    from modelwatch.domain.segments import SegmentKey
    from modelwatch.domain.verdict.evidence import Evidence
    from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift, LastResult
    from modelwatch.domain.verdict.rules import DriftPolicy
    from modelwatch.domain.windows import Window


class ModelRegistry(Protocol):
    """Knows which version of a model an alias points to."""

    def resolve(self, name: str, alias: str) -> ModelVersion:
        """Return the version behind ``alias``.

        Raises
        ------
        NoModelError
            When there is no such model or alias.
        RegistryError
            When the registry does not answer as it should.
        """
        ...

    def plan(self, name: str, alias: str) -> ServingPlan:
        """Return what serves: the model's routing, or ``alias`` alone when it has none."""
        ...

    def version(self, name: str, version: str) -> ModelVersion:
        """Return a version by its number; raises as `resolve` does."""
        ...

    def metrics(self, version: ModelVersion) -> Mapping[str, float]:
        """Return what the version was found to be worth when it was made."""
        ...


class Model(Protocol):
    """A loaded model version."""

    @property
    def schema(self) -> Schema:
        """Its input columns."""
        ...

    @property
    def flavor(self) -> str:
        """What runs it: ``onnx`` or ``pyfunc``."""
        ...

    @property
    def flavor_reason(self) -> str:
        """Why it is not run in its verified ONNX form; empty where it is."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of what was loaded, in hexadecimal; empty where there is no one artifact."""
        ...

    def predict(self, rows: Sequence[Mapping[str, Value]]) -> Predictions:
        """Predict rows that hold the schema's columns in the schema's order."""
        ...


class ModelLoader(Protocol):
    """Brings a version into memory."""

    def load(self, version: ModelVersion) -> Model:
        """Load ``version``.

        Raises
        ------
        ModelLoadError
            When it cannot be loaded here.
        StoreError
            When its artifacts cannot be read.
        """
        ...


class ServingPlanCache(Protocol):
    """Remembers the serving plan that was good last, for when the registry cannot be asked."""

    def remember(self, plan: ServingPlan) -> None:
        """Keep ``plan``; a memory that fails must not stop the serving, so it never raises."""
        ...

    def recall(self, model_name: str) -> ServingPlan | None:
        """Return the plan kept last, or None when there is none within reach."""
        ...


class Fleet(Protocol):
    """All environments that serve the same function."""

    def recycle_environments(self) -> None:
        """Replace them all: no request that starts after this returned is served by an older one.

        Raises FleetError when that fails.
        """
        ...


class AfterResponse(Protocol):
    """Runs work that the caller of a request need not wait for."""

    def __call__(self, work: Callable[[], list[Sample]]) -> list[Sample]:
        """Run ``work`` once, now or later.

        Returns the samples for the request's own line of metrics: those of ``work`` when it ran
        now; else samples that stand for it until its own samples are emitted.
        """
        ...


class WaitingRecords(Protocol):
    """Records that wait to be sent with later ones."""

    def due_in(self) -> float | None:
        """Return in how many seconds they are due, or None when there are none."""
        ...

    def flush(self, *, is_last: bool = False) -> list[Sample]:
        """Send them now; return what became of them. After the last time none wait."""
        ...


class RecordQueue(Protocol):
    """Takes records on their way to the store."""

    def send(self, records: Sequence[Record]) -> None:
        """Hand ``records`` over; raises QueueError when any was not taken.

        Raises RecordTooLargeError when some are larger than it ever takes: then none was taken.
        """
        ...


class Deliveries(Protocol):
    """Messages that the queue has delivered and that are not done with."""

    def release(self, delays_seconds: Mapping[str, int]) -> None:
        """Let messages be delivered again after a while each, by receipt; never raises.

        What cannot be released comes again when the queue's own time for it is over.
        """
        ...


class LabelQueue(Protocol):
    """Takes labels on their way to the store."""

    def send(self, labels: Sequence[Label]) -> None:
        """Hand ``labels`` over; raises QueueError when any was not taken."""
        ...


class LabelWriter(Protocol):
    """Keeps labels, by the hour of their predictions."""

    def write(self, labels: Sequence[Label]) -> str:
        """Store labels of one hour; the same labels again change nothing.

        Returns the name of the stored object; raises StoreError when it cannot be written.
        """
        ...


class LabelStore(LabelWriter, Protocol):
    """Gives the labels back, too."""

    def objects(self, day: date) -> dict[datetime, list[str]]:
        """Return the names of what is stored for a day, sorted, by the hour of the predictions.

        What is behind a name never changes.
        """
        ...

    def read(self, names: Sequence[str]) -> pa.Table:
        """Return the labels that hold among those behind ``names``, one a prediction, by its id.

        The columns are ``event_id``, ``predicted_at``, ``labelled_at``, ``label`` (the number),
        ``label_text``, ``source`` and ``label_cell`` (see `Label.cell`).
        """
        ...


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

    def outcomes(self, model_name: str, model_version: str, hour: datetime) -> HourOutcomes:
        """Return a version's distinct predictions of an hour, with the labels that hold now."""
        ...

    def unknown(self, hour: datetime) -> tuple[int, int]:
        """Return how many labels there are for an hour, and how many are of nothing captured."""
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
        self, model_name: str, model_version: str, hour: datetime, performance: HourPerformance
    ) -> None:
        """Keep an hour of a version, in place of what was kept."""
        ...

    def load_labelled(self, hours: Iterable[datetime]) -> dict[datetime, LabelledHour]:
        """Return what is kept of hours' labels."""
        ...

    def save_labelled(self, hour: datetime, labelled: LabelledHour) -> None:
        """Keep what is known of an hour's labels, in place of what was kept."""
        ...


class DeadLetters(Protocol):
    """Keeps the messages, and records of messages, that cannot be used, for people to look at."""

    def put(self, message_id: str, body: str, reason: str) -> None:
        """Keep ``body``, from a message, and why it cannot be used.

        Raises QueueError when it was not taken.
        """
        ...


class RecordStore(Protocol):
    """Keeps captured records, by model version and hour."""

    def write(self, records: Sequence[Record] | Sequence[Block]) -> str:
        """Store records of one model version and hour; the same records again change nothing.

        Returns the name of the stored object; raises StoreError when it cannot be written.
        """
        ...

    def versions(self, window: Window) -> list[tuple[str, str]]:
        """Return (model name, version) of everything captured in ``window``, sorted."""
        ...

    def read(self, model_name: str, model_version: str, window: Window) -> pa.Table:
        """Return the distinct records of a version in ``window`` (columns: `records.parquet`)."""
        ...


class ProfileStore(Protocol):
    """Knows windows of captures by their profiles."""

    def versions(self, window: Window) -> list[tuple[str, str]]:
        """Return (model name, version) of everything captured in ``window``, sorted."""
        ...

    def profiles(self, model_name: str, model_version: str, window: Window) -> WindowProfile:
        """Return the profiles of a version's distinct records in ``window``, by variant.

        With those of the declared segments. The window is rounded outward to whole minutes.
        """
        ...

    def sample(self, model_name: str, model_version: str, window: Window, rows: int) -> pa.Table:
        """Return a uniform sample of ``rows`` of these records, or all when they are no more."""
        ...


class CaptureHours(Protocol):
    """Knows the hours of captures, and merges the objects of one."""

    def hours(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> list[CaptureHour]:
        """Return all hours that begin from ``since`` to before ``until``, the oldest first."""
        ...

    def merge(self, hour: CaptureHour, left_out: Hashes) -> MergedHour | None:
        """Merge the objects of an hour, without the events whose hashes are ``left_out``.

        Readers see the same distinct events before, after and on the way.

        Returns
        -------
        MergedHour | None
            What it was and is; None when another run has taken objects away meanwhile.

        Raises
        ------
        StoreError
            When objects cannot be read, written or deleted.
        """
        ...


class Erasures(Protocol):
    """Knows which events were erased."""

    def events(self, now_ms: int) -> Hashes:
        """Return the hashes of the events erased of late, sorted."""
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

    def in_use(self, model_name: str) -> str:
        """Return the name of the baseline in use; `baselines.TRAINING` for each version's own."""
        ...

    def use(self, model_name: str, name: str) -> None:
        """Compare windows of the model with this baseline from now on."""
        ...


class DriftReporter(Protocol):
    """Explains drift to people."""

    def html(
        self,
        reference: pa.Table,
        current: pa.Table,
        features: Sequence[FeatureDrift],
        policy: DriftPolicy,
    ) -> bytes:
        """Return a report on samples of both sides, as one HTML page.

        ``features`` are the results from all rows: their thresholds are shown.
        """
        ...


class ReportStore(Protocol):
    """Keeps results and reports."""

    def save(
        self,
        result: AnalysisResult,
        files: Mapping[str, bytes],
        evidence: Evidence | None = None,
        *,
        replace: bool = False,
    ) -> bool:
        """Store a result, files beside it by name, and what it was made of; the result last.

        The file ``report.html`` is its report.

        Returns False, and leaves it alone, when there is a result of that name; unless ``replace``.
        """
        ...

    def result(self, name: str) -> AnalysisResult:
        """Return a result; raises NotFoundError when there is none of that name."""
        ...

    def evidence(self, result: AnalysisResult) -> Evidence:
        """Return what a result was made of.

        Raises
        ------
        EvidenceError
            When it was not kept, or is missing or damaged.
        """
        ...

    def names(self, model_name: str, since: datetime, until: datetime) -> list[str]:
        """Return the names of a model's results whose windows end in that time, both included.

        They are in the order of these ends.
        """
        ...

    def results(self, limit: int) -> list[AnalysisResult]:
        """Return the newest results, newest first."""
        ...

    def last(self, model_name: str, model_version: str) -> dict[str, LastResult]:
        """Return what is remembered of a version's newest analyses, by `LastResult` key."""
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


class PerformanceMonitor(Protocol):
    """Knows how well model versions predict."""

    def evaluate(
        self,
        model_name: str,
        model_version: str,
        window: Window,
        *,
        reference: pa.Table | None = None,
    ) -> PerformanceResult:
        """Return how well a version predicted in ``window``, by the labels that came so far.

        ``reference``: rows that it was not trained on, with probabilities and labels.
        """
        ...


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
