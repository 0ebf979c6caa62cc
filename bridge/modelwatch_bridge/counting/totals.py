"""The totals: one sample per series, changed through a draft that is applied as a whole.

All changes commute: counters and histograms add up, and a gauge keeps the value of its newest
event, in any order of reading. So the totals depend only on which events were read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

from modelwatch.metric_names import CATALOG, Metric
from modelwatch_bridge.lines.emf import Reading

OVERFLOW = "_overflow"
"""Label value for the counts of series beyond the limit."""

SeriesKey = tuple[str, tuple[str, ...]]
"""Metric name and label values."""

_OVERFLOWS = CATALOG["bridge_overflow_total"]


class Sample:
    """The sample of one series.

    Parameters
    ----------
    value
        A counter's total, a gauge's value, a histogram's sum.
    at_ms
        Time of the newest event that changed it, in milliseconds since 1970.
    event_id
        Of that event: orders events of the same millisecond.
    counts
        A histogram's observations per bucket, not cumulative, the last above all bounds.
    """

    __slots__ = ("at_ms", "counts", "event_id", "value")

    def __init__(
        self, value: float, at_ms: int, event_id: str, counts: list[int] | None = None
    ) -> None:
        self.value = value
        self.at_ms = at_ms
        self.event_id = event_id
        self.counts = counts

    def copy(self) -> Sample:
        """Return a copy that shares nothing."""
        counts = None if self.counts is None else self.counts.copy()
        return Sample(self.value, self.at_ms, self.event_id, counts)

    def is_older(self, at_ms: int, event_id: str) -> bool:
        """Return whether an event of that time and id is as new or newer."""
        order = (self.at_ms, len(self.event_id), self.event_id)
        return order <= (at_ms, len(event_id), event_id)


class Totals:
    """All series, by metric and label values."""

    def __init__(self) -> None:
        self._series: dict[str, dict[tuple[str, ...], Sample]] = {}
        self.changed_metrics: set[str] = set()

    def of(self, metric: str) -> Mapping[tuple[str, ...], Sample]:
        """Return the series of one metric by their label values; empty when there is none."""
        return self._series.get(metric, {})

    def series(self) -> Iterator[tuple[SeriesKey, Sample]]:
        """Yield every series."""
        for name, series in self._series.items():
            for labels, sample in series.items():
                yield (name, labels), sample

    def take_over(self, changes: Mapping[SeriesKey, Sample]) -> None:
        """Make the samples of a draft that was stored the current ones."""
        for (name, labels), sample in changes.items():
            self._series.setdefault(name, {})[labels] = sample
            self.changed_metrics.add(name)

    def remove(self, keys: list[SeriesKey]) -> None:
        """Forget some series."""
        for name, labels in keys:
            self._series.get(name, {}).pop(labels, None)
            self.changed_metrics.add(name)


class Draft:
    """Changes to totals that are visible only after they are stored.

    Parameters
    ----------
    totals
        What the changes start from.
    """

    def __init__(self, totals: Totals, max_series: int) -> None:
        self.changes: dict[SeriesKey, Sample] = {}
        self._totals = totals
        self._max_series = max_series
        self._new: Counter[str] = Counter()

    def add(self, reading: Reading, at_ms: int, event_id: str) -> None:
        """Count a reading of the event with that time and id.

        Counts of a series beyond the limit go to one series whose labels are all
        :data:`OVERFLOW`; a gauge beyond it is dropped. Both are counted.
        """
        metric, labels, values = reading
        sample = self._sample(metric, labels)
        if sample is None:
            self._count_overflow(metric, at_ms, event_id)
            if metric.kind == "gauge":
                return
            sample = self._sample(metric, (OVERFLOW,) * len(labels))
            assert sample is not None
        if metric.kind == "gauge":
            if values and sample.is_older(at_ms, event_id):
                sample.value = values[-1]
        else:
            for value in values:
                sample.value += value
                if sample.counts is not None:
                    sample.counts[bisect_left(metric.buckets, value)] += 1
        if sample.is_older(at_ms, event_id):
            sample.at_ms = at_ms
            sample.event_id = event_id

    def _sample(self, metric: Metric, labels: tuple[str, ...]) -> Sample | None:
        """Return the draft's sample, or None where it would be one too many."""
        key = (metric.name, labels)
        sample = self.changes.get(key)
        if sample is not None:
            return sample
        known = self._totals.of(metric.name)
        current = known.get(labels)
        if current is not None:
            sample = current.copy()
        else:
            is_overflow = bool(labels) and all(label == OVERFLOW for label in labels)
            count = len(known) + self._new[metric.name]
            if count >= self._max_series and labels and not is_overflow:
                return None
            if not is_overflow:
                self._new[metric.name] += 1
            counts = [0] * (len(metric.buckets) + 1) if metric.kind == "histogram" else None
            sample = Sample(0.0, -1, "", counts)
        self.changes[key] = sample
        return sample

    def _count_overflow(self, metric: Metric, at_ms: int, event_id: str) -> None:
        if metric is not _OVERFLOWS:
            self.add(Reading(_OVERFLOWS, (metric.name,), (1.0,)), at_ms, event_id)
