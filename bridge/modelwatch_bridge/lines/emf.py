"""CloudWatch Embedded Metric Format: from a line to readings of catalogued metrics.

Format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from modelwatch.domain.numbers import is_number
from modelwatch.metric_names import NAMESPACE, Metric

LABEL_LENGTH = 128
"""Longest label value that is served, in characters."""


class Reading(NamedTuple):
    """Values of one series: the metric, its label values in the catalog's order, the values."""

    metric: Metric
    labels: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(slots=True)
class Findings:
    """What some lines said: readings, and what was of no use."""

    readings: list[Reading] = field(default_factory=list)
    failed_requests: list[str] = field(default_factory=list)
    unknown_metrics: int = 0
    parse_errors: int = 0


class _UnusableError(Exception):
    """A metric of a line cannot be used."""


_decode = msgspec.json.Decoder().decode


def looks_like_emf(line: str) -> bool:
    """Return whether ``line`` claims to be an EMF line."""
    return line.startswith("{") and '"_aws"' in line


def read_emf(line: str, catalog: Mapping[str, Metric], findings: Findings) -> None:
    """Add to ``findings`` what an EMF line says.

    A metric that the catalog does not list counts as unknown. One that cannot be used (a value
    that is no finite number, a counter that goes down, a missing dimension, a dimension set that
    is not the catalog's labels) counts as a parse error, and the other metrics of the line are
    counted. Directives of other namespaces are ignored. ``BridgeMetrics`` names metrics without a
    directive: their labels are those of the catalog.
    """
    try:
        document = _decode(line)
        root = document["_aws"]
        for directive in root["CloudWatchMetrics"]:
            if directive["Namespace"].partition("-")[0] == NAMESPACE:
                dimension_sets = directive.get("Dimensions", [[]]) or [[]]
                for definition in directive["Metrics"]:
                    _read(document, definition["Name"], dimension_sets, catalog, findings)
        for name in root.get("BridgeMetrics", ()):
            _read(document, name, None, catalog, findings)
    except (
        msgspec.DecodeError, UnicodeError, RecursionError, KeyError, TypeError, AttributeError
    ):  # fmt: skip
        findings.parse_errors += 1


def _read(
    document: Mapping[str, Any],
    name: str,
    dimension_sets: Any,
    catalog: Mapping[str, Metric],
    findings: Findings,
) -> None:
    """Add one metric of a line; without ``dimension_sets`` it has the catalog's labels."""
    metric = catalog.get(name)
    if metric is None:
        findings.unknown_metrics += 1
        return
    try:
        if dimension_sets is not None and not any(
            len(keys) == len(metric.labels) and set(keys) == set(metric.labels)
            for keys in dimension_sets
        ):
            raise _UnusableError
        findings.readings.append(_reading(document, metric))
    except _UnusableError:
        findings.parse_errors += 1


def _reading(document: Mapping[str, Any], metric: Metric) -> Reading:
    values = document.get(metric.name)
    values = tuple(values) if isinstance(values, list) else (values,)
    numbers = tuple([_number(value) for value in values])
    if metric.kind == "counter" and any(number < 0 for number in numbers):
        raise _UnusableError
    return Reading(
        metric, tuple([label_value(document.get(name)) for name in metric.labels]), numbers
    )


def _number(value: object) -> float:
    """Return ``value`` as a double, if it is an acceptable number; JSON has longer ones."""
    if not isinstance(value, int | float) or not is_number(value):
        raise _UnusableError
    return float(value)


def label_value(value: object) -> str:
    """Return ``value`` as a label value of bounded length that is valid UTF-8.

    Of a longer text the beginning stays, with a hash of the whole, so that two stay two.

    >>> label_value("alcohol"), label_value(200)
    ('alcohol', '200')
    >>> len(label_value("x" * 1000)), label_value("x" * 1000) == label_value("x" * 1001)
    (128, False)
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _UnusableError
    try:
        text = str(value)
    except ValueError:  # an integer of more digits than Python writes
        raise _UnusableError from None
    if len(text) <= LABEL_LENGTH and text.isascii():
        return text
    data = text.encode("utf-8", "replace")
    text = data.decode("utf-8")
    if len(text) <= LABEL_LENGTH:
        return text
    return text[: LABEL_LENGTH - 17] + "~" + blake2b(data, digest_size=8).hexdigest()
