"""Files of labels: CSV with a header, JSON lines, or a JSON list."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import msgspec

from modelwatch.domain.faults import UNREADABLE, invalid_json
from modelwatch.domain.labels import Label, decode_label
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.capture.label_cells import label_of_cell
from modelwatch_training.delimiters import delimiter_of

COLUMNS = tuple(name for name in Label.__struct_fields__ if name != "cell")
"""Columns that a CSV file may have; the first two it must have."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Problem:
    """The error in a line of a file (counted from 1), and its field."""

    line: int
    field: str
    problem: str

    def __str__(self) -> str:
        return f"line {self.line}: " + (f"{self.field}: " if self.field else "") + self.problem


def read_labels(path: Path, now_ms: int, *, as_text: bool = False) -> Iterator[Label | Problem]:
    """Yield a label or a problem for each line (or element of a list) of a file.

    A file whose first character is ``[`` is a JSON list, whose elements count as lines; one that
    starts with ``{`` has a JSON object per line; any other is CSV with a header. CSV files and
    JSON lines are never completely in memory.

    Raises ModelwatchError when the file cannot be read, or is of none of the three kinds.

    Parameters
    ----------
    path
        The file, in UTF-8.
    now_ms
        The present, in milliseconds since 1970; see `decode_label`.
    as_text
        Read every label of a CSV file as text, even one that looks like a number or boolean.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            start = file.read(4096).lstrip()[:1]
            file.seek(0)
            if start == "[":
                yield from _elements(path, file.read(), now_ms)
            elif start == "{":
                lines = ((number, line.strip()) for number, line in enumerate(file, 1))
                yield from _decoded(((number, line) for number, line in lines if line), now_ms)
            else:
                yield from _rows(path, file, now_ms, as_text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        # `_rows` names the line of later rows; here it can only be a header without an end
        raise ModelwatchError(f"cannot read {path}: {error}") from error


def _elements(path: Path, text: str, now_ms: int) -> Iterator[Label | Problem]:
    try:
        elements = msgspec.json.decode(text, type=list[msgspec.Raw])
    except UNREADABLE as error:
        raise ModelwatchError(f"{path} is no JSON list: {invalid_json(error)}") from None
    return _decoded(((n, bytes(element)) for n, element in enumerate(elements, 1)), now_ms)


def _rows(path: Path, file: TextIO, now_ms: int, as_text: bool) -> Iterator[Label | Problem]:
    delimiter = delimiter_of(file.readline())
    file.seek(0)
    reader = csv.reader(file, strict=True, delimiter=delimiter)
    header = [name.strip() for name in next(reader, [])]
    unknown = [name for name in header if name not in COLUMNS]
    missing = [name for name in COLUMNS[:2] if name not in header]
    if unknown or missing or len(set(header)) < len(header):
        raise ModelwatchError(
            f"{path}: the columns are {', '.join(header) or 'none'}; expected event_id and label, "
            f"and perhaps {', '.join(COLUMNS[2:])}, each once"
        )
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Problem(reader.line_num, "", str(error))
            continue
        if not row:
            continue
        if len(row) != len(header):
            yield Problem(reader.line_num, "", f"has {len(row)} values for {len(header)} columns")
            continue
        fields: dict[str, object] = {
            name: value for name, value in zip(header, row, strict=True) if value
        }
        if not as_text and "label" in fields:
            try:
                fields["label"], cell = label_of_cell(str(fields["label"]))
            except InvalidInputError as error:
                problem = f"{error.problem}; --text takes it as text"
                yield Problem(reader.line_num, error.field, problem)
                continue
            if cell is not None:
                fields["cell"] = cell
        yield from _decoded([(reader.line_num, _encode(fields))], now_ms)


def _decoded(elements: Iterable[tuple[int, str | bytes]], now_ms: int) -> Iterator[Label | Problem]:
    for line, element in elements:
        try:
            yield decode_label(element, now_ms)
        except InvalidInputError as error:
            yield Problem(line, error.field, error.problem)
