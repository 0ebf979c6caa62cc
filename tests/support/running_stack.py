"""A stack of the tests' own: the real `modelwatch` command, on ports and in a folder of its own."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from botocore.config import Config

from modelwatch_cli.stack.environment import read_env_file
from modelwatch_cli.stack.local_aws import LocalSession
from modelwatch_cli.stack.ports import is_free
from waiting import eventually

#: LocalStack, MLflow, the bridge (twice), Prometheus, and eight in a row for SeaweedFS.
_PORTS = (
    "LOCALSTACK_PORT",
    "MLFLOW_PORT",
    "BRIDGE_PORT",
    "BRIDGE_EMF_PORT",
    "PROMETHEUS_PORT",
    "S3_PORT",
)
_PORTS_IN_A_ROW = len(_PORTS) + 7
_given: set[int] = set()
#: Of the longest command on a slow and busy machine; pytest waits longer, and so its output shows.
_COMMAND_SECONDS = 900
#: What a developer's shell or .env may say about another stack, or about AWS.
FOREIGN = (
    *("AWS_", "S3_", "MLFLOW_", "MODEL_REGISTRY", "DATABRICKS_"),
    *("BRIDGE_", "STACK_", "MODELWATCH_"),
)


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack, up or not.

    Parameters
    ----------
    home
        Its MODELWATCH_HOME.
    environ
        The variables that tell `modelwatch` about it; to be merged into a subprocess' environment.
    command
        The `modelwatch` command, to be followed by arguments.
    folder
        Where it runs; None for the working directory.
    """

    home: Path
    environ: dict[str, str]
    command: list[str] = field(
        default_factory=lambda: [sys.executable, "-m", "modelwatch_cli.main"]
    )
    folder: Path | None = None

    @property
    def endpoint_url(self) -> str:
        """LocalStack's address."""
        return f"http://127.0.0.1:{self.environ['LOCALSTACK_PORT']}"

    @property
    def whole_environ(self) -> dict[str, str]:
        """The complete environment of a subprocess that is to use this stack."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)
        }
        return {**inherited, **self.environ}

    def client(self, service: str, config: Config | None = None) -> Any:
        """Return a boto3 client of a service of LocalStack, or of the S3, once the stack is up."""
        stack_env = read_env_file(self.home / "stack.env")
        return LocalSession(stack_env).client(service, config=config)

    def know_model(self, name: str = "wine_quality_model") -> None:
        """Make a registered model without versions, unless it is there.

        A deployment refuses a name that the registry has not, while it has others: those of other
        tests on the same stack.
        """
        url = f"http://127.0.0.1:{self.environ['MLFLOW_PORT']}/api/2.0/mlflow"
        made = httpx.post(f"{url}/registered-models/create", json={"name": name}, timeout=60)
        assert made.status_code in (200, 400), made.text

    def run_planned(self, function: str, planned: datetime) -> dict[str, Any]:
        """Invoke a function of the stage as a rule does that was planned for this time.

        What it puts into the queue of analyses is done, too, when this returns.
        """
        event = {
            "version": "0",
            "id": str(uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": "000000000000",
            "time": f"{planned:%Y-%m-%dT%H:%M:%SZ}",
            "region": "us-east-1",
            "resources": [],
            "detail": {},
        }
        config = Config(read_timeout=_COMMAND_SECONDS, retries={"max_attempts": 1})
        stage = self.environ.get("STAGE", "local")
        response = self.client("lambda", config=config).invoke(
            FunctionName=f"modelwatch-{stage}-{function}", Payload=json.dumps(event).encode()
        )
        payload: dict[str, Any] = json.loads(response["Payload"].read())
        assert "FunctionError" not in response, payload
        if payload.get("sent"):
            eventually(lambda: not self.waiting(f"modelwatch-{stage}-analyses.fifo"))
        return payload

    def waiting(self, queue: str) -> int:
        """Return how many messages are in a queue, those that someone works on included."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        counts = [f"ApproximateNumberOfMessages{each}" for each in ("", "NotVisible", "Delayed")]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
        return sum(map(int, found.values()))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `modelwatch` with ``arguments`` and return what came of it."""
        return subprocess.run(
            [*self.command, *arguments],
            env=self.whole_environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )

    def text(self, *arguments: str) -> str:
        """Return what a command prints that succeeds."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr or done.stdout[:3000]
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Return what a command says with `--json`."""
        return json.loads(self.text(*arguments, "--json"))


def free_ports(count: int = 1) -> int:
    """Return the first of ``count`` free ports in a row.

    They are below those that the system hands out, and are given to no one else: a worker of pytest
    has ports of its own. So they are still free when a program comes to use them.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    lowest = 20_000 + worker % 8 * 1500
    for _ in range(1000):
        ports = range(first := random.randrange(lowest, lowest + 1500 - count), first + count)
        if _given.isdisjoint(ports) and all(map(is_free, ports)):
            _given.update(ports)
            return first
    raise RuntimeError(f"no {count} free ports in a row")


def describe_stack(home: Path, **variables: str) -> RunningStack:
    """Return a stack in ``home``, on free ports, with ``variables`` more; it is not up."""
    first = free_ports(_PORTS_IN_A_ROW)
    ports = {name: str(first + offset) for offset, name in enumerate(_PORTS)}
    # with other stacks on the same cores a queue may take longer than predict would wait for it
    own = {"MODELWATCH_HOME": str(home), "CAPTURE_BUDGET_MS": "10000"}
    return RunningStack(home, {**own, **ports, **variables})


def processes_of(home: Path) -> dict[int, str]:
    """Return the processes that have to do with ``home``, by their command or environment."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(home).encode() in command + environ:
            found[int(entry.name)] = command.replace(b"\0", b" ").decode()
    return found


def processes_left(home: Path) -> dict[int, str]:
    """Return what still has to do with ``home`` when no more of it ends.

    What ends functions' processes does so when LocalStack is gone.
    """
    deadline = time.monotonic() + 30
    while (found := processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def processes_with(**variables: str) -> list[int]:
    """Return the processes whose environment has these variables."""
    marks = {f"{name}={value}" for name, value in variables.items()}
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environ = (entry / "environ").read_text(errors="replace").split("\0")
        except OSError:
            continue
        if marks <= set(environ):
            found.append(int(entry.name))
    return found


def runs(pid: int) -> bool:
    """Whether a process is there; one that ended and that no one has waited for is not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def listening_addresses(pids: set[int]) -> list[tuple[str, int]]:
    """Return the addresses on which ``pids`` listen, as the kernel lists them."""
    inodes = set()
    for pid in pids:
        with suppress(FileNotFoundError):  # a process may end meanwhile, and close a file
            for descriptor in list(Path(f"/proc/{pid}/fd").iterdir()):
                with suppress(FileNotFoundError):
                    target = os.readlink(descriptor)
                    if target.startswith("socket:["):
                        inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            # 0A: listening; udp has no such state, a bound socket is open
            if fields[9] in inodes and (fields[3] == "0A" or table.startswith("udp")):
                address, _, port = fields[1].rpartition(":")
                words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
                found.append((str(ipaddress.ip_address(b"".join(words))), int(port, 16)))
    return found
