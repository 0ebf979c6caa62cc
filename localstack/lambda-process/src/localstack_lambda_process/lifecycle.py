"""The state of one execution environment, and what is allowed in each state.

It has no HTTP and no processes. `runtime_api` turns requests into calls of this class, `sandbox`
reports the process's end to it, and both wait on its one condition.

The phases are AWS's. *Init* ends when the runtime and every registered extension have asked for
their first event. An *invocation* has a response when the runtime has posted its result. It is
settled when after that the runtime and every extension that is registered for INVOKE have asked for
the next event; without such an extension the response is enough. Then the environment is free.
"""

import json
import threading
import time
import uuid
from dataclasses import dataclass, field

from .messages import Failure, error_payload, response_too_large

MAX_EXTENSIONS = 10


class RequestRefusedError(Exception):
    """The current state does not allow a request to the Runtime or Extensions API."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type


class EnvironmentClosedError(Exception):
    """The environment ended while a request waited for an event: it gets no response."""


@dataclass
class Invocation:
    """One event and its response; times are of `time.monotonic`."""

    request_id: str
    function_arn: str
    trace_id: str
    payload: bytes
    timeout_seconds: float
    started: float = field(default_factory=time.monotonic)
    started_epoch_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    dispatched: bool = False
    response: bytes | None = None
    is_error: bool = False
    failure: Failure | None = None
    runtime_done: bool = False

    @property
    def deadline(self) -> float:
        """The moment of the function's timeout."""
        return self.started + self.timeout_seconds

    def duration_ms(self) -> float:
        """Milliseconds since the start, at most the timeout."""
        return min(time.monotonic() - self.started, self.timeout_seconds) * 1000

    @property
    def deadline_epoch_ms(self) -> int:
        """The deadline in milliseconds since 1970, as the APIs report it."""
        return self.started_epoch_ms + int(self.timeout_seconds * 1000)


@dataclass
class Extension:
    """A registered internal extension. `seen` is the last invocation it received."""

    name: str
    invoke_events: bool
    waiting: bool = False
    seen: Invocation | None = None


class Lifecycle:
    """State of one environment, thread-safe; hold `changed` to read its attributes."""

    def __init__(self, response_limit_bytes: int) -> None:
        self.changed = threading.Condition()
        self.runtime_waiting = False
        self.ready_at: float | None = None
        self.init_failure: Failure | None = None
        self.return_code: int | None = None
        self.closed = False
        self.current: Invocation | None = None
        self.extensions: dict[str, Extension] = {}
        self._response_limit_bytes = response_limit_bytes

    # What the environment's owner does.

    def begin(self, invocation: Invocation) -> None:
        """Offer an event to the runtime and the extensions."""
        with self.changed:
            self.current = invocation
            self.changed.notify_all()

    def process_exited(self, return_code: int) -> None:
        """Note the process's end; nothing happens after it."""
        with self.changed:
            self.return_code = return_code
            self.close()

    def close(self) -> None:
        """End every wait."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def settled(self, invocation: Invocation) -> bool:
        """Whether runtime and extensions have finished the invocation."""
        listeners = [each for each in self.extensions.values() if each.invoke_events]
        if not invocation.runtime_done:
            return False
        if not listeners:
            return True
        return self.runtime_waiting and all(
            each.waiting and each.seen is invocation for each in listeners
        )

    # What the runtime asks for.

    def next_invocation(self) -> Invocation:
        """Block until there is an event for the runtime."""
        with self.changed:
            self.runtime_waiting = True
            self._check_ready()
            self.changed.notify_all()
            while self.current is None or self.current.dispatched:
                if self.closed:
                    raise EnvironmentClosedError
                self.changed.wait()
            self.runtime_waiting = False
            self.current.dispatched = True
            return self.current

    def post_response(self, request_id: str, payload: bytes) -> None:
        """Take the handler's result."""
        with self.changed:
            invocation = self._active(request_id)
            if len(payload) > self._response_limit_bytes:
                failure = response_too_large(len(payload), self._response_limit_bytes)
                invocation.failure = failure
                self._finish(invocation, failure.payload, is_error=True)
                raise RequestRefusedError(
                    413,
                    "RequestEntityTooLarge",
                    f"Exceeded maximum allowed payload size ({self._response_limit_bytes} bytes).",
                )
            self._finish(invocation, payload, is_error=False)

    def post_error(self, request_id: str, payload: bytes) -> None:
        """Take the exception the handler raised."""
        with self.changed:
            self._finish(self._active(request_id), payload, is_error=True)

    def post_init_error(self, error_type: str, payload: bytes) -> None:
        """Take the error that prevented the runtime or an extension from starting."""
        with self.changed:
            if self.ready_at is not None:
                raise RequestRefusedError(
                    403, "InvalidStateTransition", "The init phase is already over."
                )
            # The runtime's own report wins over the exit that follows it.
            self.init_failure = self.init_failure or Failure(
                payload or error_payload(error_type, error_type), error_type
            )
            self.changed.notify_all()

    # What extensions ask for.

    def register_extension(self, name: str, events: list[str]) -> str:
        """Register an internal extension; return its identifier."""
        if not name:
            raise RequestRefusedError(
                403, "Extension.InvalidExtensionName", "The extension's name is missing."
            )
        for event in events:
            if event == "SHUTDOWN":
                raise RequestRefusedError(
                    403,
                    "Extension.InvalidEventType",
                    "SHUTDOWN: event not allowed for internal extensions.",
                )
            if event != "INVOKE":
                raise RequestRefusedError(
                    403, "Extension.InvalidEventType", f"{event}: unknown event type."
                )
        with self.changed:
            if self.ready_at is not None:
                raise RequestRefusedError(
                    403,
                    "Extension.RegistrationClosed",
                    "Extensions register during the init phase only, and it is over.",
                )
            if any(each.name == name for each in self.extensions.values()):
                raise RequestRefusedError(
                    403,
                    "Extension.AlreadyRegistered",
                    f"Extension with name {name} already registered.",
                )
            if len(self.extensions) >= MAX_EXTENSIONS:
                raise RequestRefusedError(
                    403,
                    "Extension.TooManyExtensions",
                    f"Extension limit ({MAX_EXTENSIONS}) reached.",
                )
            identifier = str(uuid.uuid4())
            self.extensions[identifier] = Extension(name, "INVOKE" in events)
            return identifier

    def next_extension_event(self, identifier: str) -> Invocation:
        """Block until there is an INVOKE event the extension has not seen."""
        with self.changed:
            extension = self.extension(identifier)
            extension.waiting = True
            self._check_ready()
            self.changed.notify_all()
            while (
                not extension.invoke_events
                or self.current is None
                or self.current is extension.seen
                or self.ready_at is None
            ):
                if self.closed:
                    raise EnvironmentClosedError
                self.changed.wait()
            extension.waiting = False
            extension.seen = self.current
            return self.current

    def extension(self, identifier: str) -> Extension:
        """Return the extension with an identifier."""
        if not identifier:
            raise RequestRefusedError(
                403,
                "Extension.MissingExtensionIdentifier",
                "The Lambda-Extension-Identifier header is missing.",
            )
        with self.changed:
            try:
                return self.extensions[identifier]
            except KeyError:
                raise RequestRefusedError(
                    403, "Extension.UnknownExtensionIdentifier", f"Unknown extension {identifier}."
                ) from None

    def extension_failed(self, identifier: str, error_type: str) -> None:
        """Take an extension's exit error; as on AWS it ends the environment."""
        with self.changed:
            name = self.extension(identifier).name
            failure = Failure(
                error_payload(error_type, f"Extension {name} reported an error and exited."),
                error_type,
                f"EXTENSION\tName: {name}\tState: ExitError\tError Type: {error_type}\n",
            )
            if self.ready_at is None:
                self.init_failure = self.init_failure or failure
            elif self.current is not None and not self.settled(self.current):
                self.current.failure = failure
                if self.current.response is None:
                    self._finish(self.current, failure.payload, is_error=True)
            self.close()

    # The rules.

    def _check_ready(self) -> None:
        extensions_wait = all(each.waiting for each in self.extensions.values())
        if self.ready_at is None and self.runtime_waiting and extensions_wait:
            self.ready_at = time.monotonic()

    def _active(self, request_id: str) -> Invocation:
        invocation = self.current
        if invocation is None or invocation.request_id != request_id:
            raise RequestRefusedError(400, "InvalidRequestID", "Invalid request ID")
        if invocation.runtime_done:
            raise RequestRefusedError(
                403, "InvalidStateTransition", "The invocation has a response already."
            )
        return invocation

    def _finish(self, invocation: Invocation, response: bytes, is_error: bool) -> None:
        invocation.response = response
        invocation.is_error = is_error
        invocation.runtime_done = True
        self.changed.notify_all()


def extension_event(invocation: Invocation) -> bytes:
    """INVOKE event as the Extensions API delivers it."""
    return json.dumps(
        {
            "eventType": "INVOKE",
            "deadlineMs": invocation.deadline_epoch_ms,
            "requestId": invocation.request_id,
            "invokedFunctionArn": invocation.function_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": invocation.trace_id},
        }
    ).encode()
