"""Rows of a table, one at a time, from any format."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from modelwatch.domain.faults import UNREADABLE, refuse_names_in
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_training.delimiters import delimiter_of

Cell = float | int | str | bool | datetime | None
"""A value as in the file. Every value of a CSV file is a text."""

FORMATS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
"""Format by the ending of a file's name."""

_BATCH_ROWS = 10_000


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
    """

    number: int
    values: dict[str, Cell]
    problem: str = ""


class Table(NamedTuple):
    """An open table.

    Attributes
    ----------
    columns
        Names of the columns; for JSON lines those of all lines, in order.
    is_text
        Whether every value is a text; then the whole column determines the type.
    rows
        Its rows.
    delimiter
        The separator, one of `DELIMITERS`; a comma if there is none.
    """

    columns: tuple[str, ...]
    is_text: bool
    rows: Iterator[Row]
    delimiter: str = ","


def open_table(path: Path, advance: Callable[[int], None] = lambda _: None) -> Table:
    """Open the table in the file ``path``.

    Raises InvalidInputError when the file does not exist, or is no such table.

    Parameters
    ----------
    path
        A file whose name ends in one of `FORMATS`.
    advance
        Called at times with the bytes that were read.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        expected = ", ".join(FORMATS)
        raise InvalidInputError(str(path), f"expected a file that ends in one of {expected}")
    if not path.is_file():
        raise InvalidInputError(str(path), "is no file")
    opened = {"csv": _csv, "parquet": _parquet, "jsonl": _json_lines}[kind](path, advance)
    if not opened.columns:
        raise InvalidInputError(str(path), "has no columns")
    repeated = {name for name in opened.columns if opened.columns.count(name) > 1}
    if repeated:
        names = ", ".join(sorted(repeated))
        raise InvalidInputError(str(path), f"has more than one column with the name {names}")
    return opened


def _csv(path: Path, advance: Callable[[int], None]) -> Table:
    source = _Lines(path, advance)
    try:
        delimiter = delimiter_of(next(iter(_Lines(path, lambda _: None)), ""))
        reader = csv.reader(source, strict=True, delimiter=delimiter)
        header = tuple(name.strip() for name in next(reader, []))
    except csv.Error as error:
        raise InvalidInputError(str(path), f"line 1: {error}") from None

    def rows() -> Iterator[Row]:
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(reader.line_num, {}, f"is no line of a CSV file: {error}")
                continue
            if not cells:
                continue
            problem = ""
            if len(cells) != len(header):
                problem = f"has {len(cells)} values for {len(header)} columns"
            yield Row(reader.line_num, dict(zip(header, cells, strict=False)), problem)

    return Table(header, True, rows(), delimiter)


def _json_lines(path: Path, advance: Callable[[int], None]) -> Table:
    decode = msgspec.json.Decoder(dict[str, Any]).decode

    def row(number: int, line: str) -> Row:
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
            if isinstance(value, list | dict):
                problem = f"{name}: is a list or an object; only flat rows can be read"
                return Row(number, values, problem)
        return Row(number, values)

    def rows() -> Iterator[Row]:
        for number, line in enumerate(_Lines(path, advance), 1):
            if line.strip():
                yield row(number, line)

    columns: dict[str, None] = {}
    problem = ""
    for number, line in enumerate(_Lines(path, lambda _: None), 1):
        if line.strip():
            found = row(number, line)
            if found.problem:
                problem = problem or f"line {number} {found.problem}"
            else:
                columns |= dict.fromkeys(found.values)
    if not columns:
        raise InvalidInputError(str(path), problem or "line 1 is missing")
    return Table(tuple(columns), False, rows())


def _parquet(path: Path, advance: Callable[[int], None]) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInputError(str(path), f"is no Parquet file: {error}") from None
    schema = file.schema_arrow
    columns = tuple(name for name in schema.names if not name.startswith("__index_level_"))
    for name in columns:
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or _is_binary(kind):
            raise InvalidInputError(
                str(path), f"column {name} is of type {kind}; only flat values can be read"
            )
    rows_of_file = max(1, file.metadata.num_rows)

    def rows() -> Iterator[Row]:
        size, number = path.stat().st_size, 0
        batches = file.iter_batches(_BATCH_ROWS, columns=list(columns))
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                lists = [batch.column(name).to_pylist() for name in columns]
            except (pa.ArrowException, ValueError, OverflowError, OSError) as error:
                # a damaged page, an impossible time, an unknown zone
                problem = f"{path}: the rows after {number} cannot be read: {error}"
                raise ModelwatchError(problem) from error
            for values in zip(*lists, strict=True):
                number += 1
                plain = map(_plain, values)
                yield Row(number, dict(zip(columns, plain, strict=True)))
            advance(size * batch.num_rows // rows_of_file)

    return Table(columns, False, rows())


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    held = kind.value_type if pa.types.is_dictionary(kind) else kind
    return str(held).removeprefix("large_").removeprefix("fixed_size_").startswith("binary")


def _plain(value: Any) -> Cell:
    if value is None or isinstance(value, bool | int | float | str | datetime):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, date) else str(value)


class _Lines:
    """The lines of a text file in UTF-8, with or without a byte-order mark; counts what it read."""

    def __init__(self, path: Path, advance: Callable[[int], None]) -> None:
        self._path = path
        self._advance = advance

    def __iter__(self) -> Iterator[str]:
        with self._path.open("rb") as file:
            yield from self._lines(file)

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        read = 0
        for number, line in enumerate(file, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ModelwatchError(
                    f"{self._path}: line {number} is not UTF-8: {error.reason}; "
                    "save the file in UTF-8"
                ) from None
            read += len(line)
            if read >= 1_000_000:
                self._advance(read)
                read = 0
        self._advance(read)
