"""One execution environment: a process, the API that it uses, and their common end."""

import time
from dataclasses import dataclass
from pathlib import Path

from .lifecycle import Invocation, Lifecycle
from .messages import Failure, runtime_exited, timed_out
from .process import FunctionProcess
from .runtime_api import RuntimeApiServer

# AWS gives the init phase ten seconds of its own; what it takes beyond counts as the function's.
INIT_LIMIT_SECONDS = 10.0

SHUTDOWN_SECONDS = 0.5
"""AWS waits so long after SIGTERM if there is an internal extension; without one, not at all."""


@dataclass(frozen=True)
class Launch:
    """How to start a function's process; only the address of the API is added later.

    Attributes
    ----------
    arguments
        Command line: interpreter, ``-m awslambdaric``, handler.
    working_directory
        Task root.
    environment
        The process's whole environment.
    function
        Name, version and handler, for extensions.
    response_limit_bytes
        The largest result that a handler may return.
    """

    arguments: list[str]
    working_directory: Path
    environment: dict[str, str]
    function: dict[str, str]
    response_limit_bytes: int


class Sandbox:
    """A started environment. It has one invocation at a time and is never restarted."""

    def __init__(self, launch: Launch) -> None:
        self._lifecycle = Lifecycle(launch.response_limit_bytes)
        self._server = RuntimeApiServer(self._lifecycle, launch.function)
        self._launched_at = time.monotonic()
        environment = {**launch.environment, "AWS_LAMBDA_RUNTIME_API": self._server.address}
        try:
            self._process = FunctionProcess(
                launch.arguments, launch.working_directory, environment, self._exited
            )
        except OSError:
            self._server.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether the environment can take an invocation."""
        state = self._lifecycle
        with state.changed:
            return not state.closed and state.init_failure is None

    @property
    def is_ready(self) -> bool:
        """Whether the init phase is complete."""
        return self._lifecycle.ready_at is not None

    @property
    def init_failure(self) -> Failure | None:
        """The error by which the runtime, or an extension, ended the init phase."""
        return self._lifecycle.init_failure

    @property
    def has_extensions(self) -> bool:
        """Whether an extension is registered for invocations."""
        with self._lifecycle.changed:
            return any(each.invoke_events for each in self._lifecycle.extensions.values())

    def died_idle(self, invocation: Invocation) -> bool:
        """Whether the process ended by itself before the event could be passed to it."""
        state = self._lifecycle
        return self.is_ready and not invocation.dispatched and state.return_code is not None

    def init_ms(self) -> float:
        """Duration of the init phase in milliseconds; up to now while it lasts."""
        return ((self._lifecycle.ready_at or time.monotonic()) - self._launched_at) * 1000

    def await_init(self) -> None:
        """Wait until the init phase ends in any way, or reaches its limit."""
        state = self._lifecycle
        with state.changed:
            state.changed.wait_for(
                lambda: state.ready_at is not None or state.init_failure or state.closed,
                timeout=self._launched_at + INIT_LIMIT_SECONDS - time.monotonic(),
            )

    def respond(self, invocation: Invocation) -> None:
        """Pass the event to the function; wait for its response, or for another end.

        It sets `invocation.response`, and `invocation.failure` if the platform ended it. Then the
        environment ends, too: AWS's runtime client does not continue after the refusal of a
        response that is too large.
        """
        state = self._lifecycle
        state.begin(invocation)
        with state.changed:
            state.changed.wait_for(
                lambda: invocation.runtime_done or state.init_failure or state.closed,
                timeout=invocation.deadline - time.monotonic(),
            )
        self._conclude(invocation)

    def settle(self, invocation: Invocation) -> None:
        """Wait, after `respond`, until runtime and extensions are free, within the same timeout.

        It sets `invocation.failure` if they are not; the caller already has its response.
        """
        state = self._lifecycle
        with state.changed:
            settled = state.changed.wait_for(
                lambda: state.settled(invocation) or state.closed,
                timeout=invocation.deadline - time.monotonic(),
            )
            if settled and state.settled(invocation):
                return
        if invocation.failure is None:
            invocation.failure = self._reason(invocation)
        self.close()

    def peak_memory_bytes(self) -> int:
        """Highest resident memory of the function's process, in bytes."""
        return self._process.peak_memory_bytes()

    def take_output(self) -> str:
        """Return what the function wrote since the last call, in whole lines."""
        text = self._process.output.take()
        return text + "\n" if text and not text.endswith("\n") else text

    def shut_down(self) -> None:
        """End an idle environment: SIGTERM, and time for its extensions, if there are any."""
        state = self._lifecycle
        with state.changed:
            has_time = bool(state.extensions) and not state.closed
        if has_time:
            self._process.terminate()
            with state.changed:
                state.changed.wait_for(lambda: state.closed, timeout=SHUTDOWN_SECONDS)
        self.close()

    def await_end(self, seconds: float) -> bool:
        """Wait for this time; return whether the environment has ended."""
        state = self._lifecycle
        with state.changed:
            return state.changed.wait_for(lambda: state.closed, timeout=seconds)

    def close(self) -> None:
        """Kill the process and all its descendants, without waiting."""
        self._process.peak_memory_bytes()
        self._process.kill()
        self._lifecycle.close()
        self._server.close()

    def _exited(self, return_code: int) -> None:
        self._lifecycle.process_exited(return_code)
        self._server.close()

    def _conclude(self, invocation: Invocation) -> None:
        with self._lifecycle.changed:
            if not invocation.runtime_done:
                # From here on a late response is refused.
                invocation.runtime_done = True
                failure = self._reason(invocation)
                invocation.failure = failure
                invocation.response = failure.payload
                invocation.is_error = True
        if invocation.failure is not None:
            self.close()

    def _reason(self, invocation: Invocation) -> Failure:
        state = self._lifecycle
        with state.changed:
            if state.init_failure is not None:
                return state.init_failure
            if state.return_code is not None:
                return runtime_exited(invocation.request_id, state.return_code)
        if state.closed:
            return runtime_exited(invocation.request_id, -9)
        return timed_out(invocation.request_id, invocation.timeout_seconds)
