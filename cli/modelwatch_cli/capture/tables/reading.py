"""Rows of a table, one at a time, from any format."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import msgspec

from modelwatch.domain.faults import UNREADABLE, refuse_names_in, repeated
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.capture.tables.sources import TableFile
from modelwatch_training.delimiters import delimiter_of

if TYPE_CHECKING:
    import pyarrow as pa

_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}

Cell = float | int | str | bool | datetime | None
"""A value as in the file. Every value of a CSV or TSV file is a text."""

_BATCH_ROWS = 10_000
_PIECE_BYTES = 1 << 20


class Row(NamedTuple):
    """A row of a table.

    Attributes
    ----------
    number
        Line of a text file, row of a Parquet file, counted from 1.
    values
        Value by column.
    problem
        The reason why it is no row of this table; empty if it is one.
    file
        Its file, if the table has several.
    """

    number: int
    values: dict[str, Cell]
    problem: str = ""
    file: str = ""

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"{self.file} row {self.number}".strip()


class _File(NamedTuple):
    """An open file of a table; ``unusable`` says which columns are of a type that no record has."""

    columns: tuple[str, ...]
    rows: Callable[[Sequence[str]], Iterator[Row]]
    delimiter: str = ","
    unusable: Mapping[str, str] = MappingProxyType({})


class Table(NamedTuple):
    """An open table.

    Attributes
    ----------
    columns
        Names of the columns of all files, and of JSON lines those of all lines, in order.
    is_text
        Whether every value is a text; then the whole column determines the type.
    files
        Its files, with the columns in the names of their folders.
    delimiter
        The separator, one of `DELIMITERS`; a comma if there is none.
    """

    columns: tuple[str, ...]
    is_text: bool
    files: tuple[tuple[TableFile, _File], ...]
    delimiter: str = ","

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield all rows, with these columns; a column that a file lacks has no value in its rows.

        Raises InvalidInputError when one of them is of a type that no record has.
        """
        wanted = self.columns if columns is None else columns
        for file, opened in self.files:
            for name in wanted:
                if name in opened.unusable:
                    problem = (
                        f"column {name} is of type {opened.unusable[name]}; only flat values can "
                        "be read; leave it out with --ignore"
                    )
                    raise InvalidInputError(file.name, problem)
        for file, opened in self.files:
            constant = {
                name: value
                for name, value in file.partitions.items()
                if name in wanted and name not in opened.columns
            }
            shown = file.name if len(self.files) > 1 else ""
            present = [name for name in opened.columns if name in set(wanted)]
            for row in opened.rows(present):
                yield row._replace(values={**row.values, **constant}, file=shown)

    def lacking(self, columns: Sequence[str]) -> dict[str, list[str]]:
        """Return by column the files that lack it."""
        found = {
            name: [
                file.name
                for file, opened in self.files
                if name not in opened.columns and name not in file.partitions
            ]
            for name in columns
        }
        return {name: files for name, files in found.items() if files}


def open_table(
    files: Sequence[TableFile], advance: Callable[[int], None] = lambda _: None
) -> Table:
    """Open the table in ``files``, all of one format.

    Raises InvalidInputError when one of them is no such table.

    Parameters
    ----------
    advance
        Called at times with the bytes that were read.
    """
    form = files[0].form
    opener = {"csv": _csv, "tsv": _csv, "parquet": _parquet, "jsonl": _json_lines}[form]
    opened = []
    for file in files:
        # a program that writes folders leaves files without a byte in them
        if len(files) > 1 and not file.path.stat().st_size:
            continue
        found = opener(file, advance)
        if not found.columns:
            raise InvalidInputError(file.name, "has no columns")
        if twice := repeated(filter(None, found.columns)):
            names = ", ".join(twice)
            raise InvalidInputError(file.name, f"has more than one column with the name {names}")
        opened.append((file, found))
    if not opened:
        raise InvalidInputError(files[0].name, "has no columns, nor have the other files")
    columns = dict.fromkeys(
        name for file, found in opened for name in (*found.columns, *file.partitions)
    )
    marks = {found.delimiter for _, found in opened}
    return Table(tuple(columns), opener is _csv, tuple(opened), "".join(sorted(marks)))


def _csv(file: TableFile, advance: Callable[[int], None]) -> _File:
    try:
        # tabs are what the name of such a file says, whatever else its header has
        first = next(iter(_Lines(file, lambda _: None)), "")
        delimiter = "\t" if file.form == "tsv" else delimiter_of(first)
        head = csv.reader(_Lines(file, lambda _: None), strict=True, delimiter=delimiter)
        header = tuple(name.strip() for name in next(head, []))
    except csv.Error as error:
        raise InvalidInputError(file.name, f"line 1: {_in_words(error)}") from None

    def rows(columns: Sequence[str]) -> Iterator[Row]:
        reader = csv.reader(_Lines(file, advance), strict=True, delimiter=delimiter)
        next(reader, None)
        places = [(name, header.index(name)) for name in columns]
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(reader.line_num, {}, f"is no line of a CSV file: {_in_words(error)}")
                continue
            if not cells:
                continue
            if len(cells) != len(header):
                problem = f"has {len(cells)} values for {len(header)} columns"
                yield Row(reader.line_num, dict(zip(header, cells, strict=False)), problem)
                continue
            yield Row(reader.line_num, {name: cells[place] for name, place in places})

    return _File(header, rows, delimiter)


def _in_words(error: csv.Error) -> str:
    if "new-line" in str(error):
        return "lines end with a carriage return alone; save the file with line feeds"
    return str(error)


def _json_lines(file: TableFile, advance: Callable[[int], None]) -> _File:
    decode = msgspec.json.Decoder(dict[str, Any]).decode

    def row(number: int, line: str, wanted: Container[str] | None = None) -> Row:
        try:
            values = decode(line)
        except UNREADABLE as error:
            return Row(number, {}, f"is no JSON object: {error}")
        strings = len(values) + sum(isinstance(value, str) for value in values.values())
        if line.count('"') != 2 * strings:
            # quotation marks inside texts, or a name that is there twice
            try:
                refuse_names_in(line.encode())
            except InvalidInputError as error:
                return Row(number, values, str(error))
        for name, value in values.items():
            if wanted is not None and name in wanted and isinstance(value, list | dict):
                problem = f"{name}: is a list or an object; only flat rows can be read"
                return Row(number, values, problem)
        return Row(number, values)

    def rows(wanted: Sequence[str]) -> Iterator[Row]:
        names = frozenset(wanted)
        for number, line in enumerate(_Lines(file, advance), 1):
            if line.strip():
                yield row(number, line, names)

    columns: dict[str, None] = {}
    problem = ""
    for number, line in enumerate(_Lines(file, lambda _: None), 1):
        if line.strip():
            found = row(number, line)
            if found.problem:
                problem = problem or f"line {number} {found.problem}"
            else:
                columns |= dict.fromkeys(found.values)
    if not columns:
        raise InvalidInputError(file.name, problem or "line 1 is missing")
    return _File(tuple(columns), rows)


def _parquet(file: TableFile, advance: Callable[[int], None]) -> _File:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file.path) as found:
            schema, rows_of_file = found.schema_arrow, max(1, found.metadata.num_rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInputError(file.name, f"is no Parquet file: {error}") from None
    columns = tuple(name for name in schema.names if not name.startswith("__index_level_"))
    times = Counter(columns)
    kinds = {name: schema.field(name).type for name in columns if times[name] == 1}
    unusable = {
        name: str(kind)
        for name, kind in kinds.items()
        if pa.types.is_nested(kind) or _is_binary(kind)
    }

    def rows(wanted: Sequence[str]) -> Iterator[Row]:
        size, number = file.path.stat().st_size, 0
        # a page at a time: a row group may be the whole file
        with pq.ParquetFile(file.path, pre_buffer=False, buffer_size=_PIECE_BYTES) as found:
            batches = found.iter_batches(_BATCH_ROWS, columns=list(wanted))
            while True:
                try:
                    batch = next(batches, None)
                    if batch is None:
                        return
                    lists = [_cells(batch.column(name)) for name in wanted]
                except (pa.ArrowException, ValueError, OverflowError, OSError) as error:
                    # a damaged page, an impossible time, an unknown zone
                    problem = f"{file.name}: the rows after {number} cannot be read: {error}"
                    raise ModelwatchError(problem) from error
                for values in zip(*lists, strict=True):
                    number += 1
                    yield Row(number, dict(zip(wanted, values, strict=True)))
                advance(size * batch.num_rows // rows_of_file)

    return _File(columns, rows, unusable=unusable)


def _cells(column: pa.Array) -> list[Cell]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        # no datetime has nanoseconds, and times are kept in milliseconds
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    found: list[Cell] = column.to_pylist()
    is_plain = pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind)
    if is_plain and not pa.types.is_temporal(kind):
        return found
    return list(map(_plain, found))


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    held = kind.value_type if pa.types.is_dictionary(kind) else kind
    return str(held).removeprefix("large_").removeprefix("fixed_size_").startswith("binary")


def _plain(value: Any) -> Cell:
    if value is None or isinstance(value, bool | int | float | str | datetime):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, date) else str(value)


class _Lines:
    """The lines of a text file in UTF-8, with or without a byte-order mark; counts what it read."""

    def __init__(self, file: TableFile, advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance

    def __iter__(self) -> Iterator[str]:
        import pyarrow as pa

        name = PurePosixPath(self._file.name.lower())
        packed = _CODECS.get(name.suffix)
        with self._file.path.open("rb") as raw:
            if packed is None:
                yield from self._lines(raw)
                return
            with pa.CompressedInputStream(raw, packed) as unpacked:
                try:
                    yield from self._lines(io.BufferedReader(unpacked, _PIECE_BYTES))
                except OSError as error:
                    problem = (
                        f"{self._file.name} is damaged, or is not packed with {packed}: {error}"
                    )
                    raise ModelwatchError(problem) from error

    def _lines(self, file: BinaryIO | io.BufferedReader) -> Iterator[str]:
        read = 0
        for number, line in enumerate(file, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ModelwatchError(
                    f"{self._file.name}: line {number} is not UTF-8: {error.reason}; "
                    "save the file in UTF-8"
                ) from None
            read += len(line)
            if read >= 1_000_000:
                self._advance(read)
                read = 0
        self._advance(read)
