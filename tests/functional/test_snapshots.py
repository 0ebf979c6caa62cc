"""SnapStart: an environment that is made of a snapshot is as fresh as a new one.

The hooks are run as Lambda's runtime client runs them, by its own library, in this process.
"""

import importlib
import random
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from in_memory import (
    ConstantModel,
    InMemoryLoader,
    InMemoryMetrics,
    InMemoryQueue,
    InMemoryRegistry,
    InMemoryServingPlanCache,
)
from modelwatch.adapters.aws.clients import s3_client, sqs_client
from modelwatch.adapters.aws.snapshots import close_connections, on_snapshot
from modelwatch.adapters.registries.mlflow_http import MlflowHttp
from modelwatch.domain.event_ids import new_event_id
from modelwatch.errors import RegistryError
from modelwatch.services.outbox import Outbox
from modelwatch.services.predict import PredictService
from modelwatch.services.serving import ModelPool
from modelwatch.settings import Settings
from stand_in import serving

RUNTIME = Path(__file__).parents[2] / ".envs/runtime/lib/python3.13/site-packages"


@pytest.fixture
def hooks(monkeypatch):
    """Lambda's own library, which is in its runtime and nowhere else."""
    monkeypatch.syspath_prepend(str(RUNTIME))
    monkeypatch.delitem(sys.modules, "snapshot_restore_py", raising=False)
    yield importlib.import_module("snapshot_restore_py")
    sys.modules.pop("snapshot_restore_py", None)


def take_snapshot(hooks):
    waiting = hooks.get_before_snapshot()
    while waiting:  # the newest first, as the runtime client does
        function, arguments, named = waiting.pop()
        function(*arguments, **named)


def restore(hooks):
    for function, arguments, named in hooks.get_after_restore():
        function(*arguments, **named)


class Stage:
    """A service whose clock and registry a test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.registry = InMemoryRegistry()
        self.registry.point("wine", "production", "1")
        loader = InMemoryLoader(ConstantModel(1))
        loader.models["2"] = ConstantModel(2)
        pool = ModelPool(
            model_name="wine",
            alias="production",
            registry=self.registry,
            loader=loader,
            plan_cache=InMemoryServingPlanCache(),
            metrics=InMemoryMetrics(),
            refresh_seconds=30,
            clock=lambda: self.now,
            start=lambda work: work(),
            wait=lambda _seconds: None,
        )
        self.service = PredictService(
            models=pool,
            outbox=Outbox(InMemoryQueue()),
            metrics=InMemoryMetrics(),
            after_response=lambda work: work(),
            clock=lambda: self.now,
        )


def test_hooks_are_registered_where_lambda_has_them_and_nothing_happens_elsewhere(hooks):
    done: list[str] = []
    on_snapshot(lambda: done.append("prepare"), lambda: done.append("renew"))
    take_snapshot(hooks)
    restore(hooks)
    restore(hooks)  # each environment of a snapshot
    assert done == ["prepare", "renew", "renew"]


def test_without_the_library_nothing_happens():
    assert "snapshot_restore_py" not in sys.modules
    on_snapshot(lambda: pytest.fail("prepared"), lambda: pytest.fail("renewed"))


def test_the_plan_is_that_of_the_restore_before_any_request():
    stage = Stage()
    assert stage.service.health()["model_version"] == "1"
    stage.registry.point("wine", "production", "2")
    stage.now += 5 * 86_400
    stage.service.renew()
    calls = stage.registry.calls
    health = stage.service.health()
    assert (health["model_version"], health["status"]) == ("2", "healthy")
    assert health["uptime_seconds"] == 0, "of this environment, and not since the snapshot"
    assert stage.registry.calls == calls, "no request waits for it"


def test_a_registry_that_is_away_at_the_restore_stops_nothing_and_is_said():
    stage = Stage()
    assert stage.service.health()["model_version"] == "1"
    stage.registry.failure = RegistryError("is away")
    stage.now += 3600
    stage.service.renew()
    health = stage.service.health()
    assert (health["model_version"], health["status"]) == ("1", "stale")


def test_a_snapshot_without_a_model_is_renewed_at_the_first_request():
    stage = Stage()
    stage.registry.failure = RegistryError("is away")
    assert not stage.service.health()["model_loaded"]
    stage.registry.failure = None
    stage.service.renew()
    assert stage.service.health()["model_version"] == "1"


def test_random_state_differs_between_environments_of_one_snapshot(hooks):
    on_snapshot(lambda: None, lambda: None)
    take_snapshot(hooks)
    state = random.getstate()
    drawn = []
    for _ in range(2):
        random.setstate(state)  # what the snapshot holds
        restore(hooks)
        drawn.append((random.random(), new_event_id(1_700_000_000_000)))
    (one, first), (other, second) = drawn
    assert one != other
    assert first != second


class Connections(BaseHTTPRequestHandler):
    """Answers on connections that stay open, and counts them."""

    protocol_version = "HTTP/1.1"
    made: ClassVar[list[object]] = []

    def setup(self) -> None:
        self.made.append(self.client_address)
        super().setup()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        payload = b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST  # noqa: N815 - http.server's names

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_connections_do_not_outlive_a_snapshot_and_their_clients_do(monkeypatch):
    made = Connections.made
    made.clear()
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Connections)) as address:
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.setenv(name, address)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        settings = Settings()
        s3, sqs = s3_client(settings), sqs_client(settings, 2000)
        mlflow = MlflowHttp.of(Settings({"MLFLOW_TRACKING_URI": address}))

        def call() -> None:
            s3.head_bucket(Bucket="models")
            sqs.send_message(QueueUrl=f"{address}/1/q", MessageBody="m")
            mlflow.call("GET", "registered-models/get", name="wine")

        for _ in range(3):
            call()
        assert len(made) == 3, "each client keeps its connection"
        close_connections()
        for _ in range(3):
            call()
        assert len(made) == 6
