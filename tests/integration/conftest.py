"""The stack that integration tests share: the real one, on ports and in a folder of its own."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

#: LocalStack, MLflow, the bridge, Prometheus, and eight in a row for SeaweedFS.
_PORTS = ("LOCALSTACK_PORT", "MLFLOW_PORT", "BRIDGE_PORT", "PROMETHEUS_PORT", "S3_PORT")
_PORTS_IN_A_ROW = len(_PORTS) + 7
#: What a developer's shell or .env may say about another stack, or about AWS.
_FOREIGN = ("AWS_", "MLFLOW_", "S3_", "BRIDGE_", "STACK_", "MODELWATCH_")


# A shell that runs the tests in the background has Ctrl-C ignored, and children inherit that;
# with a handler here, they start with it in force, as they do at a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack, up or not.

    Parameters
    ----------
    home
        Its MODELWATCH_HOME.
    environ
        The variables that tell `modelwatch` about it; to be merged into a subprocess' environment.
    """

    home: Path
    environ: dict[str, str]

    @property
    def endpoint_url(self) -> str:
        """LocalStack's address."""
        return f"http://127.0.0.1:{self.environ['LOCALSTACK_PORT']}"

    @property
    def command(self) -> list[str]:
        """The `modelwatch` command, to be followed by arguments."""
        return [sys.executable, "-m", "modelwatch_cli.main"]

    @property
    def whole_environ(self) -> dict[str, str]:
        """The complete environment of a subprocess that is to use this stack."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)
        }
        return {**inherited, **self.environ}

    def run(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run `modelwatch` with ``arguments`` and return what came of it."""
        return subprocess.run(
            [*self.command, *arguments],
            env=self.whole_environ,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def _ports_in_a_row(count: int) -> int:
    """Return the first of ``count`` free ports, below those that the system hands out."""
    for _ in range(100):
        first = random.randrange(20000, 32000)
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, probe in enumerate(sockets):
                probe.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
        return first
    raise RuntimeError(f"no {count} free ports in a row")


@pytest.fixture(scope="session")
def new_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningStack]]:
    """Describe a stack that is not up, with ``variables`` more; all are stopped in the end."""
    made: list[RunningStack] = []

    def make(**variables: str) -> RunningStack:
        home = tmp_path_factory.mktemp("stack") / "home"
        first = _ports_in_a_row(_PORTS_IN_A_ROW)
        ports = {name: str(first + offset) for offset, name in enumerate(_PORTS)}
        made.append(RunningStack(home, {"MODELWATCH_HOME": str(home), **ports, **variables}))
        return made[-1]

    yield make
    for stack in made:
        stack.run("down", "--force")


@pytest.fixture(scope="session")
def stack(new_stack: Callable[..., RunningStack]) -> RunningStack:
    """The whole stack, up; shared by the session, so leave it up."""
    running = new_stack()
    outcome = running.run("up")
    assert outcome.returncode == 0, outcome.stderr
    return running


@pytest.fixture(scope="session")
def localstack(stack: RunningStack) -> RunningStack:
    """LocalStack with functions as processes: a part of the shared stack."""
    return stack
