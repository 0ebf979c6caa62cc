"""Serving: the predict function beside FastAPI with mlflow.pyfunc, on the same forest of 100 trees.

    python -m benchmarks.serving [--quick]

Starts a stack of its own (S3, MLflow, LocalStack) and ends it. The function runs on the bare
runtime environment with its layers, unpacked as Lambda unpacks them; the baseline on the image
function's environment, its model on the disk already. Prints a table, and JSON as the last line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from benchmarks.serving.runtime_api import seconds_to_first_response
from benchmarks.serving.stack import download_model, free_port, running_stack
from rich.console import Console
from rich.table import Table

from modelwatch_cli.deployment.building.layers import build_layer
from modelwatch_cli.deployment.building.packaging import package_app
from modelwatch_cli.deployment.cloudformation.plan import own_architecture
from modelwatch_cli.project import Project

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
DEV = ROOT / ".envs" / "dev" / "bin"
RUNTIME = ROOT / ".envs" / "runtime" / "bin" / "python"
PYFUNC = ROOT / ".envs" / "pyfunc" / "bin" / "python"
WINE = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]
BODY = json.dumps({"features": WINE})
EVENT = json.dumps(
    {
        "httpMethod": "POST", "path": "/predict", "resource": "/predict", "body": BODY,
        "headers": {"Content-Type": "application/json"}, "isBase64Encoded": False,
        "multiValueQueryStringParameters": None, "pathParameters": None, "stageVariables": None,
        "requestContext": {"httpMethod": "POST", "resourcePath": "/predict"},
    }
)  # fmt: skip
UNWANTED = ("mlflow", "sklearn", "pandas")


@dataclass(frozen=True, slots=True)
class Function:
    """The predict function as Lambda has it: task and layers, unpacked."""

    task: Path
    path: str
    megabytes: float

    def environ(self, environ: Mapping[str, str], scratch: Path) -> dict[str, str]:
        """Return the environment of a new execution environment: nothing is cached in it."""
        cache = tempfile.mkdtemp(dir=scratch)
        bench = {"BENCH_EVENT": EVENT, "MODEL_CACHE": cache, "LAMBDA_TASK_ROOT": str(self.task)}
        return {**environ, **bench, "PYTHONPATH": self.path}


def unpack_function(folder: Path) -> Function:
    """Build what a deployment would, and unpack it."""
    project = Project()
    package = package_app(project, "predict", "us-east-1")
    layers = [build_layer(project, name, own_architecture()) for name in ("inference", "core")]
    task = folder / "task"
    places = [task]
    for artifact in (package.artifact, *layers):
        target = task if artifact is package.artifact else folder / artifact.name
        with zipfile.ZipFile(artifact.path) as archive:
            archive.extractall(target)
        if target is not task:
            places.append(target / "python")
    found = [name for place in places for name in UNWANTED if (place / name).exists()]
    assert not found, f"the function carries {found}"
    size = sum(each.unzipped_bytes for each in (package.artifact, *layers))
    return Function(task, os.pathsep.join(map(str, places)), size / 1024**2)


def output(command: Sequence[Any], environ: Mapping[str, str], **options: Any) -> str:
    """Run ``command`` and return what it printed."""
    done = subprocess.run(
        list(map(str, command)),
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        **options,
    )
    return str(done.stdout)


@contextlib.contextmanager
def served(
    command: Sequence[Any], port: int, environ: Mapping[str, str], cwd: Path
) -> Iterator[None]:
    """Have a server up: it listens on ``port``."""
    process = subprocess.Popen(
        list(map(str, command)), env=environ, cwd=cwd, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, f"{command[0]} ended"
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait()


def p50_ms(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return 1000 * statistics.median(seconds)


def warm(
    function: Function,
    environ: Mapping[str, str],
    baseline: Mapping[str, str],
    requests: int,
    scratch: Path,
) -> dict[str, float]:
    """Measure requests in process."""
    runs = {}
    for queue, count in (("noop", requests), ("send", max(requests // 10, 200))):
        command = [RUNTIME, PROGRAMS / "warm.py", count, queue]
        runs[queue] = json.loads(output(command, function.environ(environ, scratch)))
    pyfunc = json.loads(
        output([PYFUNC, PROGRAMS / "baseline.py", max(requests // 10, 200)], baseline)
    )
    memory = runs["noop"]["memory_mb"]
    return {
        "warm_ms_p50": p50_ms(runs["noop"]["seconds"]),
        "warm_fastapi_pyfunc_ms_p50": p50_ms(pyfunc),
        "warm_times_faster": statistics.median(pyfunc) / statistics.median(runs["noop"]["seconds"]),
        "warm_with_send_ms_p50": p50_ms(runs["send"]["seconds"]),
        "send_alone_ms_p50": p50_ms(runs["send"]["sends"]),
        "memory_mb_after_first_tenth": memory[0],
        "memory_mb_at_end": memory[-1],
        "memory_requests": requests,
    }


def cold(
    function: Function,
    environ: Mapping[str, str],
    baseline: Mapping[str, str],
    runs: int,
    scratch: Path,
) -> dict[str, float]:
    """Measure process start to first response, by Lambda's runtime client, once warmed up."""
    bootstrap = ["-m", "awslambdaric"]
    ours, theirs = [], []
    for _ in range(runs + 1):
        command = [str(RUNTIME), *bootstrap, "chalicelib.lambda_handler.handler"]
        own = {**function.environ(environ, scratch), "AWS_LAMBDA_FUNCTION_NAME": "bench"}
        ours.append(seconds_to_first_response(command, function.task, own, EVENT))
        command = [str(PYFUNC), *bootstrap, "baseline_handler.handler"]
        theirs.append(seconds_to_first_response(command, PROGRAMS, baseline, EVENT))
    return {
        "cold_start_ms_p50": p50_ms(ours[1:]),
        "cold_start_pyfunc_ms_p50": p50_ms(theirs[1:]),
        "cold_start_times_faster": statistics.median(theirs[1:]) / statistics.median(ours[1:]),
    }


def cold_parts(
    function: Function, environ: Mapping[str, str], runs: int, scratch: Path
) -> dict[str, float]:
    """Measure where the time of a cold start goes; the median of each part."""
    found: list[dict[str, float]] = []
    for _ in range(runs + 1):
        own = {**function.environ(environ, scratch), "BENCH_STARTED": str(time.time())}
        # after lines of metrics
        *_, last = output([RUNTIME, PROGRAMS / "cold_parts.py"], own).splitlines()
        found.append(json.loads(last))
    return {f"cold: {part}, ms": p50_ms([each[part] for each in found[1:]]) for part in found[0]}


def throughput(
    environ: Mapping[str, str],
    baseline: Mapping[str, str],
    model: str,
    seconds: float,
    scratch: Path,
) -> dict[str, float]:
    """Measure requests a second of servers on one machine, with 1 and 8 clients."""
    queue_port, port = free_port(), free_port()
    cache = {"MODEL_CACHE": tempfile.mkdtemp(dir=scratch)}
    to_nowhere = f"http://127.0.0.1:{queue_port}"
    nowhere = {"AWS_ENDPOINT_URL_SQS": to_nowhere, "CAPTURE_QUEUE_URL": f"{to_nowhere}/0/none"}
    chalice = [DEV / "chalice", "local", "--no-autoreload", "--port", port]
    app = ROOT / "functions" / "predict"
    split = json.dumps({"dataframe_split": {"columns": _columns(model), "data": [WINE]}})
    uvicorn = [PYFUNC, "-m", "uvicorn", "baseline:app", "--port", port, "--no-access-log"]
    models_serve = [
        PYFUNC,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        model,
        "--env-manager",
        "local",
        "-p",
        port,
    ]
    on_path = {**baseline, "PATH": f"{PYFUNC.parent}{os.pathsep}{baseline['PATH']}"}
    servers = (
        ("chalice_local", chalice, {**environ, **cache, **nowhere}, app, "/predict", BODY),
        ("chalice_local_sqs", chalice, {**environ, **cache}, app, "/predict", BODY),
        ("uvicorn_fastapi_pyfunc", uvicorn, baseline, PROGRAMS, "/predict", BODY),
        ("mlflow_models_serve", models_serve, on_path, scratch, "/invocations", split),
    )
    found = {}
    stand_in = [DEV / "python", PROGRAMS / "queue_stand_in.py", queue_port]
    with served(stand_in, queue_port, environ, scratch):
        for name, command, variables, cwd, path, body in servers:
            with served(command, port, variables, cwd):
                for clients in (1, 8):
                    load = [DEV / "python", PROGRAMS / "clients.py", port, path, clients, seconds]
                    found[f"{name}_rps_{clients}"] = float(output(load, environ, input=body))
    return found


def _columns(model: str) -> list[str]:
    return list(mlflow.models.get_model_info(model).signature.inputs.input_names())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer requests and runs")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        function = unpack_function(scratch)
        with running_stack(scratch) as environ:
            model = download_model(environ, scratch / "model")
            baseline = {
                **environ,
                "BENCH_MODEL": model,
                "BENCH_BODY": BODY,
                "PYTHONPATH": str(PROGRAMS),
            }
            results = warm(function, environ, baseline, 1000 if quick else 10_000, scratch)
            results |= cold(function, environ, baseline, 2 if quick else 7, scratch)
            results |= cold_parts(function, environ, 3 if quick else 9, scratch)
            results |= throughput(environ, baseline, model, 2 if quick else 8, scratch)
        results["unzipped_mb"] = function.megabytes
    wanted = {
        "warm_ms_p50": "< 0.5",
        "warm_times_faster": ">= 20",
        "memory_mb_at_end": "< 128",
        "cold_start_ms_p50": "< 1000",
        "cold_start_times_faster": ">= 5",
        "unzipped_mb": "< 150",
    }
    table = Table("what", "measured", "wanted", title="serving")
    for key, value in results.items():
        table.add_row(key, f"{value:,.3f}" if value < 10 else f"{value:,.0f}", wanted.get(key, ""))
    Console().print(table)
    print(json.dumps({key: round(value, 4) for key, value in results.items()}))


if __name__ == "__main__":
    main()
