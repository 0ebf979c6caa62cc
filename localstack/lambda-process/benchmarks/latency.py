"""Latency of an empty function: the plugin alone, and through LocalStack with boto3.

    LAMBDA_PROCESS_PYTHON=… python benchmarks/latency.py [http://127.0.0.1:4566]

Runs in LocalStack's environment. Without an endpoint only the plugin is measured: what it adds to
the function's own work, awslambdaric included.
"""

import io
import os
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import boto3

from localstack_lambda_process.lifecycle import Invocation
from localstack_lambda_process.sandbox import Launch, Sandbox

SOURCE = "def handler(event, context):\n    return event\n"


def milliseconds(action: Callable[[], object], times: int) -> str:
    """Median and 95th percentile of `times` calls, in milliseconds."""
    durations = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        durations.append((time.perf_counter() - begun) * 1000)
    p95 = statistics.quantiles(durations, n=20)[-1]
    return f"p50 {statistics.median(durations):.2f} ms, p95 {p95:.2f} ms"


def measure_plugin(python: str, root: Path) -> None:
    """Time the process and the Runtime API without LocalStack around them."""
    (root / "app.py").write_text(SOURCE)
    launch = Launch(
        [python, "-u", "-m", "awslambdaric", "app.handler"], root, {}, {}, 6 * 1024 * 1024
    )

    def cold() -> None:
        sandbox = Sandbox(launch)
        sandbox.await_init()
        sandbox.close()

    sandbox = Sandbox(launch)
    sandbox.await_init()

    def warm() -> None:
        invocation = Invocation("id", "arn", "Root=1", b"{}", 10.0)
        sandbox.answer(invocation)
        assert invocation.answer == b"{}", invocation
        sandbox.peak_memory_bytes()
        sandbox.take_output()

    warm()
    print("plugin alone, warm:", milliseconds(warm, 2000))
    print("plugin alone, init:", milliseconds(cold, 20))
    sandbox.close()


def measure_localstack(endpoint: str) -> None:
    """Time boto3's invoke."""
    functions = boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", SOURCE)
    name = f"latency-{time.time_ns()}"
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/function",
        Code={"ZipFile": data.getvalue()},
    )
    waiter = functions.get_waiter("function_active_v2")
    waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.1})

    def invoke() -> None:
        assert functions.invoke(FunctionName=name, Payload=b"{}")["Payload"].read() == b"{}"

    begun = time.perf_counter()
    invoke()
    print(f"boto3 invoke, cold: {(time.perf_counter() - begun) * 1000:.0f} ms")
    print("boto3 invoke, warm:", milliseconds(invoke, 1000))
    functions.delete_function(FunctionName=name)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        measure_plugin(os.environ["LAMBDA_PROCESS_PYTHON"], Path(scratch))
    if len(sys.argv) > 1:
        measure_localstack(sys.argv[1])
