"""A stack of the benchmark's own, with the wine model and a queue."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow

from modelwatch_cli.stack.local_aws import LocalSession

_FOREIGN = ("AWS_", "MLFLOW_", "S3_", "BRIDGE_", "STACK_", "MODELWATCH_")
QUEUE = "bench-captures"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_stack(folder: Path) -> Iterator[dict[str, str]]:
    """Have a stack up, with the wine model in it; yields the environment of what is to use it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    names = ("LOCALSTACK_PORT", "MLFLOW_PORT", "BRIDGE_PORT", "PROMETHEUS_PORT")
    ports = {name: str(free_port()) for name in names}
    # SeaweedFS takes eight in a row, below those that the system hands out
    home = {"MODELWATCH_HOME": str(folder / "home"), "S3_PORT": str(20000 + os.getpid() % 10000)}
    environ = {**inherited, **ports, **home}

    def modelwatch(*arguments: str) -> str:
        command = [sys.executable, "-m", "modelwatch_cli.main", *arguments]
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    try:
        modelwatch("up")
        modelwatch("train")
        addresses = json.loads(modelwatch("env", "--json"))
        sqs = LocalSession(addresses).client("sqs")
        url = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
        yield {**inherited, **addresses, "CAPTURE_QUEUE_URL": url, "LOG_LEVEL": "WARNING"}
    finally:
        modelwatch("down", "--force")


def download_model(environ: dict[str, str], folder: Path) -> str:
    """Bring the model as mlflow keeps it into ``folder``; return where it is."""
    os.environ.update({name: environ[name] for name in environ if name.startswith(_FOREIGN)})
    mlflow.set_tracking_uri(environ["MLFLOW_TRACKING_URI"])
    uri = "models:/wine_quality_model@production"
    return str(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
