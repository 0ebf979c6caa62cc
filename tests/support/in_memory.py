"""The ports played in memory: what services are tested with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import msgspec
import pyarrow as pa

from modelwatch.adapters.captures.arrow_profiles import (
    profile_segments,
    profile_slices,
    profile_table,
)
from modelwatch.adapters.captures.parquet import FIXED_SCHEMA, records_table
from modelwatch.adapters.captures.trained_windows import trained_windows
from modelwatch.domain.blocks import Block
from modelwatch.domain.episodes.events import VerdictEvent
from modelwatch.domain.importance import Importance
from modelwatch.domain.labels import Label
from modelwatch.domain.models import ModelVersion, Predictions
from modelwatch.domain.performance.losses import LossModel
from modelwatch.domain.performance.profile import PerformanceProfile
from modelwatch.domain.performance.results import (
    PerformancePolicy,
    PerformanceResult,
    evaluate_performance,
)
from modelwatch.domain.profiles import Profile, WindowProfile, merge_profiles
from modelwatch.domain.records import Record, Value
from modelwatch.domain.routing import Routing, ServingPlan
from modelwatch.domain.schemas import Column, Schema
from modelwatch.domain.segments import NO_SEGMENTS, SegmentKey, Segments
from modelwatch.domain.verdict.evidence import Evidence
from modelwatch.domain.verdict.results import (
    AnalysisResult,
    LastResult,
    ResultName,
    WindowVerdict,
)
from modelwatch.domain.windows import Window
from modelwatch.errors import (
    EventBusError,
    EvidenceError,
    ModelLoadError,
    ModelwatchError,
    NoModelError,
    NotFoundError,
    QueueError,
    RecordTooLargeError,
    StoreError,
)
from modelwatch.ports.analysis import Listed
from modelwatch.ports.metrics import Sample

SCHEMA = Schema((Column("alcohol", "double"), Column("colour", "string")))
"""Schema of `SumModel`."""


@dataclass
class InMemoryRegistry:
    """Versions by (name, alias); `failure` is raised when set."""

    aliases: dict[tuple[str, str], ModelVersion] = field(default_factory=dict)
    failure: ModelwatchError | None = None
    routing: Routing | None = None
    unknown: set[str] = field(default_factory=set)
    calls: int = 0

    def point(self, name: str, alias: str, version: str) -> None:
        """Move an alias."""
        self.aliases[name, alias] = ModelVersion(
            name, version, f"memory://{name}/{version}", "run", alias
        )

    def plan(self, name: str, alias: str) -> ServingPlan:
        routing = self.routing or Routing({alias: 1})
        first = self.resolve(name, next(iter(routing.weights)))
        known = {each: self.aliases.get((name, each)) for each in routing.aliases}
        return ServingPlan(
            first.name, routing, {each: version for each, version in known.items() if version}
        )

    def metrics(self, _version: ModelVersion) -> dict[str, float]:
        if self.failure:
            raise self.failure
        return {"accuracy": 0.9}

    def resolve(self, name: str, alias: str) -> ModelVersion:
        self.calls += 1
        if self.failure:
            raise self.failure
        try:
            return self.aliases[name, alias]
        except KeyError:
            raise NoModelError(f"{name} has no alias {alias}") from None

    def version(self, name: str, version: str) -> ModelVersion:
        if version in self.unknown:
            raise NoModelError(f"{name} has no version {version}")
        return ModelVersion(name, version, f"memory://{name}/{version}")


@dataclass
class ConstantModel:
    """Predicts the same for every row, but `others` by the row's place; or raises `failure`."""

    prediction: object = 1
    schema: Schema = SCHEMA
    flavor: str = "constant"
    flavor_reason: str = ""
    digest: str = "d1"
    failure: Exception | None = None
    rows: list[Mapping[str, Value]] = field(default_factory=list)
    others: dict[int, object] = field(default_factory=dict)
    probabilities: list[float] = field(default_factory=lambda: [0.25, 0.75])

    def predict(self, rows: Sequence[Mapping[str, Value]]) -> Predictions:
        if self.failure:
            raise self.failure
        self.rows.extend(rows)
        values = [self.others.get(place, self.prediction) for place in range(len(rows))]
        return Predictions(values, [self.probabilities] * len(rows))


@dataclass
class InMemoryEventBus:
    """Keeps verdict events; while `away` it takes none."""

    events: list[VerdictEvent] = field(default_factory=list)
    away: bool = False

    def send(self, event: VerdictEvent) -> None:
        if self.away:
            raise EventBusError("the event bus is away")
        self.events.append(event)


@dataclass
class InMemoryLoader:
    """Gives the model of each version, by default `model`; a version without one is refused."""

    model: ConstantModel | None = None
    models: dict[str, ConstantModel | None] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)

    def load(self, version: ModelVersion) -> ConstantModel:
        self.loads.append(version.version)
        model = self.models.get(version.version, self.model)
        if model is None:
            raise ModelLoadError(f"version {version.version} cannot be loaded")
        return model


@dataclass
class InMemoryServingPlanCache:
    """The plans that were remembered, by model, and how often they were expired.

    `others` are those of other environments, which an expiry reaches.
    """

    plans: dict[str, ServingPlan] = field(default_factory=dict)
    expired: int = 0
    looks: int = 0
    is_old: bool = False
    others: list[InMemoryServingPlanCache] = field(default_factory=list)

    def remember(self, plan: ServingPlan) -> None:
        self.plans[plan.model_name] = plan

    def recall(self, model_name: str) -> ServingPlan | None:
        return self.plans.get(model_name)

    def expire(self, _model_name: str) -> None:
        self.expired += 1
        for other in self.others:
            other.is_old = True

    def is_expired(self, _model_name: str) -> bool:
        self.looks += 1
        was, self.is_old = self.is_old, False
        return was


@dataclass
class InMemoryQueue:
    """Keeps what it is sent; refuses everything when `down`, and ids in `too_large` always."""

    records: list[Record] = field(default_factory=list)
    down: bool = False
    too_large: set[str] = field(default_factory=set)

    def send(self, records: Sequence[Record]) -> None:
        if large := {r.event_id: 2_000_000 for r in records if r.event_id in self.too_large}:
            raise RecordTooLargeError(large, 999_998)
        if self.down:
            raise QueueError("the queue is down")
        self.records.extend(records)


@dataclass
class InMemoryLabelQueue:
    """Keeps what it is sent; refuses everything when `down`."""

    labels: list[Label] = field(default_factory=list)
    down: bool = False

    def send(self, labels: Sequence[Label]) -> None:
        if self.down:
            raise QueueError("the queue is down")
        self.labels.extend(labels)


@dataclass
class InMemoryLabelWriter:
    """Groups of labels as they were written; refuses hours in `broken`."""

    groups: list[list[Label]] = field(default_factory=list)
    broken: set[int] = field(default_factory=set)

    def write(self, labels: Sequence[Label]) -> str:
        if labels[0].hour.hour in self.broken:
            raise StoreError("the store is down")
        self.groups.append(list(labels))
        return "object"


@dataclass
class InMemoryDeliveries:
    """The delays with which messages were released, by receipt."""

    delays: dict[str, int] = field(default_factory=dict)

    def release(self, delays_seconds: Mapping[str, int]) -> None:
        self.delays.update(delays_seconds)


@dataclass
class InMemoryDeadLetters:
    """Body and reason by message id, of its last letter, and all in `taken`.

    Refuses everything when `down`, and counts its tries.
    """

    letters: dict[str, tuple[str, str]] = field(default_factory=dict)
    taken: list[tuple[str, str, str]] = field(default_factory=list)
    down: bool = False
    tries: int = 0

    def put(self, message_id: str, body: str, reason: str) -> None:
        self.tries += 1
        if self.down:
            raise QueueError("the dead-letter queue is down")
        self.letters[message_id] = (body, reason)
        self.taken.append((message_id, body, reason))


@dataclass
class InMemoryRecordStore:
    """Groups of records, each as it was written once; refuses versions in `broken`."""

    groups: dict[frozenset[str], list[Record]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def write(self, records: Sequence[Record] | Sequence[Block]) -> str:
        found = [
            record
            for each in records
            for record in (each.records() if isinstance(each, Block) else [each])
        ]
        if found[0].model_version in self.broken:
            raise StoreError("the store is down")
        self.groups[frozenset(record.event_id for record in found)] = found
        return "object"

    def versions(self, window: Window) -> list[tuple[str, str]]:
        return sorted({(r.model_name, r.model_version) for r in self._within(window)})

    def days(self, model_name: str, model_version: str) -> list[date]:
        records = [record for group in self.groups.values() for record in group]
        return sorted(
            {
                record.captured_at.date()
                for record in records
                if (record.model_name, record.model_version) == (model_name, model_version)
            }
        )

    def read(self, model_name: str, model_version: str, window: Window) -> pa.Table:
        distinct = {
            record.event_id: record
            for record in self._within(window)
            if (record.model_name, record.model_version) == (model_name, model_version)
        }
        return records_table(list(distinct.values())) if distinct else FIXED_SCHEMA.empty_table()

    def _within(self, window: Window) -> list[Record]:
        return [
            record
            for group in self.groups.values()
            for record in group
            if window.start <= record.captured_at < window.end
        ]


@dataclass
class InMemoryReferences:
    """Reference tables by version number."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    holdouts: dict[str, pa.Table] = field(default_factory=dict)
    importances: dict[str, Importance] = field(default_factory=dict)
    loss_models: dict[str, LossModel] = field(default_factory=dict)
    declared: Segments = NO_SEGMENTS

    def reference(self, version: ModelVersion) -> pa.Table | None:
        return self.tables.get(version.version)

    def profile(self, version: ModelVersion) -> Profile | None:
        table = self.reference(version)
        return None if table is None else profile_table(table)

    def windows(
        self, version: ModelVersion, windows: Sequence[Window]
    ) -> Iterator[tuple[Window, Profile, Profile]]:
        return trained_windows(self.tables[version.version], windows)

    def segments(self, version: ModelVersion) -> Mapping[SegmentKey, Profile]:
        table = self.reference(version)
        return {} if table is None else profile_segments(table, self.declared)

    def holdout(self, version: ModelVersion) -> pa.Table | None:
        return self.holdouts.get(version.version)

    def importance(self, version: ModelVersion) -> Importance | None:
        return self.importances.get(version.version)

    def losses(self, version: ModelVersion) -> LossModel | None:
        return self.loss_models.get(version.version)


@dataclass
class InMemoryProfiles:
    """Profiles of what is in `store`; a version in `broken` raises a foreign error."""

    store: InMemoryRecordStore
    broken: set[str] = field(default_factory=set)
    declared: Segments = NO_SEGMENTS

    def versions(self, window: Window) -> list[tuple[str, str]]:
        return self.store.versions(window)

    def days(self, model_name: str, model_version: str) -> list[date]:
        return self.store.days(model_name, model_version)

    def has_captures(self, model_name: str, model_version: str, window: Window) -> bool:
        return bool(self.store.read(model_name, model_version, window).num_rows)

    def profiles(self, model_name: str, model_version: str, window: Window) -> WindowProfile:
        if model_version in self.broken:
            raise RuntimeError("the profiles broke")
        table = self.store.read(model_name, model_version, window)
        slices = profile_slices(table)
        variants = {piece.variant for piece in slices}
        return WindowProfile(
            {
                variant: merge_profiles([p.profile for p in slices if p.variant == variant])
                for variant in sorted(variants)
            },
            tuple(f"{window.start:%Y%m%dT%H%M%SZ}/{variant}" for variant in sorted(variants)),
            segments=profile_segments(table, self.declared),
        )

    def sample(self, model_name: str, model_version: str, window: Window, rows: int) -> pa.Table:
        return self.store.read(model_name, model_version, window).slice(0, rows)


@dataclass
class InMemoryPerformance:
    """Says of every version that its labels are too few; raises `failure` when set."""

    failure: Exception | None = None

    def evaluate(
        self,
        model_name: str,
        model_version: str,
        window: Window,
        *,
        variant: str | None = None,
        reference: pa.Table | None = None,
        losses: LossModel | None = None,  # noqa: ARG002 - as the port
        policy: PerformancePolicy | None = None,
    ) -> PerformanceResult:
        if self.failure:
            raise self.failure
        return PerformanceResult(
            model_name=model_name,
            model_version=model_version,
            window_start=window.start,
            window_end=window.end,
            variant=variant or "",
            verdict=evaluate_performance(PerformanceProfile(), policy or PerformancePolicy()),
            records=0 if reference is None else reference.num_rows,
        )


@dataclass
class InMemoryReporter:
    """Reports that tell how many rows they were made of."""

    made: list[tuple[int, int]] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    def html(
        self,
        reference: pa.Table,
        current: pa.Table,
        _verdict: WindowVerdict,
        _title: str,
        notes: Sequence[str] = (),
        profiles: tuple[Profile, Profile] | None = None,
    ) -> bytes:
        assert profiles is not None
        self.notes = tuple(notes)
        self.made.append((reference.num_rows, current.num_rows))
        return b"<html>report</html>"


@dataclass
class InMemoryReportStore:
    """Results, what they were made of and reports by name; what is remembered by version."""

    saved: dict[str, AnalysisResult] = field(default_factory=dict)
    kept: dict[str, Evidence] = field(default_factory=dict)
    reports: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    remembered: dict[tuple[str, str], dict[str, LastResult]] = field(default_factory=dict)
    restated: dict[str, list[PerformanceResult]] = field(default_factory=dict)

    def save(
        self, result: AnalysisResult, files: Mapping[str, bytes], evidence: Evidence | None = None
    ) -> bool:
        if result.name in self.saved:
            return False
        self.saved[result.name] = result
        if evidence is not None:
            self.kept[result.name] = evidence
        if "report.html" in files:
            self.reports[result.name] = files["report.html"]
        self.files[result.name] = dict(files)
        return True

    def result(self, name: str, restated: int = 0) -> AnalysisResult:
        if name not in self.saved:
            raise NotFoundError(f"there is no result '{name}'")
        found = self.saved[name]
        if not restated:
            return found
        return msgspec.structs.replace(found, performance=self.restated[name][restated - 1])

    def restate(self, name: str, performance: PerformanceResult, number: int) -> bool:
        kept = self.restated.setdefault(name, [])
        if number <= len(kept):
            return False
        kept.append(performance)
        return True

    def evidence(self, result: AnalysisResult) -> Evidence:
        if result.name not in self.kept:
            raise EvidenceError(f"{result.name} has no stored evidence")
        return self.kept[result.name]

    def names(self, model_name: str, since: datetime, until: datetime) -> list[str]:
        found = [each for each in self.saved.values() if since <= each.window_end <= until]
        found.sort(key=lambda each: each.window_end)
        return [each.name for each in found if each.model_name == model_name]

    def versions(self, model_name: str = "") -> list[tuple[str, str]]:
        found = {(each.model_name, each.model_version) for each in self.saved.values()}
        return sorted(each for each in found if model_name in ("", each[0]))

    def newest(
        self,
        versions: Sequence[tuple[str, str]],
        since: datetime | None,
        until: datetime | None,
        most: int,
        before: ResultName | None = None,
    ) -> list[Listed]:
        def place(name: ResultName) -> tuple[str, str, str]:
            return name.ending, name.model_name, name.model_version

        names = [name for each in self.saved if (name := ResultName.parse(each))]
        chosen = [
            name
            for name in names
            if (name.model_name, name.model_version) in versions
            and (since is None or name.window_end > since)
            and (until is None or name.window_end <= until)
            and (before is None or place(name) < place(before))
        ]
        return [
            Listed(name, 1000, len(self.restated.get(str(name), ())))
            for name in sorted(chosen, key=place, reverse=True)[:most]
        ]

    def last(self, model_name: str, model_version: str) -> dict[str, LastResult]:
        return self.remembered.get((model_name, model_version), {})

    def remember(
        self, model_name: str, model_version: str, newest: Mapping[str, LastResult]
    ) -> None:
        self.remembered[model_name, model_version] = dict(newest)

    def results(self, limit: int) -> list[AnalysisResult]:
        newest = sorted(self.saved.values(), key=lambda result: result.window_end, reverse=True)
        return newest[:limit]

    def report_url(self, name: str, expires_seconds: int) -> str:
        if name not in self.reports:
            raise NotFoundError(f"there is no report '{name}'")
        return f"https://reports.example/{name}?expires={expires_seconds}"


@dataclass
class InMemoryMetrics:
    """Every sample that was emitted."""

    samples: list[Sample] = field(default_factory=list)

    def emit(self, samples: Sequence[Sample]) -> None:
        self.samples.extend(samples)

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a metric whose labels include ``labels``."""
        return sum(
            sample.value if isinstance(sample.value, int | float) else sum(sample.value)
            for sample in self.samples
            if sample.name == name and labels.items() <= dict(sample.labels).items()
        )

    def names(self) -> set[str]:
        """Return the names of all metrics that were emitted."""
        return {sample.name for sample in self.samples}


def copy_of(record: Record, **changes: object) -> Record:
    """Return ``record`` with ``changes``."""
    return msgspec.structs.replace(record, **changes)
