"""`modelwatch captures import` of a table: the steps, and what they print."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
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
from modelwatch_cli.capture.tables.columns import Meaning, meaning_of
from modelwatch_cli.capture.tables.importing import Checked, Rejected, TableImport
from modelwatch_cli.capture.tables.mapping import TableMapping
from modelwatch_cli.capture.tables.reading import Table, open_table
from modelwatch_cli.capture.tables.sources import fetch
from modelwatch_cli.console import (
    console,
    count_of,
    error_console,
    print_json,
    print_table,
    progress,
)
from modelwatch_cli.settings import Settings
from modelwatch_training.delimiters import DELIMITERS

_SHOWN_PROBLEMS = 20
_WIDEST = 60
"""Characters of a value that are shown."""

_KIND_NAMES = {"d": "number", "l": "whole number", "s": "text", "b": "boolean"}


@dataclass(frozen=True, slots=True)
class TableOptions:
    """The options of the command for tables."""

    source: str
    model_name: str
    variant: str
    mapping: TableMapping
    types: str = ""
    dry_run: bool = False
    rejected: Path | None = None
    skip_invalid: bool = False


def import_table(settings: Settings, options: TableOptions, as_json: bool) -> None:
    """Check a table and store its records and labels; print the counts.

    Raises
    ------
    InvalidInputError
        When an option is missing or wrong.
    ModelwatchError
        When rows cannot be used and no option leaves them out: then nothing is stored. When rows
        differ from what is stored under their ids: then the others are.
    StoreError
        When S3 cannot be read or written.
    """
    for option, value, example in (
        ("--model", options.model_name, "churn"),
        ("--version", options.mapping.version, "3"),
    ):
        if not value:
            raise InvalidInputError(option, f"is missing; give it, as in {option} {example}")
    if options.rejected and options.rejected.resolve() == Path(options.source).resolve():
        raise InvalidInputError("--rejected", "is the table itself; give another file")
    given = types_of("--features", options.mapping.features, options.types)
    zone = options.mapping.zone
    with progress() as bar, TemporaryDirectory(prefix="modelwatch-import-") as folder:
        fetching = bar.add_task("reading the source", total=None)
        files = fetch(
            options.source, settings, Path(folder), lambda read: bar.advance(fetching, read)
        )
        bar.remove_task(fetching)
        total = sum(file.path.stat().st_size for file in files)
        reading = bar.add_task("checking rows", total=total)
        table = open_table(files, lambda read: bar.advance(reading, read))
        mapping = _named(options.mapping.by_names(table.columns), table.columns)
        meaning = meaning_of(table.columns, mapping)
        types, origin = _schema_types(settings, options)
        work = TableImport(
            table,
            meaning,
            model_name=options.model_name,
            model_version=mapping.version,
            variant=options.variant,
            types={**types, **given},
            now_ms=time.time_ns() // 1_000_000,
            unit=mapping.timestamp_unit,
            zone=zone,
        )
        with closing(work):
            checked = _check(work, options)
            records, labels = Stored(), Stored()
            refused = bool(checked.rejected) and not options.skip_invalid
            changed: list[str] = []
            if checked.rows and not refused and not options.dry_run:
                storing = bar.add_task("storing rows", total=checked.rows)
                client, bucket = s3_client(settings), settings.capture_bucket
                segments = read_segments(settings.analysis_segments)
                records, labels = work.store(
                    S3RecordStore(client, bucket, segments),
                    S3LabelStore(client, bucket),
                    lambda rows: bar.advance(storing, rows),
                    changed.append,
                )
    imported = not refused and not options.dry_run
    found = _Found(options.source, mapping, meaning, table, checked, records, labels, imported)
    if as_json:
        print_json(found.summary())
    else:
        if options.dry_run:
            _preview(found, origin)
        _say(found, options)
    if refused:
        rows = checked.rows + checked.repeated + checked.rejected
        outcome = "nothing would be imported" if options.dry_run else "nothing was imported"
        raise ModelwatchError(
            f"{checked.rejected} of {count_of(rows, 'row')} cannot be used, so {outcome}; correct "
            "them, or "
            "write them to a file with --rejected FILE and import the others"
        )
    if not checked.rows and not checked.rejected:
        raise ModelwatchError(f"{options.source} has no rows")
    _complain(options.source, changed)


def _named(mapping: TableMapping, columns: Sequence[str]) -> TableMapping:
    """Return ``mapping``; refuse one that does not say what a table must have."""
    for option, value, example in (
        ("--prediction", mapping.prediction, "predicted"),
        ("--timestamp", mapping.timestamp, "scored_at"),
    ):
        if not value:
            raise InvalidInputError(
                option,
                f"is missing, and no column is named {option[2:]}; give it, as in {option} "
                f"{example}, or in the monitor's file; the columns are {', '.join(columns)}",
            )
    return mapping


def _complain(source: str, changed: list[str]) -> None:
    """Name rows that differ from what is stored under their ids; raises ModelwatchError."""
    if not changed:
        return
    for place in changed[:_SHOWN_PROBLEMS]:
        error_console.print(
            f"{source}: {place}: differs from what is stored under its id", markup=False
        )
    if len(changed) > _SHOWN_PROBLEMS:
        error_console.print(f"and {len(changed) - _SHOWN_PROBLEMS} more")
    raise ModelwatchError(
        f"{len(changed)} rows differ from what is stored under their ids; what is stored stays as "
        "it is, and the other rows are imported"
    )


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
        error_console.print(f"{_shown(row, options)}: {row.reason}", markup=False)
    if checked.rejected > len(shown) > 0:
        error_console.print(f"and {checked.rejected - len(shown)} more")
    return checked


def _shown(row: Rejected, options: TableOptions) -> str:
    return row.place if row.file else f"{options.source}: {row.place}"


def _schema_types(settings: Settings, options: TableOptions) -> tuple[Mapping[str, str], str]:
    """Return the types of the registered model's columns, and the source of types."""
    registry = registry_of(settings)
    try:
        version = registry.version(options.model_name, options.mapping.version)
        manifest = artifacts_of(settings).manifest(version)
    except ModelwatchError as error:
        return {}, f"from the values: the registry has no schema of this version ({error})"
    if manifest is None:
        return {}, "from the values: the registry has no schema of this version"
    columns = manifest.schema.columns
    return {column.name: LETTERS[column.type] for column in columns}, "from the model's schema"


@dataclass(frozen=True, slots=True)
class _Found:
    """What an import found and did."""

    source: str
    mapping: TableMapping
    meaning: Meaning
    table: Table
    checked: Checked
    records: Stored
    labels: Stored
    imported: bool

    def columns(self) -> list[tuple[str, str, str, str]]:
        """Return of each column its name, what it is, its type, and what is to be known of it."""
        words, checked = self.meaning.words(), self.checked
        lacking = self.table.lacking(list(words))
        rows = []
        for name in self.table.columns:
            letter = checked.letters.get("" if name == self.meaning.prediction else name, "")
            notes = ["some values are of another type"] * (name in checked.mixed)
            if name in lacking:
                notes.append(f"{len(lacking[name])} of {len(self.table.files)} files lack it")
            if name not in words:
                notes.append("not imported")
            kind = _KIND_NAMES.get(letter, "")
            rows.append((name, words.get(name, "ignored"), kind, "; ".join(notes)))
        return rows

    def summary(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        checked = self.checked
        return {
            "source": self.source,
            "files": len(self.table.files),
            "imported": self.imported,
            "rows": checked.rows,
            "rejected": checked.rejected,
            "repeated": checked.repeated,
            "first": checked.first,
            "last": checked.last,
            "times_without_zone": checked.without_zone,
            "columns": {name: what for name, what, _, _ in self.columns()},
            "types": {name: letter for name, letter in checked.letters.items() if name},
            "prediction_type": checked.letters.get("", ""),
            "mixed_columns": checked.mixed,
            "incomplete_columns": self.table.lacking(self.meaning.columns),
            "records": asdict(self.records),
            "labels": asdict(self.labels),
        }


def _preview(found: _Found, origin: str) -> None:
    table, checked = found.table, found.checked
    if table.is_text:
        words = " and ".join(DELIMITERS[mark] for mark in table.delimiter)
        console.print(f"Values are separated by {words}.")
    error_console.print(f"Types {origin}.", markup=False)
    print_table(["column", "is", "type", "note"], found.columns())
    if checked.examples:
        names = list(checked.examples[0])
        console.print("\nthe first rows:")
        print_table(
            names,
            [[f"{row.get(name, '')!s:.{_WIDEST}}" for name in names] for row in checked.examples],
        )


def _say(found: _Found, options: TableOptions) -> None:
    checked = found.checked
    if checked.first and checked.last:
        console.print(
            f"{count_of(checked.rows, 'row')} from {checked.first.isoformat()} to "
            f"{checked.last.isoformat()}; "
            f"prediction: {_KIND_NAMES[checked.letters['']]}"
        )
    if checked.without_zone:
        zone = found.mapping.time_zone or "UTC"
        console.print(f"{checked.without_zone} times have no zone and count as {zone}")
    if checked.mixed:
        console.print(
            f"columns with values of another type, kept as they came: {', '.join(checked.mixed)}",
            markup=False,
        )
    for name, files in found.table.lacking(found.meaning.columns).items():
        console.print(f"column {name} is not in {_listed(files)}: no value there", markup=False)
    if checked.repeated:
        console.print(f"{checked.repeated} rows repeat a row with the same id; each counts once")
    if checked.rejected and options.rejected:
        console.print(
            f"{count_of(checked.rejected, 'row')} cannot be used; they are in {options.rejected}",
            markup=False,
        )
    if found.imported:
        stored, known = found.records.stored, found.records.known + found.labels.known
        console.print(
            f"{stored} records stored, {found.labels.stored} labels; {known} were stored already"
        )
        if known and not stored + found.labels.stored:
            console.print("The table was imported before: nothing is new.")


def _listed(files: list[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} other files"
