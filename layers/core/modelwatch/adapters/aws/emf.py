"""Metrics as CloudWatch's Embedded Metric Format: JSON lines on standard output, or to an agent.

Source: AWS, "Specification: Embedded metric format". CloudWatch Logs extracts the metrics on AWS;
the bridge reads the same lines everywhere.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from modelwatch.metric_names import CATALOG, NAMESPACE
from modelwatch.ports.metrics import Sample
from modelwatch.settings.store import LogSettings

_encode = msgspec.json.Encoder().encode


def emf_lines(
    samples: Sequence[Sample], timestamp_ms: int, namespace: str = NAMESPACE
) -> list[str]:
    """Return the EMF documents that carry ``samples``: as few as they fit in.

    A document is one flat object, so samples share one only as long as no label and no metric
    would need two values in it.

    Raises KeyError for a metric that the catalog does not have: a mistake in the code.
    """
    documents: list[dict[str, Any]] = []
    for sample in samples:
        for document in documents:
            if sample.name not in document and all(
                document.get(label, value) == value for label, value in sample.labels.items()
            ):
                break
        else:
            document = {"_aws": {"Timestamp": timestamp_ms, "CloudWatchMetrics": []}}
            documents.append(document)
        document["_aws"]["CloudWatchMetrics"].append(
            {
                "Namespace": namespace,
                "Dimensions": [list(sample.labels)],
                "Metrics": [{"Name": sample.name, "Unit": CATALOG[sample.name].unit}],
            }
        )
        document.update(sample.labels)
        document[sample.name] = sample.value
    return [_encode(document).decode() for document in documents]


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
        namespace: str = NAMESPACE,
    ) -> None:
        self._namespace = namespace
        self._stream = stream
        self._clock = clock

    def emit(self, samples: Sequence[Sample]) -> None:
        """Write ``samples``; a line is one write, so that lines of threads do not mix."""
        stream = self._stream or sys.stdout
        for line in emf_lines(samples, int(self._clock() * 1000), self._namespace):
            stream.write(line + "\n")
        stream.flush()


def metric_sink(settings: LogSettings) -> EmfMetricSink:
    """Return where a function's metrics go: an agent if AWS_EMF_AGENT_ENDPOINT names one.

    On Lambda it does not: CloudWatch Logs, and the bridge, read standard output.

    Raises SettingError when the endpoint is none.
    """
    endpoint = settings.aws_emf_agent_endpoint
    namespace = f"{NAMESPACE}-{settings.stage}"
    if not endpoint:
        return EmfMetricSink(namespace=namespace)
    from modelwatch.adapters.aws.emf_agent import AgentStream

    return EmfMetricSink(AgentStream(endpoint), namespace=namespace)
