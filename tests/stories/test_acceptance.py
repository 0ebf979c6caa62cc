"""`modelwatch acceptance` on the real stack: it measures its own stage, and erases it."""

import json
import re
import signal
import subprocess
import sys

import pytest

from modelwatch.adapters.registries import registry_of
from modelwatch_cli.settings import Settings
from running_stack import RunningStack
from waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.servers


def left_of(stack: RunningStack, stage: str) -> list[str]:
    """Return what LocalStack, S3 and MLflow have of a stage."""
    stacks = stack.client("cloudformation").describe_stacks()["Stacks"]
    groups = stack.client("logs").describe_log_groups(
        logGroupNamePrefix=f"/aws/lambda/modelwatch-{stage}-"
    )["logGroups"]
    functions = stack.client("lambda").get_paginator("list_functions").paginate()
    # deleted ones stay listed for a while
    names = [each["StackName"] for each in stacks if each["StackStatus"] != "DELETE_COMPLETE"]
    names += [each["FunctionName"] for page in functions for each in page["Functions"]]
    names += [each["Name"] for each in stack.client("s3").list_buckets()["Buckets"]]
    names += stack.client("sqs").list_queues().get("QueueUrls", [])
    names += [each["logGroupName"] for each in groups]
    models = registry_of(Settings(stack.json("env"))).names()
    mark = stage.partition("-")[2]
    return [name for name in names + models if f"-{stage}-" in name or name.endswith(f"_{mark}")]


def test_an_acceptance_measures_its_own_stage_and_erases_it(stack):
    done = stack.run("acceptance", "--json")
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], report["left"]) == (0, True, []), done.stderr
    assert {each["state"] for each in report["steps"]} == {"ok"}
    assert "roles" in report["not_run"]
    measured = {each["what"]: each["value"] for each in report["measures"]}
    assert all(value > 0 for value in measured.values()), measured
    for what in (
        "cold start",
        "p50",
        "p95",
        "capture",
        "analysis, warm",
        "init of predict",
        "cost",
    ):
        assert any(what in each for each in measured), what
    assert left_of(stack, report["stage"]) == []


def test_an_interrupted_acceptance_erases_what_it_made(stack):
    command = [sys.executable, "-m", "modelwatch_cli", "acceptance"]
    with subprocess.Popen(
        command, env=stack.whole_environ, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if line.strip().startswith("deploy: ok"):
                process.send_signal(signal.SIGINT)
                break
        printed, rest = process.communicate(timeout=PATIENCE_SECONDS)
    whole = "".join(said) + rest
    assert process.returncode == 1, whole
    assert "the acceptance was interrupted" in rest, whole
    assert "Everything was erased." in printed
    stage = re.search(r"stage (acc-\w+)", said[0])[1]
    assert left_of(stack, stage) == []
    # as after a killed one; what is gone already is no fault
    again = stack.run("acceptance", "--erase", stage)
    assert again.returncode == 0, again.stderr
