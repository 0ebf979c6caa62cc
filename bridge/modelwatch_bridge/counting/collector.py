"""The totals as metric families for prometheus_client, and as the rendered page.

A page with 50 models of 100 features takes a tenth of a second to render. So the reading thread
renders it after each batch, and only the families that changed; a scrape gets the bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from modelwatch.metric_names import CATALOG, DRIFT_UNKNOWN, Metric
from modelwatch_bridge.counting.totals import Sample, Totals

TEXT = exposition.CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS = openmetrics.CONTENT_TYPE_LATEST

_SAME_LOAD_MS = 1000
"""If a function reports two versions within this time, it serves both."""

_END = b"# EOF\n"
_openmetrics: Callable[[CollectorRegistry], bytes] = openmetrics.generate_latest

LiveValues = Mapping[str, Mapping[tuple[str, ...], float]]
"""Gauges and counters that are no totals, by metric and label values."""


class TotalsCollector(Collector):
    """The totals as metric families, in the catalog's order."""

    def __init__(self, totals: Totals, catalog: Mapping[str, Metric] = CATALOG) -> None:
        self._totals = totals
        self._catalog = catalog
        self.live: LiveValues = {}

    def collect(self) -> Iterator[Family]:
        """Yield a family for each metric that has a series."""
        for name in self._catalog:
            family = self.family(name)
            if family is not None:
                yield family

    def family(self, name: str) -> Family | None:
        """Return the family of one metric, or None while it has no series."""
        metric = self._catalog[name]
        if name in self.live:
            return _simple_family(metric, self.live[name])
        samples = self._totals.of(name)
        if metric.kind == "histogram":
            return _histogram_family(metric, samples)
        return _simple_family(metric, self._shown(metric, samples))

    def values(self, name: str) -> Mapping[tuple[str, ...], float]:
        """Return what is shown of a counter or gauge that is a total, by label values."""
        return self._shown(self._catalog[name], self._totals.of(name))

    def _shown(
        self, metric: Metric, samples: Mapping[tuple[str, ...], Sample]
    ) -> dict[tuple[str, ...], float]:
        if metric.current:
            return _only_newest(metric, samples)
        if metric.needs_verdict:
            samples = self._with_verdict(metric, samples)
        values = {labels: sample.value for labels, sample in samples.items()}
        if metric.kind == "counter":
            preset = metric.preset if metric.labels else ((),)
            return dict.fromkeys(preset, 0.0) | values
        return values

    def _with_verdict(
        self, metric: Metric, samples: Mapping[tuple[str, ...], Sample]
    ) -> dict[tuple[str, ...], Sample]:
        """Leave out what is older than an `unknown` of the same model version."""
        owner = self._catalog[metric.verdict].labels
        places = [metric.labels.index(label) for label in owner]
        unknown = {
            labels: status
            for labels, status in self._totals.of(metric.verdict).items()
            if status.value == DRIFT_UNKNOWN
        }
        shown: dict[tuple[str, ...], Sample] = {}
        for labels, sample in samples.items():
            status = unknown.get(tuple([labels[place] for place in places]))
            if status is None or not sample.is_older(status.at_ms, status.event_id):
                shown[labels] = sample
        return shown


def _only_newest(
    metric: Metric, samples: Mapping[tuple[str, ...], Sample]
) -> dict[tuple[str, ...], float]:
    place = metric.labels.index(metric.current)
    newest_ms: dict[tuple[str, ...], int] = {}
    for labels, sample in samples.items():
        siblings = labels[:place] + labels[place + 1 :]
        newest_ms[siblings] = max(newest_ms.get(siblings, 0), sample.at_ms)
    return {
        labels: sample.value
        if newest_ms[labels[:place] + labels[place + 1 :]] - sample.at_ms <= _SAME_LOAD_MS
        else 0.0
        for labels, sample in samples.items()
    }


def _simple_family(metric: Metric, values: Mapping[tuple[str, ...], float]) -> Family | None:
    if not values:
        return None
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _histogram_family(
    metric: Metric, samples: Mapping[tuple[str, ...], Sample]
) -> HistogramMetricFamily | None:
    if not samples:
        return None
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*(str(float(bound)) for bound in metric.buckets), "+Inf"]
    for labels, sample in samples.items():
        cumulative = accumulate(sample.counts or ())
        family.add_metric(
            labels, list(zip(bounds, map(float, cumulative), strict=True)), sample.value
        )
    return family


class _OneFamily(Collector):
    def __init__(self, family: Family) -> None:
        self._family = family

    def collect(self) -> Iterator[Family]:
        yield self._family


class Page:
    """The rendered metrics, in each requested format.

    Parameters
    ----------
    totals
        Shows which of them changed.
    catalog
        The metrics by name, in the order of the page.
    """

    def __init__(
        self,
        collector: TotalsCollector,
        totals: Totals,
        catalog: Mapping[str, Metric] = CATALOG,
    ) -> None:
        self._collector = collector
        self._totals = totals
        self._catalog = catalog
        self._lock = threading.Lock()
        self._families: dict[str, Family | None] = {}
        self._chunks: dict[str, dict[str, bytes]] = {TEXT: {}}
        self._rendered: dict[str, bytes] = {TEXT: b""}

    def refresh(self, live: LiveValues) -> None:
        """Render what changed since the last call. For the thread that changes the totals.

        Parameters
        ----------
        live
            Values that are no totals; they are all values of their metrics.
        """
        with self._lock:
            changed = self._totals.changed_metrics | set(live) | set(self._collector.live)
            if not self._families:
                changed = set(self._catalog)
            changed |= {
                name
                for name, metric in self._catalog.items()
                if metric.needs_verdict and metric.verdict in changed
            }
            self._totals.changed_metrics = set()
            self._collector.live = live
            for name in changed & set(self._catalog):
                self._families[name] = self._collector.family(name)
                for content_type in self._chunks:
                    self._render_family(name, content_type)
            for content_type in self._chunks:
                self._publish(content_type)

    def rendered(self, content_type: str) -> bytes:
        """Return the page as of the last refresh, as :data:`TEXT` or :data:`OPENMETRICS`."""
        if content_type not in self._rendered:
            with self._lock:
                self._chunks[content_type] = {}
                for name in self._families:
                    self._render_family(name, content_type)
                self._publish(content_type)
        return self._rendered[content_type]

    def _render_family(self, name: str, content_type: str) -> None:
        family = self._families[name]
        chunks = self._chunks[content_type]
        if family is None:
            chunks.pop(name, None)
        elif content_type == OPENMETRICS:
            chunks[name] = _openmetrics(_registry(family)).removesuffix(_END)
        else:
            chunks[name] = exposition.generate_latest(_registry(family))

    def _publish(self, content_type: str) -> None:
        chunks = self._chunks[content_type]
        body = b"".join([chunks[name] for name in self._catalog if name in chunks])
        self._rendered[content_type] = body + _END if content_type == OPENMETRICS else body


def _registry(family: Family) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_OneFamily(family))
    return registry


def content_type_for(accept: str) -> str:
    """Return the format that a scraper's `Accept` header requests.

    >>> content_type_for("text/plain") == TEXT
    True
    """
    _, chosen = exposition.choose_encoder(accept)
    return OPENMETRICS if chosen.startswith("application/openmetrics-text") else TEXT
