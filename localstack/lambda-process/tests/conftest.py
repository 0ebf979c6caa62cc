"""A real LocalStack for the session, and short ways to put functions and layers into it.

The tests run in LocalStack's environment. ``LAMBDA_PROCESS_PYTHON`` names the bare runtime's
python, as it does in production.
"""

import base64
import io
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ROLE = "arn:aws:iam::000000000000:role/function"
_names = itertools.count(1)


@pytest.fixture(scope="session")
def runtime_python() -> Path:
    value = os.environ.get("LAMBDA_PROCESS_PYTHON", "")
    if not value:
        pytest.fail("Set LAMBDA_PROCESS_PYTHON to the python of the bare runtime environment.")
    return Path(value).absolute()


class LocalStackProcess:
    """One LocalStack on a free loopback port, everything it writes below `root`."""

    def __init__(self, root: Path, settings: Mapping[str, str]) -> None:
        self.root = root
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.log_path = root / "localstack.log"
        for name in ("tmp", "home"):
            (root / name).mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": f"{root}/home",
            "XDG_CACHE_HOME": f"{root}/cache",
            "TMPDIR": f"{root}/tmp",
            "FILESYSTEM_ROOT": f"{root}/fs",
            "CONFIG_DIR": f"{root}/home/.localstack",
            "OVERRIDE_IN_DOCKER": "0",
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "LOCALSTACK_HOST": f"127.0.0.1:{self.port}",
            "GATEWAY_SERVER": "twisted-loopback",
            "LAMBDA_RUNTIME_EXECUTOR": "process",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DNS_ADDRESS": "0",
            "EAGER_SERVICE_LOADING": "0",
            # Must not reach functions.
            "PYTHONDONTWRITEBYTECODE": "1",
            "SECRET_OF_LOCALSTACK": "1",
            **settings,
        }
        with self.log_path.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "localstack.runtime.main"],
                cwd=root,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def await_ready(self) -> None:
        def ready() -> bool:
            assert self.popen.poll() is None, f"LocalStack ended:\n{self.log}"
            with suppress(OSError):
                url = f"{self.endpoint}/_localstack/health"
                return urllib.request.urlopen(url, timeout=10).status == 200
            return False

        wait_until(ready)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=20),
        )

    def end(self) -> None:
        with suppress(ProcessLookupError):
            self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


@dataclass
class Invoked:
    """What one synchronous invocation came to."""

    payload: Any
    error: str | None
    log: str
    request_id: str
    seconds: float

    @property
    def report(self) -> dict[str, str]:
        line = next(each for each in self.log.splitlines() if each.startswith("REPORT "))
        fields = line.removeprefix("REPORT ").strip("\t").split("\t")
        return dict(field.split(": ", 1) for field in fields)


class Account:
    """Clients of one LocalStack, and the verbs the tests speak."""

    def __init__(self, localstack: LocalStackProcess, images: Path) -> None:
        self.localstack = localstack
        self.images = images
        self.functions = localstack.client("lambda")
        self.logs = localstack.client("logs")

    def layer(self, files: Mapping[str, str]) -> str:
        response = self.functions.publish_layer_version(
            LayerName=f"layer-{next(_names)}", Content={"ZipFile": archive(files)}
        )
        return str(response["LayerVersionArn"])

    def function(self, code: str | Mapping[str, str], **settings: Any) -> str:
        """Create a function from the source of its app.py, or from files; wait until active."""
        name = self.create(code, **settings)
        state = self.await_created(name)
        assert state["State"] == "Active", state
        return name

    def create(self, code: str | Mapping[str, str], **settings: Any) -> str:
        files = {"app.py": code} if isinstance(code, str) else code
        name = f"function-{next(_names)}"
        variables = settings.pop("Variables", {})
        arguments: dict[str, Any] = {
            "FunctionName": name,
            "Runtime": "python3.13",
            "Handler": "app.handler",
            "Role": ROLE,
            "Code": {"ZipFile": archive(files)},
            "Timeout": 10,
            "MemorySize": 512,
            "Environment": {"Variables": variables},
        }
        if settings.get("PackageType") == "Image":
            arguments = {k: v for k, v in arguments.items() if k not in ("Runtime", "Handler")}
        self.functions.create_function(**{**arguments, **settings})
        return name

    def update(self, name: str, code: str) -> None:
        """Give a function new code; wait until it is served."""
        self.functions.update_function_code(FunctionName=name, ZipFile=archive({"app.py": code}))
        waiter = self.functions.get_waiter("function_updated_v2")
        waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.1})

    def await_created(self, name: str) -> Any:
        def state() -> Any:
            response = self.functions.get_function_configuration(FunctionName=name)
            return None if response["State"] == "Pending" else response

        return wait_until(state)

    def invoke(self, name: str, event: Any = None) -> Invoked:
        begun = time.monotonic()
        response = self.functions.invoke(
            FunctionName=name, Payload=json.dumps(event or {}), LogType="Tail"
        )
        seconds = time.monotonic() - begun
        return Invoked(
            json.loads(response["Payload"].read()),
            response.get("FunctionError"),
            base64.b64decode(response.get("LogResult", "")).decode(),
            response["ResponseMetadata"]["RequestId"],
            seconds,
        )

    def events(self, name: str, until: str) -> list[str]:
        """The function's log events, once one contains `until`."""

        def fetch() -> list[str] | None:
            with suppress(self.logs.exceptions.ResourceNotFoundException):
                response = self.logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")
                messages = [str(event["message"]) for event in response["events"]]
                if any(until in message for message in messages):
                    return messages
            return None

        return wait_until(fetch)


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory, runtime_python: Path) -> Iterator[Account]:
    root = tmp_path_factory.mktemp("localstack")
    images = root / "images"
    images.mkdir()
    localstack = LocalStackProcess(
        root,
        {
            "LAMBDA_PROCESS_PYTHON": str(runtime_python),
            "LAMBDA_PROCESS_IMAGES_DIR": str(images),
            "LAMBDA_PROCESS_CONCURRENCY": "8",
        },
    )
    try:
        localstack.await_ready()
        yield Account(localstack, images)
    finally:
        localstack.end()


@pytest.fixture
def start_localstack(
    tmp_path: Path, runtime_python: Path
) -> Iterator[Callable[..., LocalStackProcess]]:
    """Start further LocalStacks, for tests that end them."""
    started: list[LocalStackProcess] = []

    def start(**settings: str) -> LocalStackProcess:
        localstack = LocalStackProcess(
            tmp_path / str(len(started)),
            {"LAMBDA_PROCESS_PYTHON": str(runtime_python), **settings},
        )
        started.append(localstack)
        return localstack

    yield start
    for localstack in started:
        if localstack.popen.poll() is None:
            localstack.end()


def archive(files: Mapping[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as target:
        for path, text in files.items():
            # A fixed date: the same files are the same archive.
            target.writestr(zipfile.ZipInfo(path), text)
    return data.getvalue()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_until(probe: Callable[[], Any]) -> Any:
    """Return the first true result of `probe`; a slow and busy machine has time for it."""
    deadline = time.monotonic() + 200
    while True:
        if found := probe():
            return found
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def process_runs(process_id: int) -> bool:
    """Whether a process is there and is no zombie."""
    status = Path(f"/proc/{process_id}/status")
    try:
        return not re.search(r"^State:\s+Z", status.read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(name="wait_until")
def wait_until_fixture() -> Callable[..., Any]:
    return wait_until


@pytest.fixture(name="process_runs")
def process_runs_fixture() -> Callable[[int], bool]:
    return process_runs


@pytest.fixture
def account_type() -> type[Account]:
    return Account
