"""`modelwatch dlq`: shows, sends again or deletes the records that capture could not use."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from modelwatch.errors import ModelwatchError
from modelwatch_cli.console import console, error_console, print_json, print_table, progress
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch_cli.capture.dead_letters import DeadLetter, DeadLetterBox

app = typer.Typer(
    help="Show, send again or delete the records that capture could not use.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_JSON = typer.Option("--json", help="print JSON")


def register(parent: typer.Typer) -> None:
    """Add the commands to ``parent``."""
    parent.add_typer(app, name="dlq")


@app.command("list")
def list_letters(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="most dead letters")] = 20,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """List the dead letters: id, reason, age and size."""

    with open_box() as box:
        letters: list[DeadLetter] = []
        for some in box.letters():
            letters += some
            if len(letters) >= limit:
                break
        count = max(box.count(), len(letters))
    letters = letters[:limit]
    if as_json:
        print_json([_facts(letter) for letter in letters])
        return
    if not letters:
        console.print("There are no dead letters.")
        return
    print_table(
        ["id", "reason", "age", "bytes", "received"],
        [
            [
                letter.id,
                letter.reason,
                _age(letter),
                letter.size_bytes,
                letter.receive_count,
            ]
            for letter in letters
        ],
    )
    if count > len(letters):
        error_console.print(f"{len(letters)} of about {count}; --limit shows more.")


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="the dead letter's id")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Print a dead letter: its reason, and its whole body with features.

    For a packed message of predict it shows the records.
    """
    with open_box() as box:
        (letter,) = box.find([letter_id])
    records = packed_records(letter.body)
    if as_json:
        unpacked = {"records": [json.loads(each) for each in records]} if records else {}
        print_json({**_facts(letter), "body": letter.body, **unpacked})
        return
    for name, value in _facts(letter).items():
        error_console.print(f"{name}: {value}", markup=False)
    for text in records or [letter.body]:
        console.print(text, markup=False, soft_wrap=True)


def packed_records(body: str) -> list[str]:
    """Return the records of a packed message as JSON; none for another or a broken one."""
    from modelwatch.domain.packing import is_packed, unpack
    from modelwatch.domain.records import encode_record
    from modelwatch.errors import InvalidInputError

    if not is_packed(body):
        return []
    try:
        block, refusals = unpack(body, time.time_ns() // 1_000_000)
    except InvalidInputError:
        return []
    good = block.records() if block else []
    return [*(encode_record(each).decode() for each in good), *(each.body for each in refusals)]


@app.command()
def redrive(
    letter_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="ids of dead letters")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="all dead letters")] = False,
) -> None:
    """Send dead letters to the capture queue again, after you have repaired the cause.

    A dead letter is deleted only when it is in the capture queue. Newer dead letters stay.
    """
    if bool(letter_ids) == everything:
        raise ModelwatchError("give the ids of the dead letters, or --all")
    sent = 0
    with open_box() as box, progress() as bar:
        task = bar.add_task("sending", total=len(letter_ids or ()) or box.count())
        # a record that is refused again becomes a new dead letter, and would be sent for ever
        before = datetime.now(UTC)
        for letters in [box.find(letter_ids)] if letter_ids else box.letters(before):
            taken = len(box.send_back(letters))
            sent += taken
            bar.advance(task, taken)
            if taken < len(letters):
                raise ModelwatchError(
                    f"{sent} dead letters were sent; the capture queue does not accept "
                    f"{len(letters) - taken}, which stay here"
                )
    error_console.print(f"{sent} dead letters were sent to the capture queue.")
    if box.newer:
        error_console.print(f"{box.newer} came meanwhile and are still here.")


@app.command()
def purge(
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Delete all dead letters: the records in them are lost."""
    with open_box() as box:
        count = box.count()
        if not count:
            error_console.print("There are no dead letters.")
            return
        if not yes:
            if not sys.stdin.isatty():
                raise ModelwatchError(
                    f"purge deletes about {count} dead letters; confirm with --yes"
                )
            typer.confirm(f"Delete about {count} dead letters?", abort=True, err=True)
        box.purge()
    error_console.print(f"About {count} dead letters are deleted.")


def open_box() -> DeadLetterBox:
    """Return the dead-letter queue of the settings; raises DeadLetterError."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from modelwatch_cli.capture.dead_letters import DeadLetterBox, DeadLetterError

    settings = Settings()
    sqs = boto3.client("sqs", region_name=settings.aws_default_region)
    name = settings.capture_queue_name
    urls = []
    for setting, queue in (("CAPTURE_QUEUE_URL", name), ("DEAD_LETTER_QUEUE_URL", f"{name}-dead")):
        try:
            url = settings.text(setting) or sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        except sqs.exceptions.QueueDoesNotExist:
            raise DeadLetterError(
                f"there is no queue {queue}: `modelwatch deploy` makes it"
            ) from None
        except (BotoCoreError, ClientError) as error:
            raise DeadLetterError(f"SQS cannot be asked for {queue}: {error}") from error
        urls.append(url)
    return DeadLetterBox(sqs, *urls)


def _facts(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "reason": letter.reason,
        "message_id": letter.message_id,
        "sent_at": letter.sent_at.isoformat(timespec="milliseconds"),
        "age_seconds": round(max(0.0, time.time() - letter.sent_at.timestamp())),
        "bytes": letter.size_bytes,
        "receive_count": letter.receive_count,
    }


def _age(letter: DeadLetter) -> str:
    seconds = max(0.0, time.time() - letter.sent_at.timestamp())
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
