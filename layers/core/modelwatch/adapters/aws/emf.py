"""Metrics as CloudWatch's Embedded Metric Format: JSON lines on standard output, or to an agent.

Source: AWS, "Specification: Embedded metric format". On AWS, CloudWatch Logs extracts the metrics
under ``CloudWatchMetrics`` of a line, and AWS bills each series of them. The bridge reads those and
the others everywhere. ``BridgeMetrics`` names the others: their labels are in the catalog, and AWS
bills each byte of a line.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import batched
from typing import Any, Protocol

import msgspec

from modelwatch.metric_names import CATALOG, CORE, NAMESPACE
from modelwatch.ports.metrics import Sample
from modelwatch.settings.store import LogSettings

CLOUDWATCH_VALUES = 100
"""So many values of a metric CloudWatch takes from a line."""

CLOUDWATCH: dict[str, Collection[str]] = {"none": (), "core": CORE, "all": CATALOG}
"""The metrics that CloudWatch shows, by the setting ``METRICS_TO_CLOUDWATCH``."""

_encode = msgspec.json.Encoder().encode


def emf_lines(
    samples: Sequence[Sample],
    timestamp_ms: int,
    to_cloudwatch: Collection[str] = CORE,
    namespace: str = NAMESPACE,
) -> list[str]:
    """Return the EMF documents that carry ``samples``: as few as they fit in.

    A document is one flat object, so samples share one only as long as no label and no metric
    would need two values in it. A sample with an empty label is for the bridge alone: CloudWatch
    refuses empty dimensions.

    Raises KeyError for a metric that the catalog does not have: a mistake in the code.
    """
    documents: list[dict[str, Any]] = []
    for sample, is_for_cloudwatch in _parts(samples, to_cloudwatch):
        for document in documents:
            if sample.name not in document and all(
                document.get(label, value) == value for label, value in sample.labels.items()
            ):
                break
        else:
            document = {"_aws": {"Timestamp": timestamp_ms, "CloudWatchMetrics": []}}
            documents.append(document)
        if is_for_cloudwatch:
            document["_aws"]["CloudWatchMetrics"].append(_directive(sample, namespace))
        else:
            document["_aws"].setdefault("BridgeMetrics", []).append(CATALOG[sample.name].name)
        document.update(sample.labels)
        document[sample.name] = sample.value
    return [_encode(document).decode() for document in documents]


def _parts(
    samples: Sequence[Sample], to_cloudwatch: Collection[str]
) -> Iterator[tuple[Sample, bool]]:
    """Yield the samples, and whether CloudWatch shows them: those in parts that it takes."""
    for sample in samples:
        if sample.name not in to_cloudwatch or not all(map(str.strip, sample.labels.values())):
            yield sample, False
        elif isinstance(sample.value, int | float) or len(sample.value) <= CLOUDWATCH_VALUES:
            yield sample, True
        else:
            for values in batched(sample.value, CLOUDWATCH_VALUES, strict=False):
                yield Sample(sample.name, values, sample.labels), True


def _directive(sample: Sample, namespace: str) -> dict[str, Any]:
    return {
        "Namespace": namespace,
        "Dimensions": [list(sample.labels)],
        "Metrics": [{"Name": sample.name, "Unit": CATALOG[sample.name].unit}],
    }


class LineStream(Protocol):
    """Takes text: a text file, or `AgentStream`."""

    def write(self, line: str, /) -> object:
        """Write a line, which ends with a line break."""

    def flush(self) -> None:
        """Let what was written be seen."""


class EmfMetricSink:
    """Writes each emission to ``stream`` (standard output) as EMF lines."""

    def __init__(
        self,
        stream: LineStream | None = None,
        clock: Callable[[], float] = time.time,
        to_cloudwatch: Collection[str] = CORE,
        namespace: str = NAMESPACE,
    ) -> None:
        self._namespace = namespace
        self._stream = stream
        self._to_cloudwatch = to_cloudwatch
        self._clock = clock

    def emit(self, samples: Sequence[Sample]) -> None:
        """Write ``samples``; a line is one write, so that lines of threads do not mix."""
        stream = self._stream or sys.stdout
        now_ms = int(self._clock() * 1000)
        for line in emf_lines(samples, now_ms, self._to_cloudwatch, self._namespace):
            stream.write(line + "\n")
        stream.flush()


def metric_sink(settings: LogSettings) -> EmfMetricSink:
    """Return where a function's metrics go: an agent if AWS_EMF_AGENT_ENDPOINT names one.

    On Lambda it does not: CloudWatch Logs, and the bridge, read standard output. What the function
    logs follows LOG_LEVEL from here on: each one asks for its metrics first.

    Raises SettingError when the endpoint is none.
    """
    # of our own lines: those of libraries are as severe as they choose
    logging.getLogger("modelwatch").setLevel(settings.log_level)
    endpoint = settings.aws_emf_agent_endpoint
    to_cloudwatch = CLOUDWATCH[settings.metrics_to_cloudwatch]
    stream = None
    if endpoint:
        from modelwatch.adapters.aws.emf_agent import AgentStream

        stream = AgentStream(endpoint)
    namespace = f"{NAMESPACE}-{settings.stage}"
    return EmfMetricSink(stream, to_cloudwatch=to_cloudwatch, namespace=namespace)
