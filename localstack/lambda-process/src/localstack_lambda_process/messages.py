"""AWS's texts: the log lines of the platform, and the payloads of its errors."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Failure:
    """The platform ended an invocation: what the caller gets and what the log says.

    Attributes
    ----------
    payload
        JSON that the caller gets, with ``FunctionError``.
    error_type
        Type for the REPORT line; None for a timeout.
    log_text
        Lines for the log, each ended by a newline; empty where the runtime wrote its own.
    """

    payload: bytes
    error_type: str | None
    log_text: str = ""


def error_payload(error_type: str, message: str) -> bytes:
    """Error object as AWS returns it."""
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def timed_out(request_id: str, timeout_seconds: float) -> Failure:
    """The function ran longer than its timeout."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = f"{now} {request_id} Task timed out after {timeout_seconds:.2f} seconds"
    return Failure(error_payload("Sandbox.Timedout", text), None, text + "\n")


def runtime_exited(request_id: str, return_code: int) -> Failure:
    """The process ended without a response; a negative `return_code` is a signal's number."""
    if return_code == 0:
        reason = "Runtime exited without providing a reason"
    elif return_code > 0:
        reason = f"Runtime exited with error: exit status {return_code}"
    else:
        reason = f"Runtime exited with error: signal: {_signal_text(-return_code)}"
    text = f"RequestId: {request_id} Error: {reason}"
    error_type = "Runtime.ExitError"
    return Failure(error_payload(error_type, text), error_type, f"{text}\n{error_type}\n")


def response_too_large(payload_bytes: int, limit_bytes: int) -> Failure:
    """The handler's result is over AWS's limit for synchronous invocations."""
    error_type = "Function.ResponseSizeTooLarge"
    text = (
        f"Response payload size ({payload_bytes} bytes) exceeded maximum allowed payload size "
        f"({limit_bytes} bytes)."
    )
    return Failure(error_payload(error_type, text), error_type, f"{text}\n")


def start_line(request_id: str, version: str) -> str:
    """First line of an invocation."""
    return f"START RequestId: {request_id} Version: {version}\n"


def init_report_line(init_ms: float, status: str, error_type: str | None) -> str:
    """Line for an init phase that failed or was longer than its limit."""
    error = f"\tError Type: {error_type}" if error_type else ""
    return f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: init\tStatus: {status}{error}\n"


def end_lines(
    request_id: str,
    duration_ms: float,
    memory_size_mb: int,
    peak_memory_bytes: int,
    init_ms: float | None = None,
    failure: Failure | None = None,
) -> str:
    """END and REPORT lines.

    Parameters
    ----------
    init_ms
        Duration of the init phase when this invocation was the environment's first, else None.
        AWS bills it too (since August 2025), rounded up together with the duration.
    failure
        Set when the platform ended the invocation; a handler's own exception is none.
    """
    peak_mb = math.ceil(peak_memory_bytes / _MEBIBYTE)
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {math.ceil(duration_ms + (init_ms or 0.0))} ms",
        f"Memory Size: {memory_size_mb} MB",
        f"Max Memory Used: {peak_mb} MB",
    ]
    if init_ms is not None:
        fields.append(f"Init Duration: {init_ms:.2f} ms")
    if failure is not None:
        fields.append("Status: error" if failure.error_type else "Status: timeout")
        if failure.error_type:
            fields.append(f"Error Type: {failure.error_type}")
    return f"END RequestId: {request_id}\n" + "".join(f"{field}\t" for field in fields) + "\n"


# Go's names (AWS's supervisor is written in Go) for the signals that end Python processes.
_SIGNAL_TEXTS = {
    1: "hangup",
    2: "interrupt",
    3: "quit",
    4: "illegal instruction",
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
    9: "killed",
    11: "segmentation fault",
    13: "broken pipe",
    15: "terminated",
}


def _signal_text(number: int) -> str:
    return _SIGNAL_TEXTS.get(number, str(number))
