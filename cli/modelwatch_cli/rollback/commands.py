"""`modelwatch rollback-on-drift`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from modelwatch.errors import InvalidInputError, ModelwatchError, QueueError
from modelwatch_cli.console import console, error_console
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch.domain.episodes.events import VerdictEvent
    from modelwatch_cli.rollback.rule import Decision, RollbackRule

_WAIT_SECONDS = 20


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("rollback-on-drift")(rollback_on_drift)


def rollback_on_drift(
    event: Annotated[
        Path | None, typer.Option("--event", help="file with a verdict event; - is standard input")
    ] = None,
    queue: Annotated[
        str | None, typer.Option("--queue", help="SQS queue that a rule sends the events to")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="with --queue: end when the queue is empty")
    ] = False,
    alias: Annotated[
        str | None, typer.Option("--alias", help="alias to move; by default MODEL_ALIAS")
    ] = None,
    within: Annotated[
        str, typer.Option("--within", help="so long after its first result a version is new")
    ] = "P7D",
    cooldown: Annotated[
        str, typer.Option("--cooldown", help="so long an alias stays where a rollback put it")
    ] = "P1D",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be done, and do nothing")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print a line of JSON for each event")
    ] = False,
) -> None:
    """Move the alias back to the last good version when a new version drifts.

    It takes one verdict event (--event), or those of a queue (--queue). It acts when an episode of
    the version that serves has opened, is open still, and the version is new. The alias moves to
    the version before whose newest verdict is ok. It never moves twice within --cooldown, and never
    away from a version that it was moved back to.
    """
    if (event is None) == (queue is None):
        raise InvalidInputError("", "give one of --event and --queue")
    if queue is not None and dry_run and not once:
        raise InvalidInputError("--dry-run", "with --queue needs --once: its messages stay there")
    settings = Settings()
    if settings.model_stage and alias is None:
        raise InvalidInputError("--alias", "is needed: MODEL_STAGE says that a stage serves")
    rule = _rule(settings, alias or settings.model_alias, within, cooldown)

    def apply(found: VerdictEvent) -> None:
        decision = rule.apply(found, datetime.now(UTC), dry_run=dry_run)
        _say(decision, dry_run, as_json)

    if event is not None:
        text = sys.stdin.read() if str(event) == "-" else _text_of(event)
        apply(read_event(text))
        return
    client, url = _queue(settings, str(queue), wait_seconds=_WAIT_SECONDS)
    while True:
        wait = 1 if once else _WAIT_SECONDS
        with _queue_errors(str(queue)):
            messages = client.receive_message(
                QueueUrl=url, MaxNumberOfMessages=1, WaitTimeSeconds=wait
            ).get("Messages", ())
        if not messages and once:
            return
        for message in messages:
            try:
                apply(read_event(message["Body"]))
            except ModelwatchError as error:
                # it comes again, and is a dead letter of the queue in the end
                error_console.print(f"message {message['MessageId']}: {error}", markup=False)
                if once:
                    raise
                continue
            if dry_run:
                return
            with _queue_errors(str(queue)):
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def read_event(text: str) -> VerdictEvent:
    """Read a verdict event, or what EventBridge makes of one.

    Raises InvalidInputError when it is neither, or has another format.
    """
    from modelwatch.domain.episodes.events import DETAIL_TYPE, FORMAT, VerdictEvent

    try:
        value = json.loads(text)
        if isinstance(value, dict) and "detail" in value:
            if value.get("detail-type") != DETAIL_TYPE:
                raise InvalidInputError("detail-type", f"is not {DETAIL_TYPE}")
            value = value["detail"]
        if isinstance(value, dict) and value.get("format", FORMAT) != FORMAT:
            raise InvalidInputError(
                "format", f"is {json.dumps(value['format'])[:80]}; this code reads {FORMAT}"
            )
        return msgspec.convert(value, VerdictEvent)
    except (json.JSONDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise InvalidInputError("", f"this is no verdict event: {str(error)[:300]}") from None


def _text_of(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError("--event", f"cannot be read: {error}") from None


def _rule(settings: Settings, alias: str, within: str, cooldown: str) -> RollbackRule:
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.registries import registry_of
    from modelwatch.adapters.results.episodes import S3EpisodeStore
    from modelwatch.adapters.results.reports import S3ReportStore
    from modelwatch.domain.durations import parse_duration
    from modelwatch_cli.rollback.record import RollbackStore
    from modelwatch_cli.rollback.rule import RollbackRule

    s3, bucket = s3_client(settings), settings.report_bucket
    return RollbackRule(
        registry_of(settings),
        S3EpisodeStore(s3, bucket),
        S3ReportStore(s3, bucket),
        RollbackStore(s3, bucket),
        stage=settings.stage,
        alias=alias,
        within=parse_duration(within, "--within"),
        cooldown=parse_duration(cooldown, "--cooldown"),
    )


def _queue(settings: Settings, name: str, wait_seconds: int) -> tuple[Any, str]:
    from modelwatch.adapters.aws.clients import sqs_client

    client = sqs_client(settings, (wait_seconds + 10) * 2000)
    with _queue_errors(name):
        return client, client.get_queue_url(QueueName=name)["QueueUrl"]


@contextmanager
def _queue_errors(name: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise QueueError(f"the queue {name} cannot be used: {error}") from error


def _say(decision: Decision, dry_run: bool, as_json: bool) -> None:
    if as_json:
        line = {**msgspec.to_builtins(decision), "dry_run": dry_run}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        return
    title = f"{decision.model_name} version {decision.model_version}, {decision.episode}"
    if decision.to:
        does = "would move" if dry_run else "is"
        text = f"alias '{decision.alias}' {does} {'to' if dry_run else 'at'} version {decision.to}"
    else:
        text = f"alias '{decision.alias}' stays: {decision.reason}"
    console.print(f"{title}: {text}", markup=False)
