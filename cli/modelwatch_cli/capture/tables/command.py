"""`modelwatch captures import` of a table: the steps, and what they print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.capture.tables.importing import Rejected
from modelwatch_cli.capture.tables.whole import (
    KIND_NAMES,
    GivenTable,
    ImportedTable,
    import_rows,
)
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


@dataclass(frozen=True, slots=True)
class TableOptions:
    """The options of the command for tables."""

    given: GivenTable
    rejected: Path | None = None

    @property
    def source(self) -> str:
        """The file, folder or prefix."""
        return self.given.source


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
    if options.rejected and options.rejected.resolve() == Path(options.source).resolve():
        raise InvalidInputError("--rejected", "is the table itself; give another file")
    with progress() as bar:

        @contextmanager
        def step(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.advance(task, done)
            if total is None:
                bar.remove_task(task)

        with _noting(options) as note:
            found = import_rows(settings, options.given, note, step)
    if options.rejected and not found.checked.rejected:
        options.rejected.unlink(missing_ok=True)
    checked, refused, changed = found.checked, found.refused, found.changed
    if as_json:
        print_json(found.summary())
    else:
        if options.given.dry_run:
            _preview(found)
        _say(found, options)
    if refused:
        rows = checked.rows + checked.repeated + checked.rejected
        outcome = "nothing would be imported" if options.given.dry_run else "nothing was imported"
        raise ModelwatchError(
            f"{checked.rejected} of {count_of(rows, 'row')} cannot be used, so {outcome}; correct "
            "them, or "
            "write them to a file with --rejected FILE and import the others"
        )
    if not checked.rows and not checked.rejected:
        raise ModelwatchError(f"{options.source} has no rows")
    _complain(options.source, changed)


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
        f"{count_of(len(changed), 'row')} with other content than what is stored under the id; "
        "what is stored stays as it is, and the other rows are imported"
    )


@contextmanager
def _noting(options: TableOptions) -> Iterator[Callable[[Rejected], None]]:
    """Give what takes rows that cannot be used: into the file of ``--rejected``, or on the screen.

    Raises ModelwatchError when the file cannot be written.
    """
    shown: list[Rejected] = []
    count = 0

    def show(row: Rejected) -> None:
        nonlocal count
        count += 1
        if len(shown) < _SHOWN_PROBLEMS:
            shown.append(row)

    if (path := options.rejected) is not None:
        with ExitStack() as stack:
            files: list[IO[bytes]] = []

            def write(row: Rejected) -> None:
                try:
                    if not files:
                        files.append(stack.enter_context(path.open("wb")))
                    files[0].write(msgspec.json.encode(row) + b"\n")
                except OSError as error:
                    raise ModelwatchError(f"cannot write {path}: {error}") from error

            yield write
        return
    yield show
    for row in shown:
        error_console.print(f"{_shown(row, options)}: {row.reason}", markup=False)
    if count > len(shown) > 0:
        error_console.print(f"and {count - len(shown)} more")


def _shown(row: Rejected, options: TableOptions) -> str:
    return row.place if row.file else f"{options.source}: {row.place}"


def _preview(found: ImportedTable) -> None:
    table, checked = found.table, found.checked
    if table.is_text:
        words = " and ".join(DELIMITERS[mark] for mark in table.delimiter)
        console.print(f"Values are separated by {words}.")
    error_console.print(f"Types {found.types_from}.", markup=False)
    print_table(["column", "is", "type", "note"], found.columns())
    if checked.examples:
        names = list(checked.examples[0])
        console.print("\nthe first rows:")
        print_table(
            names,
            [[f"{row.get(name, '')!s:.{_WIDEST}}" for name in names] for row in checked.examples],
        )


def _say(found: ImportedTable, options: TableOptions) -> None:
    checked = found.checked
    if checked.first and checked.last:
        console.print(
            f"{count_of(checked.rows, 'row')} from {checked.first.isoformat()} to "
            f"{checked.last.isoformat()}; "
            f"prediction: {KIND_NAMES[checked.letters['']]}"
        )
    if checked.without_zone:
        zone = found.mapping.time_zone or "UTC"
        console.print(f"{count_of(checked.without_zone, 'time')} without a zone, read in {zone}")
    if checked.mixed:
        console.print(
            f"columns with values of another type, kept as they came: {', '.join(checked.mixed)}",
            markup=False,
        )
    for name, files in found.table.lacking(found.meaning.columns).items():
        console.print(f"column {name} is not in {_listed(files)}: no value there", markup=False)
    if checked.repeated:
        rows = count_of(checked.repeated, "row")
        console.print(f"{rows} with the id of an earlier one; each id counts once")
    if checked.rejected and options.rejected:
        console.print(
            f"{count_of(checked.rejected, 'row')} cannot be used; they are in {options.rejected}",
            markup=False,
        )
    if found.imported:
        stored, known = found.records.stored, found.records.known + found.labels.known
        console.print(
            f"stored {count_of(stored, 'record')} and {count_of(found.labels.stored, 'label')}; "
            f"stored before: {known}"
        )
        if found.records.left_out:
            rate = f"{found.rules.sample_rate:g}"
            console.print(
                f"{count_of(found.records.left_out, 'row')} left out: the monitor has "
                f"sample_rate = {rate}"
            )
        if known and not stored + found.labels.stored:
            console.print("The table was imported before: nothing is new.")


def _listed(files: list[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} other files"
