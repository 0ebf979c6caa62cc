"""The same pipeline where S3 is one of LocalStack's services, as it is one of AWS's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from running_stack import RunningStack
from waiting import eventually

pytestmark = pytest.mark.servers

BUCKETS = {
    "CAPTURE_BUCKET": "made-by-the-stack-captures",
    "REPORT_BUCKET": "made-by-the-stack-reports",
}
REQUESTS = 120


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., RunningStack]) -> RunningStack:
    made = new_stack(STACK_S3="localstack", ANALYSIS_SCHEDULE="rate(1 hour)")
    outcome = made.run("up")
    assert outcome.returncode == 0, outcome.stderr
    # buckets that `up` did not make are left to CloudFormation
    return dataclasses.replace(made, environ={**made.environ, **BUCKETS})


def test_predictions_are_captured_and_analyzed(stack: RunningStack) -> None:
    assert stack.run("train").returncode == 0
    urls = stack.json("deploy")["urls"]
    variables = stack.json("env")
    assert variables["AWS_ENDPOINT_URL_S3"] == variables["AWS_ENDPOINT_URL"]
    cloudformation = stack.client("cloudformation")
    resources = cloudformation.describe_stack_resources(StackName="modelwatch-local-storage")
    made = {
        resource["PhysicalResourceId"]
        for resource in resources["StackResources"]
        if resource["ResourceType"] == "AWS::S3::Bucket"
    }
    assert made == set(BUCKETS.values())

    outcome = stack.run(
        "simulate", "-n", str(REQUESTS), "--scenario", "moderate_drift", "--seed", "1"
    )
    assert outcome.returncode == 0, outcome.stderr

    def analyzed() -> Any:
        (result,) = stack.json("analyze")["results"]
        return result if result["rows"] == REQUESTS else None

    result = eventually(analyzed)
    assert result["status"] == "drift"
    page = httpx.get(
        f"{urls['analyze']}/reports/{result['name']}", follow_redirects=True, timeout=60
    )
    assert page.status_code == 200
    assert "<html" in page.text
