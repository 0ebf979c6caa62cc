"""`modelwatch up` and its kin, with every part real."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwatch_cli.stack.local_aws import LocalSession
from running_stack import RunningStack, listening_addresses, processes_left, processes_of
from waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.servers


def _parts(stack: RunningStack) -> dict[str, dict[str, Any]]:
    outcome = stack.run("status", "--json")
    assert outcome.returncode in (0, 3), outcome.stderr
    return {part["name"]: part for part in json.loads(outcome.stdout)["parts"]}


def _states(parts: dict[str, dict[str, Any]]) -> set[str]:
    return {part["state"] for part in parts.values()}


def _variables(stack: RunningStack) -> dict[str, str]:
    return dict(stack.json("env"))


def test_second_up_is_harmless(stack: RunningStack) -> None:
    before = {name: part["pid"] for name, part in _parts(stack).items()}
    assert stack.run("up").returncode == 0
    assert {name: part["pid"] for name, part in _parts(stack).items()} == before


def test_everything_listens_on_loopback_and_nowhere_else(stack: RunningStack) -> None:
    listening = listening_addresses(set(processes_of(stack.home)))
    assert {ipaddress.ip_address(host).is_loopback for host, _ in listening} == {True}
    ports = {port for _, port in listening}
    for name in ("LOCALSTACK_PORT", "MLFLOW_PORT", "BRIDGE_PORT"):
        assert int(stack.environ[name]) in ports
    s3 = int(stack.environ["S3_PORT"])
    assert ports.issuperset(range(s3, s3 + 8))


def test_status_tells_state_and_exit_code(stack: RunningStack) -> None:
    # a part that is busy is silent for a moment
    outcome = eventually(lambda: it if (it := stack.run("status")).returncode == 0 else None)
    assert "LocalStack" in outcome.stdout
    parts = eventually(lambda: it if _states(it := _parts(stack)) == {"up"} else None)
    assert all(part["memory_bytes"] > 10_000_000 for part in parts.values())


def test_secrets_are_the_users_alone(stack: RunningStack) -> None:
    for path in (stack.home / "stack.env", stack.home / "s3" / "identities.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(stack.home.stat().st_mode) == 0o700


def test_s3_asks_for_its_credentials(stack: RunningStack) -> None:
    variables = _variables(stack)
    assert httpx.get(variables["AWS_ENDPOINT_URL_S3"], timeout=60).status_code == 403
    stranger = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "else"}
    client = LocalSession({**variables, **stranger}).client("s3")
    with pytest.raises(client.exceptions.ClientError, match="InvalidAccessKeyId"):
        client.list_buckets()


def test_the_account_is_localstacks_own(stack: RunningStack) -> None:
    assert stack.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_env_is_what_a_shell_can_eval(stack: RunningStack) -> None:
    shell = subprocess.run(
        ["sh", "-c", f'{stack.run("env").stdout}\necho "$MLFLOW_TRACKING_URI"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout.strip() == f"http://127.0.0.1:{stack.environ['MLFLOW_PORT']}"


def test_mlflow_refuses_a_foreign_host_name(stack: RunningStack) -> None:
    url = f"{_variables(stack)['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/experiments/search"
    body, foreign = {"max_results": 1}, {"Host": "evil.example"}
    assert httpx.post(url, json=body, timeout=60).status_code == 200
    assert httpx.post(url, json=body, headers=foreign, timeout=60).status_code == 403


def test_logs_of_a_part(stack: RunningStack) -> None:
    outcome = stack.run("logs", "localstack", "-n", "5")
    assert outcome.returncode == 0
    assert 0 < len(outcome.stdout.splitlines()) <= 5


def test_logs_of_a_function_that_never_ran_is_a_sentence(stack: RunningStack) -> None:
    outcome = stack.run("logs", "nosuch")
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("Error: no function nosuch has written anything")


def test_logs_of_a_function_and_follow(stack: RunningStack) -> None:
    client = stack.client("logs")
    group = "/aws/lambda/modelwatch-local-teller"
    client.create_log_group(logGroupName=group)
    client.create_log_stream(logGroupName=group, logStreamName="one")

    def write(message: str) -> None:
        event = {"timestamp": int(time.time() * 1000), "message": message}
        client.put_log_events(logGroupName=group, logStreamName="one", logEvents=[event])

    write("the first")
    write("the second")
    outcome = stack.run("logs", "teller", "-n", "1")
    assert outcome.stdout.rstrip().endswith("the second")
    assert "the first" not in outcome.stdout
    with subprocess.Popen(
        [*stack.command, "logs", "teller", "-f", "-n", "1"],
        env=stack.whole_environ,
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        assert "the second" in following.stdout.readline()
        write("the third")
        assert "the third" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
        assert following.wait(PATIENCE_SECONDS) == 130


def test_a_killed_part_is_reported_and_restarted(stack: RunningStack) -> None:
    before = _parts(stack)
    os.kill(before["mlflow"]["pid"], signal.SIGKILL)
    outcome = stack.run("status")
    assert outcome.returncode == 3
    assert "dead" in outcome.stdout
    assert "MLflow ended unexpectedly" in outcome.stderr
    assert str(stack.home / "logs" / "mlflow.log") in outcome.stderr
    assert len(outcome.stderr.splitlines()) > 3
    outcome = stack.run("up")
    assert outcome.returncode == 0, outcome.stderr
    after = _parts(stack)
    assert after["mlflow"]["state"] == "up"
    assert after["mlflow"]["pid"] != before["mlflow"]["pid"]
    assert after["s3"]["pid"] == before["s3"]["pid"]


@contextmanager
def _squatter(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


def test_a_taken_port_is_named_with_its_setting_and_holder(new_stack):
    stack = new_stack()
    port = int(stack.environ["BRIDGE_PORT"])
    with _squatter(port):
        outcome = stack.run("up")
        assert _parts(stack)["bridge"]["state"] == "taken"
    assert outcome.returncode == 1
    assert f"port {port} is taken by process {os.getpid()}" in outcome.stderr
    assert "set BRIDGE_PORT to another" in outcome.stderr
    assert processes_left(stack.home) == {}


def test_a_part_that_crashes_while_starting_is_reported_and_all_is_stopped(new_stack):
    stack = new_stack()
    stack.home.mkdir(parents=True)
    (stack.home / "mlflow.sqlite").write_text("this is not a database, and MLflow will say so" * 99)
    outcome = stack.run("up")
    assert outcome.returncode == 1
    assert "Error: MLflow ended with exit code" in outcome.stderr
    assert "file is not a database" in outcome.stderr
    assert processes_left(stack.home) == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_nothing_behind_and_can_be_repeated(new_stack, number):
    stack = new_stack()
    with subprocess.Popen(
        [*stack.command, "up"], env=stack.whole_environ, stderr=subprocess.PIPE
    ) as up:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(list((stack.home / "run").glob("*.json"))) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        rival = stack.run("up")
        assert rival.returncode == 1
        assert "another `modelwatch up`" in rival.stderr
        # the worst moment: MLflow is amid making its tables
        while not (stack.home / "mlflow.sqlite").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        up.send_signal(number)
        assert up.wait(PATIENCE_SECONDS) == 130
    assert processes_left(stack.home) == {}
    assert stack.run("up").returncode == 0
    assert stack.run("down", "--force").returncode == 0


def test_commands_say_that_the_stack_is_not_up(new_stack: Callable[..., RunningStack]) -> None:
    stack = new_stack()
    outcome = stack.run("train")
    assert outcome.returncode == 1
    assert "`modelwatch up` starts it" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    outcome = stack.run("down")
    assert outcome.returncode == 0
    assert "down already" in outcome.stderr
    outcome = stack.run("env")
    assert outcome.returncode == 1
    assert "run `modelwatch up`" in outcome.stderr


def test_data_survive_down_and_up_and_not_a_reset(new_stack: Callable[..., RunningStack]) -> None:
    stack = new_stack()
    assert stack.run("up").returncode == 0
    bucket = "modelwatch-captures"
    bodies = {f"object/{number}": os.urandom(1000 * number) for number in range(20)}
    client = stack.client("s3")
    for key, body in bodies.items():
        client.put_object(Bucket=bucket, Key=key, Body=body)
    tracking = _variables(stack)["MLFLOW_TRACKING_URI"]
    created = httpx.post(
        f"{tracking}/api/2.0/mlflow/experiments/create", json={"name": "kept"}, timeout=60
    ).json()

    outcome = stack.run("down")
    assert outcome.returncode == 0, outcome.stderr
    assert processes_left(stack.home) == {}
    assert _states(_parts(stack)) == {"down"}

    outcome = stack.run("up")
    assert outcome.returncode == 0, outcome.stderr
    client = stack.client("s3")
    for key, body in bodies.items():
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    found = httpx.get(
        f"{tracking}/api/2.0/mlflow/experiments/get-by-name",
        params={"experiment_name": "kept"},
        timeout=60,
    ).json()
    assert found["experiment"]["experiment_id"] == created["experiment_id"]
    assert found["experiment"]["artifact_location"].startswith("s3://modelwatch-models/mlflow")

    outcome = stack.run("reset")
    assert outcome.returncode == 1
    assert "--yes" in outcome.stderr
    (stack.home / "my-notes.txt").write_text("not modelwatch's to delete")
    assert stack.run("reset", "--yes").returncode == 0
    assert [path.name for path in stack.home.iterdir()] == ["my-notes.txt"]
    assert processes_left(stack.home) == {}


def test_down_waits_for_the_capture_queue(new_stack: Callable[..., RunningStack]) -> None:
    stack = new_stack(CAPTURE_QUEUE_NAME="slow-captures", STACK_S3="localstack")
    outcome = stack.run("up")
    assert outcome.returncode == 0, outcome.stderr
    assert "s3" not in _parts(stack)
    variables = _variables(stack)
    assert variables["AWS_ENDPOINT_URL_S3"] == variables["AWS_ENDPOINT_URL"]
    buckets = {bucket["Name"] for bucket in stack.client("s3").list_buckets()["Buckets"]}
    assert buckets >= {"modelwatch-models", "modelwatch-captures", "modelwatch-reports"}
    sqs = stack.client("sqs")
    url = sqs.create_queue(QueueName="slow-captures")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="a record")
    with subprocess.Popen(
        [*stack.command, "down"], env=stack.whole_environ, stderr=subprocess.PIPE, text=True
    ) as down:
        with pytest.raises(subprocess.TimeoutExpired):
            down.wait(4)
        message = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2)["Messages"][0]
        # in flight is not done
        with pytest.raises(subprocess.TimeoutExpired):
            down.wait(2)
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        assert down.wait(PATIENCE_SECONDS) == 0
        assert down.stderr is not None
        assert "capture queue" in (said := down.stderr.read())
        assert "empty" in said
    assert processes_left(stack.home) == {}


def test_the_buckets_of_the_compose_stack_are_made_by_the_same_hands(stack: RunningStack) -> None:
    script = Path(__file__).parents[2] / "templates" / "compose" / "make_buckets.py"
    client = stack.client("s3")
    variables = {"REPORT_BUCKET": "made-for-compose", **_variables(stack)}
    subprocess.run([stack.command[0], script], env={**stack.whole_environ, **variables}, check=True)
    assert client.head_bucket(Bucket="made-for-compose")


def test_drain_is_done_where_there_is_no_queue(stack: RunningStack) -> None:
    # the stack's own queue may hold what another test kept from S3
    elsewhere = replace(stack, environ={**stack.environ, "CAPTURE_QUEUE_NAME": "no-such-queue"})
    outcome = elsewhere.run("drain")
    assert outcome.returncode == 0, outcome.stderr
    assert "empty" in outcome.stderr
