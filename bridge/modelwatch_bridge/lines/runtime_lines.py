"""The lines that the Lambda service itself writes: REPORT, timeouts, crashes, stack traces.

One failed invocation is one failure, although several lines may show it:

- an exception of the handler is one `[ERROR] Type: message` line, and nothing else;
- a timeout, a dead process and a failed import name the request in one or two lines
  (`Task timed out`, `RequestId: … Error: …`, `REPORT … Status: …`), which count once per request.
  The `[ERROR] Runtime.…` line of a failed import comes once or twice and names no request: it
  does not count, the REPORT line's status does.

A message logged at level ERROR reads `[ERROR]<tab>time…` and is not a failed invocation.
"""

from __future__ import annotations

import math
import re

from modelwatch.metric_names import CATALOG
from modelwatch_bridge.lines.emf import Findings, Reading

_DURATION = CATALOG["faas_invoke_duration_seconds"]
_INIT = CATALOG["faas_init_duration_seconds"]
_COLDSTARTS = CATALOG["faas_coldstarts_total"]
_ERRORS = CATALOG["faas_errors_total"]
_MEMORY = CATALOG["faas_max_memory_bytes"]
_BILLED = CATALOG["faas_billed_gb_seconds_total"]

_MEGABYTE = 1024 * 1024
_HANDLER_ERROR = re.compile(r"\[ERROR\] (?P<type>[A-Za-z_][\w.]*)(?::|$)")
_INIT_ERRORS = frozenset(
    (
        "Runtime.ImportModuleError",
        "Runtime.UserCodeSyntaxError",
        "Runtime.HandlerNotFound",
        "Runtime.MalformedHandlerName",
    )
)
_TIMED_OUT = re.compile(r"(?P<request>[0-9a-f-]{36}) Task timed out after ")
_DIED = re.compile(r"RequestId: (?P<request>\S+) Error: ")


def read_runtime_line(line: str, function: str, findings: Findings) -> None:
    """Add to ``findings`` what a line of the Lambda service says; other lines say nothing.

    Parameters
    ----------
    findings
        Is added to: readings, and the ids of requests that failed.
    """
    if line.startswith("REPORT "):
        _read_report(line, function, findings)
    elif line.startswith("[ERROR] "):
        found = _HANDLER_ERROR.match(line)
        if found and found["type"] not in _INIT_ERRORS:
            findings.readings.append(Reading(_ERRORS, (function,), (1.0,)))
    elif " Task timed out after " in line:
        if found := _TIMED_OUT.search(line):
            findings.failed_requests.append(found["request"])
    elif line.startswith("RequestId: ") and (found := _DIED.match(line)):
        findings.failed_requests.append(found["request"])


def failure(function: str) -> Reading:
    """Return the reading for one request that failed."""
    return Reading(_ERRORS, (function,), (1.0,))


def _read_report(line: str, function: str, findings: Findings) -> None:
    fields = dict(
        part.split(": ", 1) for part in line[len("REPORT ") :].split("\t") if ": " in part
    )
    labels = (function,)
    try:
        duration = _number(fields["Duration"], "ms") / 1000
        billed = _number(fields["Billed Duration"], "ms") / 1000
        memory_size = _number(fields["Memory Size"], "MB")
        memory_used = _number(fields["Max Memory Used"], "MB")
        init = _number(fields["Init Duration"], "ms") / 1000 if "Init Duration" in fields else None
    except (KeyError, ValueError):
        findings.parse_errors += 1
        return
    gigabyte_seconds, memory_bytes = billed * memory_size / 1024, memory_used * _MEGABYTE
    if not (math.isfinite(gigabyte_seconds) and math.isfinite(memory_bytes)):
        findings.parse_errors += 1
        return
    readings = findings.readings
    readings.append(Reading(_DURATION, labels, (duration,)))
    readings.append(Reading(_BILLED, labels, (gigabyte_seconds,)))
    readings.append(Reading(_MEMORY, labels, (memory_bytes,)))
    if init is not None:
        readings.append(Reading(_INIT, labels, (init,)))
        readings.append(Reading(_COLDSTARTS, labels, (1.0,)))
    if fields.get("Status", "success").strip() != "success":
        findings.failed_requests.append(fields.get("RequestId", "").strip())


def _number(text: str, unit: str) -> float:
    value, found = text.strip().split(" ", 1)
    number = float(value)
    if found != unit or not 0 <= number < float("inf"):
        raise ValueError(text)
    return number
