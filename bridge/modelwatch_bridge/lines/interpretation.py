"""From the text of a log event to readings."""

from __future__ import annotations

from collections.abc import Mapping

from modelwatch.metric_names import Metric
from modelwatch_bridge.lines.emf import Findings, looks_like_emf, read_emf
from modelwatch_bridge.lines.runtime_lines import read_runtime_line

_LAMBDA_PREFIX = "/aws/lambda/"


def function_of(group: str) -> str:
    """Return the function that writes to a log group.

    >>> function_of("/aws/lambda/modelwatch-local-predict")
    'modelwatch-local-predict'
    """
    return group.removeprefix(_LAMBDA_PREFIX)


def interpret(message: str, function: str, catalog: Mapping[str, Metric]) -> Findings:
    """Return what an event's message says; most messages say nothing.

    As in CloudWatch, only a whole event is a line of metrics, and the Lambda service's own lines
    begin an event: what stands further down may quote anyone.

    Parameters
    ----------
    message
        Text of the event, one or more lines.
    function
        Name of the function, for the labels of what the service logged.
    """
    findings = Findings()
    first, _, rest = message.strip().partition("\n")
    if not looks_like_emf(first):
        read_runtime_line(first.strip(), function, findings)
    elif not rest:
        read_emf(first, catalog, findings)
    return findings
