"""`modelwatch captures export`; `import` and `compact` have separate modules."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from modelwatch.domain.optional import optional_part
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.capture.compaction import compact_captures
from modelwatch_cli.capture.imports import import_captures
from modelwatch_cli.capture.statements import captures_table
from modelwatch_cli.console import error_console, print_json, print_table, progress
from modelwatch_cli.options import model_option, since_option, until_option, version_option
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import option_window

SAGEMAKER = "modelwatch_cli.capture.sagemaker"
"""The forms of SageMaker's captures, and the commands for Model Monitor's."""

_DAY = timedelta(days=1)

_JSON = typer.Option("--json", help="print the summary as JSON")


class Format(StrEnum):
    """Whose files they are."""

    SAGEMAKER = "sagemaker"


class PayloadEncoding(StrEnum):
    """How payloads are written; `modelwatch_cli.capture.sagemaker.form` takes long to import."""

    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    captures = typer.Typer(
        help="Captured records: merge, import, export, have as a table.",
        no_args_is_help=True,
    )
    captures.command("compact")(compact_captures)
    if optional_part(SAGEMAKER):
        captures.command("export")(export_captures)
    captures.command("import")(import_captures)
    captures.command("table")(captures_table)
    app.add_typer(captures, name="captures")


def export_captures(
    destination: Annotated[str, typer.Argument(help="a folder, or s3://bucket/prefix")],
    form: Annotated[Format, typer.Option("--format", help="whose form")] = Format.SAGEMAKER,
    model_name: Annotated[str | None, model_option("a model; by default all")] = None,
    model_version: Annotated[str | None, version_option("a version; by default all")] = None,
    since: Annotated[str | None, since_option("start; by default a day before --until")] = None,
    until: Annotated[str | None, until_option("end; by default now")] = None,
    encoding: Annotated[
        PayloadEncoding, typer.Option(help="how features and predictions are written")
    ] = PayloadEncoding.CSV,
    header: Annotated[
        bool, typer.Option("--header", help="the features' names above the values of each CSV")
    ] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Write captured records to DESTINATION in SageMaker Model Monitor's form.

    It writes JSON lines under ENDPOINT/VARIANT/yyyy/mm/dd/hh, with the model's name as the
    endpoint. The same records always make the same files.
    """
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.captures.records import S3RecordStore
    from modelwatch_cli.capture.places import place
    from modelwatch_cli.capture.sagemaker import exporting
    from modelwatch_cli.capture.sagemaker.form import Encoding
    from modelwatch_cli.capture.sagemaker.hours import captured_hours

    if header and encoding is not PayloadEncoding.CSV:
        raise InvalidInputError("--header", "is only for --encoding csv")
    settings = Settings()
    window = option_window(since, until, _DAY)
    store = S3RecordStore(s3_client(settings), settings.capture_bucket)
    with error_console.status("listing"):
        hours = {
            (name, version): captured_hours(store, name, version, window)
            for name, version in store.versions(window)
            if model_name in (None, name) and model_version in (None, version)
        }
    with progress() as bar:
        task = bar.add_task(f"{form} hours", total=sum(map(len, hours.values())))
        exported = exporting.export_captures(
            store,
            place(destination, settings),
            hours,
            Encoding(encoding),
            header,
            lambda: bar.advance(task),
        )
    if as_json:
        print_json(
            {
                "destination": destination,
                "since": window.start,
                "until": window.end,
                "records": sum(each.records for each in exported),
                "files": sum(each.files for each in exported),
                "versions": exported,
            }
        )
    elif exported:
        print_table(
            ["model", "version", "records", "files", "features"],
            [
                (each.model_name, each.model_version, each.records, each.files, names)
                for each in exported
                for names in [",".join(each.features)]
            ],
        )
    if not exported:
        raise ModelwatchError(
            f"nothing was captured from {window.start.isoformat()} to {window.end.isoformat()}; "
            "--since begins earlier"
        )
