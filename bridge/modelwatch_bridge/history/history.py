"""The last hour of traffic and the newest analyses: the page's data without Prometheus.

The totals have only the newest value. Here a *slot* keeps the increase of some counters and
histograms in ten seconds, and an *analysis* keeps one analysis's values of every feature. Both are
rings: the limits below bound memory for any traffic. A late event counts in the slot in which it
was read, as in Prometheus.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from modelwatch.metric_names import CATALOG, DRIFT_STATUS, MONITOR_INFO, VERSION_STATUS, Metric
from modelwatch_bridge.counting.collector import LiveValues, TotalsCollector
from modelwatch_bridge.counting.totals import Totals
from modelwatch_bridge.history.analyses import ANALYSIS_METRICS, Analysis, NewestAnalyses, Version
from modelwatch_bridge.lines.events import Clock

SLOT_MS = 10_000
SLOTS = 360
"""An hour."""

MAX_SERIES = 160
"""Most series of one slot; those of metrics further down in :data:`TRACKED` are left out."""

ANALYSES = 48
MAX_VERSIONS = 50
"""Most analyses of a version, and versions with analyses."""

Key = tuple[str, tuple[str, ...]]
"""Metric, and the values of the labels that :data:`TRACKED` keeps of it."""

Added = float | tuple[int, ...]
"""What was added: to a counter, or to each bucket of a histogram."""

TRACKED: Mapping[str, tuple[str, ...]] = {
    "api_request_latency_seconds": (),
    "api_requests_total": ("status",),
    "capture_records_total": ("outcome",),
    "model_predictions_total": ("model_name", "model_version", "variant"),
    "model_prediction_latency_seconds": ("model_name", "model_version"),
    "faas_invoke_duration_seconds": ("function",),
    "faas_init_duration_seconds": ("function",),
    "faas_coldstarts_total": ("function",),
    "faas_errors_total": ("function",),
    "faas_throttles_total": ("function",),
    "model_prediction_errors_total": ("model_name", "error_type"),
}
"""Counters and histograms of the slots, with the labels that they keep."""

_PLACES = {
    name: tuple([CATALOG[name].labels.index(label) for label in kept])
    for name, kept in TRACKED.items()
}

GAUGES = (
    DRIFT_STATUS,
    VERSION_STATUS,
    MONITOR_INFO,
    "model_version_info",
    "model_stale",
    "model_load_time_seconds",
    "faas_max_memory_bytes",
    "queue_messages",
    "bridge_lag_seconds",
    "model_accuracy",
    "model_estimated_accuracy",
    "model_mean_absolute_error",
    "model_estimated_mean_absolute_error",
    "model_label_maturity_ratio",
)
"""Gauges of which the page shows the newest value, where the catalog has them."""

COUNTS = ("bridge_events_total", "bridge_parse_errors_total")

_DAY_MS = 86_400_000


class Slot(NamedTuple):
    """What was added in :data:`SLOT_MS` from ``at_ms`` on, and the queues' depths at their end."""

    at_ms: int
    added: Mapping[Key, Added]
    depths: Mapping[tuple[str, ...], float]


class HistoryStore(Protocol):
    """Keeps the page's history across restarts; when it cannot, it says so in the log."""

    def slots(self, since_ms: int) -> Iterator[Slot]:
        """Yield the slots from a time on, in order."""

    def analyses(self, limit: int) -> Iterator[tuple[Version, Analysis]]:
        """Yield the newest ``limit`` analyses of each version, the older ones first."""

    def add_slot(self, slot: Slot, keep_since_ms: int) -> None:
        """Keep a slot, and none of before a time."""

    def add_analysis(self, version: Version, analysis: Analysis, limit: int) -> None:
        """Keep an analysis, in place of one of the same time; of a version the newest ``limit``."""


@dataclass(frozen=True, slots=True)
class View:
    """The history at one moment; nothing of it changes any more."""

    now_ms: int
    slots: Sequence[Slot]
    analyses: Mapping[Version, Sequence[Analysis]]
    values: Mapping[str, Mapping[tuple[str, ...], float]]
    left_out: int


class History:
    """Keeps the history of the totals.

    Parameters
    ----------
    collector
        Says which gauges are shown now.
    store
        Keeps slots and analyses across restarts; None for not at all.
    """

    def __init__(
        self,
        totals: Totals,
        collector: TotalsCollector,
        catalog: Mapping[str, Metric],
        clock: Clock,
        store: HistoryStore | None = None,
    ) -> None:
        self._totals = totals
        self._collector = collector
        self._gauges = [name for name in (*GAUGES, *COUNTS) if name in catalog]
        self._clock = clock
        self._store = store
        self._lock = threading.Lock()
        self._slots: deque[Slot] = deque(maxlen=SLOTS)
        self._analyses: dict[Version, deque[Analysis]] = {}
        self._newest = NewestAnalyses(totals)
        self._values: dict[str, Mapping[tuple[str, ...], float]] = {}
        self._left_out = 0
        if store is not None:
            self._slots.extend(store.slots(clock() - SLOT_MS * SLOTS))
            for version, analysis in store.analyses(ANALYSES):
                ring = self._ring(version, clock())
                if ring is not None:
                    ring.append(analysis)
        self._began_ms = self._slot_start()
        self._before = self._sums()

    def observe(self, live: LiveValues) -> None:
        """Take note of how the totals stand. For the thread that changes them.

        Parameters
        ----------
        live
            Values that are no totals.
        """
        start_ms = self._slot_start()
        if start_ms != self._began_ms:
            self._close_slot(start_ms, live)
        if self._totals.changed_metrics & ANALYSIS_METRICS:
            for version, analysis in self._newest.changed():
                self._keep(version, analysis)
        values = {
            name: live[name] if name in live else self._collector.values(name)
            for name in self._gauges
        }
        with self._lock:
            self._values = {name: dict(series) for name, series in values.items()}

    def view(self) -> View:
        """Return what is known now. For any thread."""
        with self._lock:
            return View(
                self._clock(),
                tuple(self._slots),
                {version: tuple(ring) for version, ring in self._analyses.items()},
                self._values,
                self._left_out,
            )

    def _slot_start(self) -> int:
        now_ms = self._clock()
        return now_ms - now_ms % SLOT_MS

    def _sums(self) -> dict[Key, Added]:
        """Return the totals of what is tracked, with the labels that are kept."""
        sums: dict[Key, Added] = {}
        for name, places in _PLACES.items():
            for labels, sample in self._totals.of(name).items():
                key = name, tuple([labels[place] for place in places])
                value: Added = sample.value if sample.counts is None else tuple(sample.counts)
                known = sums.get(key)
                if isinstance(known, tuple) and isinstance(value, tuple):
                    value = tuple(map(int.__add__, known, value))
                elif isinstance(known, float) and isinstance(value, float):
                    value += known
                sums[key] = value
        return sums

    def _close_slot(self, start_ms: int, live: LiveValues) -> None:
        sums = self._sums()
        added: dict[Key, Added] = {}
        left_out = 0
        for key, value in sums.items():
            difference = _difference(value, self._before.get(key))
            if difference is None:
                continue
            if len(added) < MAX_SERIES:
                added[key] = difference
            else:
                left_out += 1
        slot = Slot(self._began_ms, added, dict(live.get("queue_messages", {})))
        self._began_ms = start_ms
        self._before = sums
        with self._lock:
            self._slots.append(slot)
            self._left_out = left_out
        if self._store is not None:
            self._store.add_slot(slot, start_ms - SLOT_MS * SLOTS)

    def _keep(self, version: Version, analysis: Analysis) -> None:
        with self._lock:
            ring = self._ring(version, analysis.at_ms)
            if ring is None or (ring and ring[-1].at_ms > analysis.at_ms):
                return
            if ring and ring[-1].features == analysis.features:
                # names are the most of an analysis, and the same every time
                analysis = replace(analysis, features=ring[-1].features)
                if ring[-1].methods == analysis.methods:
                    analysis = replace(analysis, methods=ring[-1].methods)
            if ring and ring[-1].at_ms == analysis.at_ms:
                ring.pop()
            ring.append(analysis)
        if self._store is not None:
            self._store.add_analysis(version, analysis, ANALYSES)

    def _ring(self, version: Version, at_ms: int) -> deque[Analysis] | None:
        """Return a version's analyses; None where all places are taken by others of that day."""
        ring = self._analyses.get(version)
        if ring is None:
            if len(self._analyses) >= MAX_VERSIONS:
                oldest = min(self._analyses, key=lambda key: self._analyses[key][-1].at_ms)
                if at_ms - self._analyses[oldest][-1].at_ms < _DAY_MS:
                    return None
                del self._analyses[oldest]
            ring = self._analyses[version] = deque(maxlen=ANALYSES)
        return ring


def _difference(value: Added, before: Added | None) -> Added | None:
    """Return the increase, None for none; a total that fell was reset."""
    if isinstance(value, tuple):
        past = before if isinstance(before, tuple) else (0,) * len(value)
        if sum(past) > sum(value):
            past = (0,) * len(value)
        counts = tuple(map(int.__sub__, value, past))
        return counts if any(counts) else None
    earlier = before if isinstance(before, float) and before <= value else 0.0
    return value - earlier or None
