"""Limits the environments of a function; further calls wait for their turn.

LocalStack starts an environment for every invocation that finds no free one. On AWS each one has
its share of a machine. Here they share a few cores: forty calls at the same time would start forty
slow processes. With a limit, a few warm environments process them in the order of their arrival.

A synchronous call waits before LocalStack looks up its version: during the wait, an update of the
function may stop the version that it would have found.
"""

import contextlib
import functools
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

from localstack.aws.api.lambda_ import InvocationType, TooManyRequestsException
from localstack.services.lambda_.invocation.lambda_service import LambdaService
from localstack.services.lambda_.invocation.version_manager import LambdaVersionManager
from localstack.utils.patch import Patch

PATIENCE_SECONDS = 29.0
"""How long a call waits until it is throttled: as long as API Gateway waits for a function."""


class Turns:
    """Admits ``limit`` callers at a time, the others in the order of their arrival."""

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._free = limit
        self._waiting: deque[threading.Event] = deque()

    @contextlib.contextmanager
    def turn(self, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
        """Wait for a turn and hold it.

        Raises TooManyRequestsException when no turn came within ``patience_seconds``: what AWS says
        of a function at its limit.
        """
        self._take(patience_seconds)
        try:
            yield
        finally:
            self._pass_on()

    def _take(self, patience_seconds: float) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(patience_seconds):
            return
        with self._lock:
            # the turn may have come between the end of the wait and here
            if mine.is_set():
                return
            self._waiting.remove(mine)
        raise TooManyRequestsException(
            "Rate Exceeded.",
            Reason="ReservedFunctionConcurrentInvocationLimitExceeded",
            Type="User",
        )

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


@functools.cache
def bound_environments(limit: int) -> None:
    """Limit each function to ``limit`` invocations at a time; a second call changes nothing."""
    turns: dict[tuple[str, str, str], Turns] = defaultdict(lambda: Turns(limit))
    lock = threading.Lock()

    def turn(account: str, region: str, function_name: str) -> Any:
        with lock:
            return turns[account, region, function_name].turn()

    def invoke(original: Callable[..., Any], service: LambdaService, **call: Any) -> Any:
        # what is asynchronous is only put in a queue now
        if call["invocation_type"] in (InvocationType.Event, InvocationType.DryRun):
            return original(service, **call)
        with turn(call["account_id"], call["region"], call["function_name"]):
            return original(service, **call)

    def invoke_queued(
        original: Callable[..., Any], manager: LambdaVersionManager, *, invocation: Any
    ) -> Any:
        if invocation.invocation_type != InvocationType.Event:
            return original(manager, invocation=invocation)
        version = manager.function_version.id
        with turn(version.account, version.region, version.function_name):
            return original(manager, invocation=invocation)

    Patch.function(LambdaService.invoke, invoke).apply()
    Patch.function(LambdaVersionManager.invoke, invoke_queued).apply()
