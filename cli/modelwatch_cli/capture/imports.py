"""`modelwatch captures import`: imports a table, or the files of SageMaker's data capture."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from modelwatch.domain.optional import optional_part
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.console import console, error_console, print_json
from modelwatch_cli.options import model_option, since_option, until_option, version_option
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import option_window

if TYPE_CHECKING:
    from modelwatch_cli.capture.sagemaker.summary import ImportSummary

_SHOWN_PROBLEMS = 20
_WEEK = timedelta(days=7)


class SourceFormat(StrEnum):
    """Whose files they are."""

    TABLE = "table"
    SAGEMAKER = "sagemaker"


def import_captures(
    source: Annotated[
        str,
        typer.Argument(
            help="a table: a file in CSV, Parquet or JSON lines; "
            "SageMaker's: a folder, a file, or s3://bucket/prefix"
        ),
    ],
    form: Annotated[
        SourceFormat | None,
        typer.Option("--format", help="whose form; by default a table where --prediction is given"),
    ] = None,
    model_name: Annotated[str, model_option("the model that made the predictions")] = "",
    model_version: Annotated[str, version_option("its version")] = "",
    variant: Annotated[
        str,
        typer.Option(help="variant of all records; by default none, or as SageMaker's keys show"),
    ] = "",
    prediction: Annotated[str, typer.Option(help="table: column of the predictions")] = "",
    timestamp: Annotated[
        str,
        typer.Option(
            help="table: column of the times, in ISO 8601 (without a zone: UTC), or in seconds or "
            "milliseconds since 1970"
        ),
    ] = "",
    features: Annotated[
        str,
        typer.Option(
            help="table: columns of the features, with commas between them; "
            "by default all that no other option names"
        ),
    ] = "",
    label: Annotated[str, typer.Option(help="table: column of the labels, if there is one")] = "",
    event_id: Annotated[
        str,
        typer.Option(
            "--id", help="table: column of the ids; by default an id follows from the row's content"
        ),
    ] = "",
    probabilities: Annotated[
        str,
        typer.Option(help="table: columns of the probabilities, in the order of the classes"),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="table: show what would be imported; store nothing")
    ] = False,
    rejected: Annotated[
        Path | None,
        typer.Option(
            help="table: file for the rows that cannot be used, each with its reason; "
            "the other rows are imported",
            dir_okay=False,
        ),
    ] = None,
    feature_names: Annotated[
        str,
        typer.Option(help="SageMaker: names of the columns of CSV inputs, with commas between"),
    ] = "",
    header: Annotated[
        bool,
        typer.Option("--header", help="SageMaker: the first row of each CSV input has the names"),
    ] = False,
    feature_types: Annotated[
        str,
        typer.Option(
            help="a letter for each of --features or --feature-names: d number, l whole number, "
            "s string, b boolean; by default what the model's schema or the values say"
        ),
    ] = "",
    features_attribute: Annotated[
        str,
        typer.Option(
            help="SageMaker: where the features are in a JSON input, as in request.features"
        ),
    ] = "",
    inference_attribute: Annotated[
        str,
        typer.Option(
            help="SageMaker: where the prediction is in an output: a name, or a CSV column from 0"
        ),
    ] = "",
    probability_attribute: Annotated[
        str, typer.Option(help="SageMaker: where the probabilities are in an output")
    ] = "",
    since: Annotated[
        str | None,
        since_option("SageMaker: start of the search for the predictions of labels"),
    ] = None,
    until: Annotated[str | None, until_option("SageMaker: end of that search")] = None,
    skip_invalid: Annotated[
        bool,
        typer.Option("--skip-invalid", help="import the good rows of a source with bad ones"),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
) -> None:
    """Store predictions of another system, and their labels.

    A table has one row per prediction; options say which columns are what. SageMaker's files end
    in .jsonl, in folders as SageMaker makes them. All rows are checked first: if one cannot be
    used, nothing is imported, without --rejected or --skip-invalid. Stored records do not change,
    so an import can be run again.
    """
    chosen = form or (SourceFormat.TABLE if prediction else SourceFormat.SAGEMAKER)
    name = _name("--model", model_name)
    version = _name("--version", model_version)
    variant = _name("--variant", variant)
    if chosen is SourceFormat.TABLE:
        from modelwatch_cli.capture.tables.command import TableOptions, import_table

        options = TableOptions(
            path=Path(source),
            model_name=name,
            model_version=version,
            variant=variant,
            prediction=prediction,
            timestamp=timestamp,
            features=_names(features),
            types=feature_types,
            label=label,
            event_id=event_id,
            probabilities=_names(probabilities),
            dry_run=dry_run,
            rejected=rejected,
            skip_invalid=skip_invalid or rejected is not None,
        )
        import_table(Settings(), options, as_json)
        return
    if dry_run or rejected:
        raise InvalidInputError("--dry-run" if dry_run else "--rejected", "is only for tables")
    if not optional_part("modelwatch_cli.capture.sagemaker"):
        raise InvalidInputError("--format", "SageMaker's form is not part of this installation")
    from modelwatch_cli.capture.cells import types_of
    from modelwatch_cli.capture.sagemaker.payloads import Reading
    from modelwatch_cli.capture.sagemaker.summary import import_source

    names = _names(feature_names)
    reading = Reading(
        model_name=name,
        model_version=version,
        variant=variant,
        feature_names=names,
        header=header,
        types=types_of("--feature-names", names, feature_types),
        features_attribute=features_attribute,
        inference_attribute=inference_attribute,
        probability_attribute=probability_attribute,
    )
    window = option_window(since, until, _WEEK) if since or until else None
    summary = import_source(Settings(), source, reading, window, skip_invalid)
    if as_json:
        print_json(summary)
    else:
        records, labels = summary.records, summary.labels
        console.print(
            f"{summary.files} sagemaker files: {records.stored} of {records.found} records stored, "
            f"{labels.stored} of {labels.found} labels; "
            f"{records.known + labels.known} were stored already"
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
            "correct them, or leave them out with --skip-invalid"
        )
    labels = summary.labels
    if labels.unmatched:
        raise ModelwatchError(
            f"{labels.unmatched} labels belong to no known prediction; import the "
            "captures first, or look for older ones with --since"
        )
    if labels.refused:
        raise ModelwatchError(f"{labels.refused} labels of {summary.source} were refused")
    if not summary.records.found + labels.found:
        raise ModelwatchError(f"{summary.source} holds no records and no labels")


def _name(option: str, text: str) -> str:
    from modelwatch.domain.names import Name

    if not text:
        return text
    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError as error:
        raise InvalidInputError(option, str(error)) from None


def _names(text: str) -> tuple[str, ...]:
    """Return the names in a list; a name with a comma is in quotes."""
    from modelwatch_cli.capture.cells import read_rows

    return tuple(map(str, read_rows(text)[0])) if text else ()
