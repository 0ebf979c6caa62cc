"""`modelwatch captures`: `export` and `import`; `compact` is in a module of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch.settings import Settings
from modelwatch_cli.capture.compaction import compact_captures
from modelwatch_cli.console import console, error_console, print_json, print_table, progress
from modelwatch_cli.times import option_time

if TYPE_CHECKING:
    from modelwatch.domain.windows import Window
    from modelwatch_cli.capture.sagemaker.summary import ImportSummary

_SHOWN_PROBLEMS = 20
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_AHEAD = timedelta(minutes=5)

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
        help="Captured records: merged, and to and from other systems.", no_args_is_help=True
    )
    captures.command("compact")(compact_captures)
    captures.command("export")(export_captures)
    captures.command("import")(import_captures)
    app.add_typer(captures, name="captures")


def export_captures(
    destination: Annotated[str, typer.Argument(help="a folder, or s3://bucket/prefix")],
    form: Annotated[Format, typer.Option("--format", help="whose form")] = Format.SAGEMAKER,
    model_name: Annotated[
        str | None, typer.Option("--model-name", help="a model; by default all")
    ] = None,
    model_version: Annotated[
        str | None, typer.Option("--model-version", help="a version; by default all")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="from when, in ISO 8601; by default a day before --until")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="until when, in ISO 8601; by default now")
    ] = None,
    encoding: Annotated[
        PayloadEncoding, typer.Option(help="how features and predictions are written")
    ] = PayloadEncoding.CSV,
    header: Annotated[
        bool, typer.Option("--header", help="the features' names above the values of each CSV")
    ] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Write captured records to DESTINATION in SageMaker Model Monitor's form.

    That is JSON lines under ENDPOINT/VARIANT/yyyy/mm/dd/hh, with the model's name for the endpoint.
    The same records are always the same files.
    """
    from modelwatch.adapters.aws import s3_client
    from modelwatch.adapters.s3_records import S3RecordStore
    from modelwatch_cli.capture.places import place
    from modelwatch_cli.capture.sagemaker import exporting
    from modelwatch_cli.capture.sagemaker.form import Encoding
    from modelwatch_cli.capture.sagemaker.hours import captured_hours

    if header and encoding is not PayloadEncoding.CSV:
        raise InvalidInputError("--header", "is for --encoding csv alone")
    settings = Settings()
    window = _window(since, until, _DAY)
    store = S3RecordStore(s3_client(settings), settings.text("CAPTURE_BUCKET"))
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


def import_captures(
    source: Annotated[str, typer.Argument(help="a folder, a file, or s3://bucket/prefix")],
    form: Annotated[Format, typer.Option("--format", help="whose form")] = Format.SAGEMAKER,
    model_name: Annotated[str, typer.Option("--model-name", help="model behind the endpoint")] = "",
    model_version: Annotated[str, typer.Option("--model-version", help="its version")] = "",
    feature_names: Annotated[
        str, typer.Option(help="names of the columns of CSV inputs, with commas between them")
    ] = "",
    header: Annotated[
        bool, typer.Option("--header", help="the first row of each CSV input has the names")
    ] = False,
    feature_types: Annotated[
        str,
        typer.Option(
            help="a letter for each of --feature-names: d number, l whole number, s string, "
            "b truth value; by default what their values are"
        ),
    ] = "",
    variant: Annotated[
        str, typer.Option(help="variant of all records; by default as the files' keys tell")
    ] = "",
    features_attribute: Annotated[
        str, typer.Option(help="where the features are in a JSON input, as in request.features")
    ] = "",
    inference_attribute: Annotated[
        str,
        typer.Option(help="where the prediction is in an output: a name, or a CSV column from 0"),
    ] = "",
    probability_attribute: Annotated[
        str, typer.Option(help="where the probabilities are, likewise")
    ] = "",
    since: Annotated[
        str | None,
        typer.Option(help="from when on predictions of ground truth are looked for, in ISO 8601"),
    ] = None,
    until: Annotated[str | None, typer.Option(help="until when, likewise")] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="import the good lines of a source with bad ones")
    ] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Store what SageMaker captured, and ground truth as labels.

    SOURCE has files that end in .jsonl, in folders as SageMaker makes them. All lines are checked
    first: with one that cannot be read nothing is imported, unless --skip-invalid. What is there
    already stays as it is, so an import can be run again.
    """
    from modelwatch_cli.capture.sagemaker.cells import read_rows
    from modelwatch_cli.capture.sagemaker.payloads import Reading
    from modelwatch_cli.capture.sagemaker.summary import import_source

    # a name with a comma in it is put in quotes
    names = list(map(str, read_rows(feature_names)[0])) if feature_names else []
    reading = Reading(
        model_name=_name("--model-name", model_name),
        model_version=_name("--model-version", model_version),
        variant=variant,
        feature_names=tuple(names),
        header=header,
        types=_types(names, feature_types),
        features_attribute=features_attribute,
        inference_attribute=inference_attribute,
        probability_attribute=probability_attribute,
    )
    window = _window(since, until, _WEEK) if since or until else None
    summary = import_source(Settings(), source, reading, window, skip_invalid)
    if as_json:
        print_json(summary)
    else:
        records, labels = summary.records, summary.labels
        console.print(
            f"{summary.files} {form} files: {records.stored} of {records.found} records stored, "
            f"{labels.stored} of {labels.found} labels; "
            f"{records.known + labels.known} were there already"
        )
    _complain(summary)


def _complain(summary: ImportSummary) -> None:
    for problem in summary.problems[:_SHOWN_PROBLEMS]:
        error_console.print(problem, markup=False)
    if len(summary.problems) > _SHOWN_PROBLEMS:
        error_console.print(f"and {len(summary.problems) - _SHOWN_PROBLEMS} more")
    if not summary.imported:
        raise ModelwatchError(
            f"{summary.invalid} lines of {summary.source} cannot be read, so nothing was imported; "
            "mend them, or leave them out with --skip-invalid"
        )
    labels = summary.labels
    if labels.unmatched:
        raise ModelwatchError(
            f"{labels.unmatched} labels belong to no prediction that was found; import the "
            "captures first, or look for older ones with --since"
        )
    if labels.refused:
        raise ModelwatchError(f"{labels.refused} labels of {summary.source} were refused")
    if not summary.records.found + labels.found:
        raise ModelwatchError(f"{summary.source} holds no records and no labels")


def _window(since: str | None, until: str | None, length: timedelta) -> Window:
    from modelwatch.domain.windows import Window

    end = option_time("--until", until) if until else datetime.now(UTC) + _AHEAD
    start = option_time("--since", since) if since else end - length
    try:
        return Window(start, end)
    except ValueError as error:
        raise InvalidInputError("--since", str(error)) from None


def _name(option: str, text: str) -> str:
    from modelwatch.domain.names import Name

    if not text:
        return text
    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError as error:
        raise InvalidInputError(option, str(error)) from None


def _types(names: list[str], letters: str) -> dict[str, str]:
    if letters and (len(letters) != len(names) or set(letters) - set("dlsb")):
        problem = f"is not a letter of d, l, s and b for each of {len(names)} feature names"
        raise InvalidInputError("--feature-types", problem)
    return dict(zip(names, letters, strict=False))
