"""A stage that shares nothing with others, and its erasure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.registries import registry_of
from modelwatch.errors import InvalidInputError, ModelwatchError, NoModelError
from modelwatch.settings.access import OPEN
from modelwatch_cli.deployment.cloudformation.clients import client_maker, make_clients
from modelwatch_cli.deployment.cloudformation.plan import make_plan
from modelwatch_cli.deployment.deployer import Progress
from modelwatch_cli.deployment.releases import ReleaseStore
from modelwatch_cli.deployment.removal import undeploy
from modelwatch_cli.settings import Settings

_PREFIX = "acc-"
_STAGE = re.compile(rf"{_PREFIX}[0-9a-f]{{6}}")
_STACK = re.compile(rf"modelwatch-({_STAGE.pattern})-")

_OF_A_STAGE = (
    "CAPTURE_BUCKET",
    "REPORT_BUCKET",
    "CAPTURE_QUEUE_NAME",
    "CAPTURE_QUEUE_URL",
    "DEAD_LETTER_QUEUE_URL",
    "SHARED_WITH_STAGES",
    "MODELS",
    "MODEL_STAGE",
    "ALARM_TOPIC_ARN",
    "ALARM_EMAILS",
    "ALARM_SLACK",
    "METRICS_TRANSPORT",
    "CAPTURE_POLICY",
    "CAPTURE_SAMPLE_RATE",
    "ANALYSIS_SEGMENTS",
    "PREDICT_API_KEY",
)
"""What another stage may have set, and this one must not share or be changed by."""


def own_variables(settings: Settings) -> dict[str, str]:
    """Return the variables of a stage and a model that no one else has.

    Where no setting closes the APIs, keys do: an open API proves nothing.
    """
    return variables_of(f"{_PREFIX}{secrets.token_hex(3)}", settings)


def variables_of(stage: str, settings: Settings) -> dict[str, str]:
    """Return the variables of an acceptance's stage.

    Raises InvalidInputError when no acceptance makes a stage of that name.
    """
    if not _STAGE.fullmatch(stage):
        raise InvalidInputError("--erase", f"'{stage[:80]}' is no stage of an acceptance")
    closed = settings.api_auth not in ("", "none", OPEN)
    return {
        "STAGE": stage,
        "MODEL_NAME": f"modelwatch_acceptance_{stage.removeprefix(_PREFIX)}",
        "EVENT_BUS": "none",
        **({} if closed else {"API_AUTH": "api_key"}),
    }


def stages_left(cloudformation: Any) -> list[str]:
    """Return the stages of acceptances that have stacks: they run, or were killed."""
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    names = [
        _STACK.match(each["StackName"])
        for page in pages
        for each in page["Stacks"]
        # LocalStack still lists it
        if each["StackStatus"] != "DELETE_COMPLETE"
    ]
    return sorted({found[1] for found in names if found})


@contextmanager
def variables(environ: MutableMapping[str, str], own: Mapping[str, str]) -> Iterator[None]:
    """Have ``own`` in ``environ`` in place of what names another stage's parts."""
    before = dict(environ)
    for name in _OF_A_STAGE:
        environ.pop(name, None)
    environ.update(own)
    try:
        yield
    finally:
        environ.clear()
        environ.update(before)


def erase(settings: Settings, progress: Progress) -> list[str]:
    """Delete all of the stage; return what could not be deleted, and why.

    Each part is tried, whatever became of the others.
    """
    make = client_maker(settings)
    plan = make_plan(settings)

    def stacks() -> None:
        undeploy(
            plan,
            make_clients(settings),
            progress,
            on_aws=not settings.aws_endpoint_url,
            with_data=True,
        )

    def releases() -> None:
        packages = make_clients(settings).packages
        ReleaseStore(packages, settings.package_bucket, settings.stage).delete_all()

    def queues() -> None:
        sqs = make("sqs")
        # most went with their stacks
        found = sqs.list_queues(QueueNamePrefix=f"modelwatch-{settings.stage}-")
        for url in found.get("QueueUrls", ()):
            sqs.delete_queue(QueueUrl=url)

    def logs() -> None:
        client = make("logs")
        prefix = f"/aws/lambda/modelwatch-{settings.stage}-"
        pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
        for group in [each["logGroupName"] for page in pages for each in page["logGroups"]]:
            client.delete_log_group(logGroupName=group)

    def model() -> None:
        try:
            registry_of(settings).remove(settings.model_name)
        except NoModelError:
            return  # it was never registered

    parts: dict[str, Callable[[], None]] = {
        f"stacks modelwatch-{settings.stage}-*": stacks,
        f"releases/{settings.stage}/ in {settings.package_bucket}": releases,
        f"queues modelwatch-{settings.stage}-*": queues,
        f"bucket {settings.capture_bucket}": lambda: _delete_bucket(
            s3_client(settings), settings.capture_bucket
        ),
        f"bucket {settings.report_bucket}": lambda: _delete_bucket(
            s3_client(settings), settings.report_bucket
        ),
        f"log groups /aws/lambda/modelwatch-{settings.stage}-*": logs,
        f"model {settings.model_name}": model,
    }
    left = []
    for what, delete in parts.items():
        try:
            delete()
        except (ModelwatchError, BotoCoreError, ClientError, KeyboardInterrupt) as error:
            left.append(f"{what}: {str(error) or 'interrupted'}")
        else:
            progress.say(what, "gone")
    return left


def _delete_bucket(client: Any, name: str) -> None:
    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return
        raise
    objects = S3Objects(client, name)
    objects.delete([key for key, _ in objects.keys("")])
    client.delete_bucket(Bucket=name)
