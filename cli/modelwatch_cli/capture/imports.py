"""`modelwatch captures import`: imports a table, or the files of SageMaker's data capture."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from modelwatch.domain.optional import optional_part
from modelwatch.errors import InvalidInputError, ModelwatchError, MonitorError
from modelwatch_cli.console import console, count_of, error_console, print_json
from modelwatch_cli.options import model_option, since_option, until_option, version_option
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import option_window

if TYPE_CHECKING:
    from modelwatch.domain.model_capture import MonitorCapture
    from modelwatch_cli.capture.sagemaker.summary import ImportSummary
    from modelwatch_cli.capture.tables.mapping import TableMapping

_SHOWN_PROBLEMS = 20
_WEEK = timedelta(days=7)


class SourceFormat(StrEnum):
    """Whose files they are."""

    TABLE = "table"
    SAGEMAKER = "sagemaker"


class Unit(StrEnum):
    """Of times that are numbers; `modelwatch_cli.capture.tables.mapping.UNITS`."""

    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


def import_captures(
    source: Annotated[
        str,
        typer.Argument(
            help="a file, a folder or s3://bucket/prefix: a table in CSV, TSV, Parquet or JSON "
            "lines, or SageMaker's files"
        ),
    ],
    form: Annotated[
        SourceFormat | None,
        typer.Option(
            "--format", help="whose form; by default a table, but for .jsonl without --prediction"
        ),
    ] = None,
    model_name: Annotated[str, model_option("the model that made the predictions")] = "",
    model_version: Annotated[str, version_option("its version")] = "",
    monitor: Annotated[
        Path | None,
        typer.Option(
            help="table: the monitor's file, whose [table] says which column is what; "
            "by default monitors/MODEL.toml, if it is there",
            dir_okay=False,
        ),
    ] = None,
    variant: Annotated[
        str,
        typer.Option(help="variant of all records; by default none, or as SageMaker's keys show"),
    ] = "",
    prediction: Annotated[
        str, typer.Option(help="table: column of the predictions; by default prediction")
    ] = "",
    timestamp: Annotated[
        str,
        typer.Option(
            help="table: column of the times, in ISO 8601 or as a number since 1970; "
            "by default timestamp"
        ),
    ] = "",
    timestamp_unit: Annotated[
        Unit | None,
        typer.Option(
            help="table: of times that are numbers; by default s, or ms if they are large"
        ),
    ] = None,
    time_zone: Annotated[
        str,
        typer.Option(help="table: of times without one, such as Europe/Berlin; by default UTC"),
    ] = "",
    features: Annotated[
        str,
        typer.Option(
            help="table: columns of the features, with commas between them; "
            "by default all that nothing else names"
        ),
    ] = "",
    ignore: Annotated[
        str, typer.Option(help="table: columns that are not imported, with commas between them")
    ] = "",
    label: Annotated[
        str, typer.Option(help="table: column of the labels; by default label, if there is one")
    ] = "",
    event_id: Annotated[
        str,
        typer.Option(
            "--id",
            help="table: column of the ids; by default id, "
            "and without one the id follows from the row's content",
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

    A table has one row per prediction; the [table] of the monitor's file, or options, say which
    column is what. SageMaker's files end in .jsonl, in folders as SageMaker makes them. All rows
    are checked first: if one cannot be used, nothing is imported, without --rejected or
    --skip-invalid. What the model's monitor says of capture holds for them. Stored records do not
    change, so an import can be run again.
    """
    from modelwatch_cli.capture.tables.mapping import TableMapping
    from modelwatch_cli.capture.tables.sources import is_table

    name = _name("--model", model_name)
    variant = _name("--variant", variant)
    given = TableMapping(
        version=_name("--version", model_version),
        prediction=prediction,
        timestamp=timestamp,
        timestamp_unit=timestamp_unit.value if timestamp_unit else "",
        time_zone=time_zone,
        label=label,
        id=event_id,
        probabilities=_names(probabilities),
        features=_names(features),
        ignore=_names(ignore),
    )
    settings = Settings()
    name, written, said = _monitor(monitor, name, settings.stage)
    mapping = given.over(written)
    version = _name("--version", mapping.version)
    if not form and (mapping.prediction or is_table(source, settings)):
        form = SourceFormat.TABLE
    if form is SourceFormat.TABLE:
        from modelwatch_cli.capture.tables.command import TableOptions, import_table
        from modelwatch_cli.capture.tables.whole import GivenTable

        table = GivenTable(
            source=source,
            model_name=name,
            variant=variant,
            mapping=mapping,
            types=feature_types,
            monitor=said,
            dry_run=dry_run,
            skip_invalid=skip_invalid or rejected is not None,
        )
        options = TableOptions(table, rejected)
        import_table(settings, options, as_json)
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
    summary = import_source(settings, source, reading, window, skip_invalid)
    if as_json:
        print_json(summary)
    else:
        records, labels = summary.records, summary.labels
        console.print(
            f"{count_of(summary.files, 'SageMaker file')}: stored {records.stored} of "
            f"{count_of(records.found, 'record')} and {labels.stored} of "
            f"{count_of(labels.found, 'label')}; stored before: {records.known + labels.known}"
        )
        if records.left_out:
            console.print(f"{count_of(records.left_out, 'record')} not in the monitor's sample")
    _complain(summary)


def _complain(summary: ImportSummary) -> None:
    for problem in summary.problems[:_SHOWN_PROBLEMS]:
        error_console.print(problem, markup=False)
    if len(summary.problems) > _SHOWN_PROBLEMS:
        error_console.print(f"and {len(summary.problems) - _SHOWN_PROBLEMS} more")
    if not summary.imported:
        raise ModelwatchError(
            f"{count_of(summary.invalid, 'line')} of {summary.source} cannot be read, so nothing "
            "was imported; "
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


def _monitor(
    file: Path | None, model_name: str, stage: str
) -> tuple[str, TableMapping, tuple[str, MonitorCapture] | None]:
    """Return the model's name, and ``[table]`` and ``[capture]`` of its monitor's file, if it is.

    Raises InvalidInputError when the file is of another model, MonitorError when it cannot be read.
    """
    from modelwatch_cli.capture.tables.mapping import TableMapping
    from modelwatch_cli.monitors.files import read_monitor, table_of

    if file is None:
        file = Path("monitors", f"{model_name}.toml")
        if not model_name or not file.is_file():
            return model_name, TableMapping(), None
    name, found, faults = read_monitor(file, stage)
    if faults:
        raise MonitorError("\n".join(map(str, faults)))
    if model_name and name != model_name:
        raise InvalidInputError("--monitor", f"{file} is the monitor of {name}")
    said = (str(file), found.capture) if found and found.capture else None
    return name, table_of(file), said


def _name(option: str, text: str) -> str:
    from modelwatch.domain.faults import invalid_json
    from modelwatch.domain.names import Name

    if not text:
        return text
    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError as error:
        raise InvalidInputError(option, f"'{text:.60}' {invalid_json(error).problem}") from None


def _names(text: str) -> tuple[str, ...]:
    """Return the names in a list; a name with a comma is in quotes."""
    from modelwatch_cli.capture.cells import read_rows

    return tuple(map(str, read_rows(text)[0])) if text else ()
