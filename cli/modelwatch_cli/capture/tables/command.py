"""`modelwatch captures import` of a table: the steps, and what they print."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.domain.schemas import LETTERS
from modelwatch.domain.segments import read_segments
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.capture.cells import types_of
from modelwatch_cli.capture.storing import Stored
from modelwatch_cli.capture.tables.columns import meaning_of
from modelwatch_cli.capture.tables.importing import Checked, Rejected, TableImport
from modelwatch_cli.capture.tables.reading import open_table
from modelwatch_cli.console import console, error_console, print_json, print_table, progress
from modelwatch_cli.settings import Settings
from modelwatch_training.delimiters import DELIMITERS

_SHOWN_PROBLEMS = 20
_KIND_NAMES = {"d": "number", "l": "whole number", "s": "text", "b": "boolean"}


@dataclass(frozen=True, slots=True)
class TableOptions:
    """The options of the command for tables."""

    path: Path
    model_name: str
    model_version: str
    variant: str
    prediction: str
    timestamp: str
    features: tuple[str, ...]
    types: str
    label: str
    event_id: str
    probabilities: tuple[str, ...]
    dry_run: bool
    rejected: Path | None
    skip_invalid: bool


def import_table(settings: Settings, options: TableOptions, as_json: bool) -> None:
    """Check a table and store its records and labels; print the counts.

    Raises
    ------
    InvalidInputError
        When an option is missing or wrong.
    ModelwatchError
        When rows cannot be used and no option leaves them out: then nothing is stored.
    StoreError
        When S3 cannot be read or written.
    """
    for option, value, example in (
        ("--model", options.model_name, "churn"),
        ("--version", options.model_version, "3"),
        ("--prediction", options.prediction, "predicted"),
        ("--timestamp", options.timestamp, "scored_at"),
    ):
        if not value:
            raise InvalidInputError(option, f"is missing; give it, as in {option} {example}")
    if options.rejected and options.rejected.resolve() == options.path.resolve():
        raise InvalidInputError("--rejected", "is the table itself; give another file")
    given = types_of("--features", options.features, options.types)
    total = options.path.stat().st_size if options.path.is_file() else 0
    with progress() as bar:
        reading = bar.add_task("checking rows", total=total)
        table = open_table(options.path, lambda read: bar.advance(reading, read))
        meaning = meaning_of(
            table.columns,
            prediction=options.prediction,
            timestamp=options.timestamp,
            features=options.features,
            label=options.label,
            event_id=options.event_id,
            probabilities=options.probabilities,
        )
        types, origin = _schema_types(settings, options)
        work = TableImport(
            table,
            meaning,
            model_name=options.model_name,
            model_version=options.model_version,
            variant=options.variant,
            types={**types, **given},
            now_ms=time.time_ns() // 1_000_000,
        )
        with closing(work):
            checked = _check(work, options)
            records, labels = Stored(), Stored()
            refused = bool(checked.rejected) and not options.skip_invalid
            if checked.rows and not refused and not options.dry_run:
                storing = bar.add_task("storing rows", total=checked.rows)
                client, bucket = s3_client(settings), settings.capture_bucket
                segments = read_segments(settings.analysis_segments)
                records, labels = work.store(
                    S3RecordStore(client, bucket, segments),
                    S3LabelStore(client, bucket),
                    lambda rows: bar.advance(storing, rows),
                )
    imported = not refused and not options.dry_run
    if as_json:
        print_json(_summary(options, checked, records, labels, imported))
    else:
        if options.dry_run:
            if table.is_text:
                console.print(f"Values are separated by {DELIMITERS[table.delimiter]}.")
            _preview(checked, origin)
        _say(options, checked, records, labels, imported)
    if refused and not options.dry_run:
        rows = checked.rows + checked.repeated + checked.rejected
        raise ModelwatchError(
            f"{checked.rejected} of {rows} rows cannot be used, so "
            "nothing was imported; correct them, or write them to a file with --rejected FILE and "
            "import the others"
        )
    if not checked.rows and not checked.rejected:
        raise ModelwatchError(f"{options.path} has no rows")


def _check(work: TableImport, options: TableOptions) -> Checked:
    shown: list[Rejected] = []

    def note(row: Rejected, file: IO[bytes] | None) -> None:
        if file is not None:
            file.write(msgspec.json.encode(row) + b"\n")
        elif len(shown) < _SHOWN_PROBLEMS:
            shown.append(row)

    if options.rejected is None:
        checked = work.check(lambda row: note(row, None))
    else:
        try:
            with options.rejected.open("wb") as file:
                checked = work.check(lambda row: note(row, file))
        except OSError as error:
            raise ModelwatchError(f"cannot write {options.rejected}: {error}") from error
        if not checked.rejected:
            options.rejected.unlink()
    for row in shown:
        error_console.print(f"{options.path}: row {row.row}: {row.reason}", markup=False)
    if checked.rejected > len(shown) > 0:
        error_console.print(f"and {checked.rejected - len(shown)} more")
    return checked


def _schema_types(settings: Settings, options: TableOptions) -> tuple[Mapping[str, str], str]:
    """Return the types of the registered model's columns, and the source of types."""
    registry = registry_of(settings)
    try:
        version = registry.version(options.model_name, options.model_version)
        manifest = artifacts_of(settings).manifest(version)
    except ModelwatchError as error:
        return {}, f"from the values: the registry has no schema of this version ({error})"
    if manifest is None:
        return {}, "from the values: the registry has no schema of this version"
    columns = manifest.schema.columns
    return {column.name: LETTERS[column.type] for column in columns}, "from the model's schema"


def _preview(checked: Checked, origin: str) -> None:
    error_console.print(f"Types {origin}.", markup=False)
    print_table(
        ["feature", "type", "note"],
        [
            (name, _KIND_NAMES[letter], "some values are of another type" * (name in checked.mixed))
            for name, letter in checked.letters.items()
            if name
        ],
    )
    if checked.examples:
        names = list(checked.examples[0])
        print_table(names, [[str(row.get(name, "")) for name in names] for row in checked.examples])


def _say(
    options: TableOptions, checked: Checked, records: Stored, labels: Stored, imported: bool
) -> None:
    if checked.first and checked.last:
        console.print(
            f"{checked.rows} rows from {checked.first.isoformat()} to {checked.last.isoformat()}; "
            f"prediction: {_KIND_NAMES[checked.letters['']]}"
        )
    if checked.without_zone:
        console.print(f"{checked.without_zone} times have no zone and count as UTC")
    if checked.mixed:
        console.print(
            f"columns with values of another type, kept as they came: {', '.join(checked.mixed)}",
            markup=False,
        )
    if checked.repeated:
        console.print(f"{checked.repeated} rows repeat a row with the same id; each counts once")
    if checked.rejected and options.rejected:
        console.print(
            f"{checked.rejected} rows cannot be used; they are in {options.rejected}", markup=False
        )
    if imported:
        console.print(
            f"{records.stored} records stored, {labels.stored} labels; "
            f"{records.known + labels.known} were stored already"
        )


def _summary(
    options: TableOptions, checked: Checked, records: Stored, labels: Stored, imported: bool
) -> dict[str, Any]:
    return {
        "source": str(options.path),
        "imported": imported,
        "rows": checked.rows,
        "rejected": checked.rejected,
        "repeated": checked.repeated,
        "first": checked.first,
        "last": checked.last,
        "times_without_zone": checked.without_zone,
        "types": {name: letter for name, letter in checked.letters.items() if name},
        "prediction_type": checked.letters.get("", ""),
        "mixed_columns": checked.mixed,
        "records": asdict(records),
        "labels": asdict(labels),
    }
