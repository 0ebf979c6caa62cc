"""The acceptance's own stage, and its report."""

from __future__ import annotations

from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import Stubber

from modelwatch.errors import InvalidInputError
from modelwatch_cli.acceptance.commands import AWS_ONLY, markdown
from modelwatch_cli.acceptance.measuring import Measure
from modelwatch_cli.acceptance.stage import own_variables, stages_left, variables, variables_of
from modelwatch_cli.checks.steps import Outcome
from modelwatch_cli.settings import Settings

AWS = {"AWS_ENDPOINT_URL": "", "AWS_ACCOUNT_ID": "123456789012", "AWS_DEFAULT_REGION": "eu-west-1"}


def test_a_stage_shares_no_name_with_the_one_that_the_settings_say() -> None:
    environ = AWS | {
        "STAGE": "prod",
        "MODEL_NAME": "wine",
        "CAPTURE_BUCKET": "acme-captures",
        "REPORT_BUCKET": "acme-reports",
        "CAPTURE_QUEUE_NAME": "acme",
        "CAPTURE_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/acme",
        "DEAD_LETTER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/acme-dead",
        "SHARED_WITH_STAGES": "test",
        "MODELS": "churn",
        "ALARM_EMAILS": "ops@example.com",
        "MODEL_BUCKET": "acme-mlflow",
    }
    before = dict(environ)
    given = Settings(before)
    with variables(environ, own_variables(given)):
        own = Settings(environ)
        own_names = ("capture_bucket", "report_bucket", "capture_queue_name")
        for name in ("stage", "model_name", *own_names):
            assert getattr(own, name) != getattr(given, name)
        for name in own_names:
            assert f"-{own.stage}-" in getattr(own, name)
        for name in (
            *("capture_queue_url", "dead_letter_queue_url", "models", "alarm_emails"),
            "shared_with_stages",
        ):
            assert not getattr(own, name), name
        assert (own.event_bus, own.model_bucket) == ("none", "acme-mlflow")
    assert environ == before


def test_what_was_set_comes_back_after_an_error() -> None:
    environ = {"CAPTURE_BUCKET": "acme"}
    with pytest.raises(KeyboardInterrupt), variables(environ, {"STAGE": "acc-1"}):
        raise KeyboardInterrupt
    assert environ == {"CAPTURE_BUCKET": "acme"}


@pytest.mark.parametrize(
    ("said", "used"),
    [("", "api_key"), ("none", "api_key"), ("none-anyone-may-call", "api_key"), ("iam", "iam")],
)
def test_an_open_api_is_closed_by_keys(said: str, used: str) -> None:
    environ = AWS | {"API_AUTH": said}
    with variables(environ, own_variables(Settings(environ))):
        assert Settings(environ).api_auth == used


def test_two_acceptances_do_not_meet() -> None:
    first, second = own_variables(Settings(AWS)), own_variables(Settings(AWS))
    assert first["STAGE"] != second["STAGE"]
    assert first["MODEL_NAME"] != second["MODEL_NAME"]


@pytest.mark.parametrize("stage", ["prod", "acc-", "acc-1f2e3", "acc-1F2E3D", "acc-1f2e3d-2"])
def test_no_other_stage_can_be_erased(stage: str) -> None:
    with pytest.raises(InvalidInputError, match="is no stage of an acceptance"):
        variables_of(stage, Settings(AWS))


def test_a_stage_that_was_left_is_found_with_its_model() -> None:
    client = boto3.client(
        "cloudformation", region_name="eu-west-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    stacks = [
        ("modelwatch-prod-predict", "CREATE_COMPLETE"),
        ("modelwatch-acc-1f2e3d-predict", "CREATE_COMPLETE"),
        ("modelwatch-acc-1f2e3d-storage", "UPDATE_COMPLETE"),
        ("modelwatch-acc-ffffff-storage", "DELETE_COMPLETE"),
        ("modelwatch-acc-1f2e3d4-storage", "CREATE_COMPLETE"),
        ("modelwatch-accord-storage", "CREATE_COMPLETE"),
    ]
    now = datetime(2026, 11, 29, tzinfo=UTC)
    described = [
        {"StackName": name, "StackStatus": status, "CreationTime": now} for name, status in stacks
    ]
    with Stubber(client) as stubber:
        stubber.add_response("describe_stacks", {"Stacks": described})
        assert stages_left(client) == ["acc-1f2e3d"]
    own = variables_of("acc-1f2e3d", Settings(AWS))
    assert (own["STAGE"], own["MODEL_NAME"]) == ("acc-1f2e3d", "modelwatch_acceptance_1f2e3d")


def report(**changed: object) -> dict[str, object]:
    return {
        "ok": True,
        "version": "1.0",
        "where": "LocalStack",
        "at": datetime(2026, 11, 29, 12, tzinfo=UTC),
        "stage": "acc-1f2e3d",
        "steps": [Outcome("check", "ok", "a | b\nc", "", 1.25)],
        "not_run": AWS_ONLY,
        "measures": [Measure("cost", 0.000123, "USD")],
        "left": [],
    } | changed


def test_a_report_is_markdown_to_paste() -> None:
    text = markdown(report())
    assert text.startswith("## modelwatch 1.0 on LocalStack: passed\n")
    assert "| check | ok | a / b c | 1.2 |" in text
    assert text.count("| not run |") == len(AWS_ONLY)
    assert "| cost | 0.000123 USD |" in text
    assert text.endswith("Everything was erased.")


def test_a_report_names_what_could_not_be_erased() -> None:
    text = markdown(report(ok=False, left=["bucket x: AccessDenied"]))
    assert ": failed\n" in text
    assert text.endswith("Not erased:\n- bucket x: AccessDenied")
