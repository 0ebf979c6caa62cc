"""Lambda functions as local processes: the executor that LocalStack calls.

How it works
------------
LocalStack manages functions, versions, concurrency, event sources and retries. It asks an executor
to *prepare* a version once. Then, for each execution environment, it asks to *start* it, to
*invoke* it with one event at a time, and to *stop* it. Here:

- `prepare_version` finds the runtime of the function (`runtimes`), unpacks its code and merges its
  layers (`layers`). A function that cannot run fails now: its state becomes Failed, and its
  StateReason is the error's text.
- `start` is AWS's init phase. It makes a `sandbox.Sandbox`: a process (`process`) that runs AWS's
  own ``awslambdaric``, and the HTTP server that gives it events (`runtime_api` over `lifecycle`).
  The first invocation reports a failed init: if `start` raised it, LocalStack would lose its log.
- `invoke` offers the event and waits for the response, the end of the process or the timeout. Then
  it makes the log (`messages`, `output`), which LocalStack writes to CloudWatch Logs. If the
  process of an environment ended, the next invocation starts a new one, as on AWS.
- If an extension is registered, the caller has the response while the extension still works. A
  thread waits for the end of this work and writes END and REPORT to the log. The environment's next
  invocation waits for that thread.
- `stop` kills, and waits for nothing. If an extension is registered, it first sends SIGTERM and
  waits 500 ms, as on AWS. An invocation in flight may finish, as on AWS after an update of the
  code, unless LocalStack itself stops. If LocalStack is killed, `guardian` kills all processes.
"""

import logging
import shutil
import tempfile
import threading
from pathlib import Path

from localstack import config
from localstack.runtime import events
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from . import messages, runtimes
from .environment import function_environment
from .errors import EnvironmentStoppedError, LambdaProcessError
from .late_log import LateLog
from .layers import LayerStore
from .lifecycle import Invocation
from .sandbox import INIT_LIMIT_SECONDS, Launch, Sandbox
from .settings import Settings

LOG = logging.getLogger(__name__)


def _work_directory() -> Path:
    # Beside the code LocalStack unpacks: on the same file system, so that layers are hard links.
    return Path(tempfile.gettempdir()) / "lambda"


_IDLE_LOG_SECONDS = 0.5
"""How often the output of an idle environment is looked at."""

LAYERS = LayerStore(_work_directory() / "opt")


class ProcessRuntimeExecutor(RuntimeExecutor):
    """One execution environment. When its sandbox ended, it gets a new one."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id, function_version)
        self._lock = threading.Lock()
        self._sandbox: Sandbox | None = None
        self._launch: Launch | None = None
        self._first_invocation = False
        self._invoking = False
        self._stopping = False
        self._settled = threading.Event()
        self._settled.set()
        self._log_group = ""
        self._log_stream = ""
        self._late_log: LateLog | None = None
        self._logged: Sandbox | None = None
        self._scratch = _work_directory() / "environments" / id

    @classmethod
    def validate_environment(cls) -> bool:
        """Log at LocalStack's start a problem that prevents every function from running."""
        try:
            runtimes.bare_interpreter(Settings.from_environment())
        except LambdaProcessError as error:
            LOG.warning("Lambda functions cannot be created: %s", error)
            return False
        return True

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Resolve runtime, code and layers; an error's text becomes the StateReason."""
        settings = function_version.config
        runtimes.resolve(settings, Settings.from_environment())
        if settings.code is not None:
            settings.code.prepare_for_execution()
        LAYERS.apply(settings.layers)

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Do nothing: LocalStack deletes the code, and other versions share the layers."""

    def start(self, env_vars: dict[str, str]) -> None:
        """Run the init phase; the first invocation reports its failure."""
        self._log_group = str(env_vars["AWS_LAMBDA_LOG_GROUP_NAME"])
        self._log_stream = str(env_vars["AWS_LAMBDA_LOG_STREAM_NAME"])
        self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._launch = self._plan(env_vars)
        self._open_sandbox().await_init()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        """Process one event; LocalStack sends the next one only after this returns."""
        with self._lock:
            self._invoking = True
        try:
            self._settled.wait()
            return self._invoke(payload)
        finally:
            with self._lock:
                self._invoking = False
                close = self._stopping and self._settled.is_set()
            if close:
                self._shut_down()

    def stop(self) -> None:
        """End the environment without waiting for anything."""
        with self._lock:
            self._stopping = True
            busy = self._invoking or not self._settled.is_set()
        if events.infra_stopping.is_set():
            self._close()
        elif not busy:
            threading.Thread(target=self._shut_down, name="lambda-process-end", daemon=True).start()

    def get_address(self) -> str:
        """Address of the environment: this machine."""
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        """Host at which a function reaches LocalStack: what the gateway listens on."""
        host = str(config.GATEWAY_LISTEN[0].host)
        return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host

    def get_runtime_endpoint(self) -> str:
        """URL for LocalStack's supervisor in a container; nothing uses it here."""
        return f"http://{self.get_endpoint_from_executor()}:{config.GATEWAY_LISTEN[0].port}"

    def get_logs(self) -> str:
        """Return output that belongs to no invocation yet."""
        return self._sandbox.take_output() if self._sandbox else ""

    def _plan(self, env_vars: dict[str, str]) -> Launch:
        settings = self.function_version.config
        runtime = runtimes.resolve(settings, Settings.from_environment())
        environment = function_environment(
            env_vars,
            settings.environment or {},
            runtime,
            LAYERS.apply(settings.layers),
            self._scratch,
        )
        return Launch(
            # -u: what a function printed is in the log even if it is killed right after.
            arguments=[str(runtime.interpreter.path), "-u", "-m", "awslambdaric", runtime.handler],
            working_directory=runtime.working_directory or runtime.task_root,
            environment=environment,
            function={
                "functionName": self.function_version.id.function_name,
                "functionVersion": self.function_version.id.qualifier,
                "handler": runtime.handler,
            },
            response_limit_bytes=config.LAMBDA_LIMITS_MAX_FUNCTION_PAYLOAD_SIZE_BYTES,
        )

    def _open_sandbox(self) -> Sandbox:
        assert self._launch is not None, "invoked before it was started"
        sandbox = Sandbox(self._launch)
        with self._lock:
            self._sandbox = sandbox
            self._first_invocation = True
            stopped = self._stopping and not self._invoking
        if stopped:
            sandbox.close()
        return sandbox

    def _usable_sandbox(self) -> tuple[Sandbox, str]:
        """Return a sandbox to invoke, and the output of an ended one that is not in the log yet."""
        sandbox = self._sandbox
        assert sandbox is not None
        # One that died before its first invocation has that to report.
        if sandbox.alive or self._first_invocation:
            return sandbox, ""
        left_over = sandbox.take_output()
        sandbox = self._open_sandbox()
        sandbox.await_init()
        return sandbox, left_over

    def _invoke(self, payload: dict[str, str]) -> InvocationResult:
        if self._stopping and events.infra_stopping.is_set():
            raise EnvironmentStoppedError("LocalStack is stopping.")
        before, sandbox, invocation, init_ms = self._attempt(payload)
        if sandbox.died_idle(invocation):
            # It died, unnoticed, after its last response: the event never reached it.
            before, sandbox, invocation, init_ms = self._attempt(payload)

        if invocation.failure is None and sandbox.has_extensions:
            log = before + sandbox.take_output()
            self._settled = threading.Event()
            if sandbox is not self._logged:
                self._logged = sandbox
                threading.Thread(
                    target=self._log_while_idle,
                    args=(self._open_late_log(), sandbox),
                    name="lambda-process-idle-log",
                    daemon=True,
                ).start()
            threading.Thread(
                target=self._settle,
                args=(self._open_late_log(), sandbox, invocation, init_ms, self._settled),
                name="lambda-process-settle",
                daemon=True,
            ).start()
        else:
            log = before + self._end_of_log(sandbox, invocation, init_ms)
        return InvocationResult(
            request_id=invocation.request_id,
            payload=invocation.response or b"",
            is_error=invocation.is_error,
            logs=log,
        )

    def _attempt(self, payload: dict[str, str]) -> tuple[str, Sandbox, Invocation, float | None]:
        """Process an event; return the log so far, and the data for the rest of the log."""
        sandbox, before = self._usable_sandbox()
        first, self._first_invocation = self._first_invocation, False
        init_ms = sandbox.init_ms() if first and sandbox.is_ready else None
        before += sandbox.take_output()
        if first and init_ms is None:
            before += self._init_report(sandbox)
        invocation = Invocation(
            request_id=payload["invoke-id"],
            function_arn=payload["invoked-function-arn"],
            trace_id=payload["trace-id"],
            payload=payload["payload"].encode(),
            timeout_seconds=float(self.function_version.config.timeout),
        )
        before += messages.start_line(invocation.request_id, self.function_version.id.qualifier)
        sandbox.respond(invocation)
        if invocation.failure is not None and self._stopping and events.infra_stopping.is_set():
            # Not the function's failure; a result would have LocalStack load services to count it.
            raise EnvironmentStoppedError("LocalStack stopped while the function was running.")
        return before, sandbox, invocation, init_ms

    @staticmethod
    def _init_report(sandbox: Sandbox) -> str:
        failure = sandbox.init_failure
        if failure is not None:
            return messages.init_report_line(sandbox.init_ms(), "error", failure.error_type)
        if not sandbox.alive:
            return messages.init_report_line(sandbox.init_ms(), "error", "Runtime.ExitError")
        return messages.init_report_line(INIT_LIMIT_SECONDS * 1000, "timeout", None)

    def _end_of_log(self, sandbox: Sandbox, invocation: Invocation, init_ms: float | None) -> str:
        duration_ms = invocation.duration_ms()
        failure = invocation.failure
        peak_memory_bytes = sandbox.peak_memory_bytes()
        return (
            sandbox.take_output()
            + (failure.log_text if failure else "")
            + messages.end_lines(
                invocation.request_id,
                duration_ms,
                self.function_version.config.memory_size,
                peak_memory_bytes,
                init_ms,
                failure,
            )
        )

    def _settle(
        self,
        late_log: LateLog,
        sandbox: Sandbox,
        invocation: Invocation,
        init_ms: float | None,
        settled: threading.Event,
    ) -> None:
        try:
            sandbox.settle(invocation)
            text = self._end_of_log(sandbox, invocation, init_ms)
        finally:
            with self._lock:
                settled.set()
                close = self._stopping and not self._invoking
            if close:
                self._shut_down()
        # After `settled`: the next invocation need not wait for a log.
        if not events.infra_stopping.is_set():
            late_log.write(text)

    def _log_while_idle(self, late_log: LateLog, sandbox: Sandbox) -> None:
        """Write the environment's output between invocations and at its end.

        On AWS it is frozen between them; here an extension may continue.
        """
        ended = False
        while not ended:
            ended = sandbox.await_end(_IDLE_LOG_SECONDS)
            with self._lock:
                is_idle = self._settled.is_set() and not self._invoking
                text = sandbox.take_output() if is_idle else ""
            if text and not events.infra_stopping.is_set():
                late_log.write(text)

    def _open_late_log(self) -> LateLog:
        if self._late_log is None:
            identifier = self.function_version.id
            self._late_log = LateLog(
                identifier.account, identifier.region, self._log_group, self._log_stream
            )
        return self._late_log

    def _shut_down(self) -> None:
        if self._sandbox is not None:
            self._sandbox.shut_down()
        self._close()

    def _close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
