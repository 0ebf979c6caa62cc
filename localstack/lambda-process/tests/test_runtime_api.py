"""The Runtime API alone, without LocalStack around it: AWS's own client, and one that errs."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from localstack_lambda_process.lifecycle import Invocation, Lifecycle
from localstack_lambda_process.runtime_api import RuntimeApiServer
from localstack_lambda_process.sandbox import Launch, Sandbox

APP = """
import os
def handler(event, context):
    if event.get("fail"):
        raise ValueError(event["fail"])
    if event.get("exit"):
        os._exit(event["exit"])
    return {"echo": event, "id": context.aws_request_id, "arn": context.invoked_function_arn,
            "remaining": context.get_remaining_time_in_millis()}
"""
LIMIT_BYTES = 1000


def invocation(**event: object) -> Invocation:
    return Invocation("id-1", "arn:aws:lambda:f", "Root=1", json.dumps(event).encode(), 5.0)


@pytest.fixture
def sandbox(tmp_path: Path, runtime_python: Path) -> Iterator[Sandbox]:
    (tmp_path / "app.py").write_text(APP)
    command = [str(runtime_python), "-u", "-m", "awslambdaric", "app.handler"]
    sandbox = Sandbox(Launch(command, tmp_path, {}, {}, LIMIT_BYTES))
    sandbox.await_init()
    assert sandbox.is_ready
    yield sandbox
    sandbox.close()


def test_awslambdaric_gets_events_and_responds(sandbox: Sandbox) -> None:
    for number in range(3):
        sandbox.respond(event := invocation(number=number))
        response = json.loads(event.response or b"")
        assert (response["echo"], response["id"]) == ({"number": number}, "id-1")
        assert response["arn"] == "arn:aws:lambda:f"
        assert 4000 < response["remaining"] <= 5000
        assert (event.is_error, event.failure) == (False, None)


def test_awslambdaric_reports_an_exception_and_serves_on(sandbox: Sandbox) -> None:
    sandbox.respond(failed := invocation(fail="wrong"))
    assert failed.is_error
    error = json.loads(failed.response or b"")
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "wrong")
    assert "app.py" in error["stackTrace"][0]
    assert failed.failure is None
    sandbox.respond(event := invocation())
    assert not event.is_error


@pytest.mark.parametrize(
    ("event", "said"), [({"exit": 3}, "exit status 3"), ({"text": "x" * LIMIT_BYTES}, "1000")]
)
def test_what_ends_the_environment(sandbox, event, said, wait_until):
    sandbox.respond(ended := invocation(**event))
    assert ended.is_error
    assert ended.failure is not None
    assert said in (ended.response or b"").decode()
    wait_until(lambda: not sandbox.alive)


def test_requests_out_of_order_are_refused() -> None:
    lifecycle = Lifecycle(LIMIT_BYTES)
    server = RuntimeApiServer(lifecycle, {})
    host, _, port = server.address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    runtime = "/2018-06-01/runtime"

    def post(path: str, **headers: str) -> tuple[int, str]:
        connection.request("POST", path, b"{}", headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read()).get("errorType", "")

    try:
        # one connection throughout: no refusal may leave anything of its request behind
        assert post("/elsewhere") == (404, "NotFound")
        assert post(f"{runtime}/invocation/id-1/response")[0] == 400
        lifecycle.begin(event := invocation(number=1))
        connection.request("GET", f"{runtime}/invocation/next")
        response = connection.getresponse()
        assert json.loads(response.read()) == {"number": 1}
        assert response.headers["Lambda-Runtime-Aws-Request-Id"] == "id-1"
        assert post(f"{runtime}/init/error") == (403, "InvalidStateTransition")
        assert post(f"{runtime}/invocation/other/response")[0] == 400
        assert event.response is None
        assert post(f"{runtime}/invocation/id-1/response") == (202, "")
        assert event.response == b"{}"
        assert post(f"{runtime}/invocation/id-1/response") == (403, "InvalidStateTransition")
    finally:
        server.close()
