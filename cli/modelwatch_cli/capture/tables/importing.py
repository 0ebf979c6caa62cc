"""An import of a table: every row is checked before the first is stored.

Valid rows wait in a temporary folder, one file per hour, until the whole table is read. Then the
type of each column is known, and one hour after the other is stored. So memory does not grow with
the table, and each hour becomes few objects on S3, in any order of the rows.
"""

from __future__ import annotations

import tempfile
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import batched
from pathlib import Path
from typing import NamedTuple

import msgspec

from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import derived_event_id
from modelwatch.domain.labels import Label
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.domain.records import FUTURE_TOLERANCE_MS, Record, Value
from modelwatch.errors import InvalidInputError
from modelwatch.ports.capture import LabelStore
from modelwatch_cli.capture.storing import LabelsOfHour, RecordsOfHour, Stored
from modelwatch_cli.capture.tables.columns import (
    EPOCH,
    ColumnKinds,
    Meaning,
    letters_of,
    value_of,
)
from modelwatch_cli.capture.tables.mapping import TimeUnit
from modelwatch_cli.capture.tables.reading import Cell, Row, Table
from modelwatch_cli.capture.tables.rows import RowReader, ValidRow
from modelwatch_cli.capture.tables.seen_ids import SeenIds

SOURCE = "import"
"""Source of records and labels of a table."""

_RECORDS_AT_ONCE = 20_000
_HOURS_AT_ONCE = 4
_ROWS_HELD = 100_000
_ROWS_COUNTED = 5_000
_encode = msgspec.json.Encoder().encode


_decode = msgspec.json.Decoder(ValidRow).decode


class Rejected(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row that cannot be used: its place, the reason, and its values."""

    row: int
    reason: str
    values: dict[str, Cell]
    file: str = ""

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"{self.file} row {self.row}".strip()


@dataclass(slots=True)
class Checked:
    """The content of a table.

    Attributes
    ----------
    rows, rejected
        How many rows can be used and how many cannot.
    repeated
        How many rows repeat a row with the same id.
    letters
        Type of each feature, and of the prediction under the name "".
    mixed
        Columns with values of another type; these values are stored unchanged.
    first, last
        Earliest and latest time.
    without_zone
        How many times had no zone and counted as UTC.
    examples
        The first valid rows.
    """

    rows: int = 0
    rejected: int = 0
    repeated: int = 0
    letters: dict[str, str] = field(default_factory=dict)
    mixed: list[str] = field(default_factory=list)
    first: datetime | None = None
    last: datetime | None = None
    without_zone: int = 0
    examples: list[dict[str, Cell]] = field(default_factory=list)


_EXAMPLES = 5


class _StoredHour(NamedTuple):
    """The counts of an hour, and the places of rows that differ from what is stored."""

    records: Stored
    labels: Stored
    changed: list[str]


class TableImport:
    """Reads a table and stores it; `close` deletes its temporary folder.

    Parameters
    ----------
    types
        Type of a feature, a letter as in `Record.types`, from the model's schema or the user;
        otherwise it follows from the values of the whole column.
    now_ms
        The present, in milliseconds since 1970: rows from the future are rejected.
    rules
        What is captured of the model.
    unit, zone
        Of times that are numbers, and of those without a zone.
    """

    def __init__(
        self,
        table: Table,
        meaning: Meaning,
        *,
        model_name: str,
        model_version: str,
        variant: str,
        types: Mapping[str, str],
        now_ms: int,
        rules: CaptureRules,
        unit: TimeUnit = "",
        zone: tzinfo = UTC,
    ) -> None:
        self._table = table
        self._meaning = meaning
        self._model_name, self._model_version = model_name, model_version
        self._variant = variant
        self._types = types
        self._rules = rules
        latest_ms = now_ms + FUTURE_TOLERANCE_MS
        self._reader = RowReader(meaning, table.is_text, types, model_name, latest_ms, unit, zone)
        self._folder = tempfile.TemporaryDirectory(prefix="modelwatch-import-")
        self._held: defaultdict[datetime, list[bytes]] = defaultdict(list)
        self._held_rows = 0
        self._ids = SeenIds(Path(self._folder.name, "ids"))
        self.checked = Checked()

    def close(self) -> None:
        """Delete the temporary folder."""
        self._ids.close()
        self._folder.cleanup()

    def check(self, rejected: Callable[[Rejected], None] = lambda _: None) -> Checked:
        """Read the whole table, and store nothing."""
        checked, meaning = self.checked, self._meaning
        kinds = {name: ColumnKinds(self._table.is_text) for name in ("", *meaning.features)}
        cells: list[tuple[Cell, ...]] = []

        def count_kinds() -> None:
            for found, column in zip(kinds.values(), zip(*cells, strict=True), strict=False):
                found.add(column)
            cells.clear()

        for row in self._table.rows(meaning.columns):
            try:
                kept, assumed = self._reader.read(row)
                if self._repeats(kept, row):
                    checked.repeated += 1
                    continue
            except InvalidInputError as error:
                checked.rejected += 1
                rejected(Rejected(row.number, str(error), _shown(row.values), row.file))
                continue
            self._count(kept, assumed)
            cells.append((kept.prediction, *kept.features))
            if len(cells) == _ROWS_COUNTED:
                count_kinds()
            if len(checked.examples) < _EXAMPLES:
                checked.examples.append(row.values)
            self._keep(kept)
        count_kinds()
        self._flush()
        checked.letters = letters_of(kinds, self._types)
        checked.mixed = [name for name, found in kinds.items() if name and found.is_mixed]
        if kinds[""].is_mixed and not self._types.get(""):
            # classes, some of which look like numbers: all stay the texts of the file
            checked.letters[""] = "s"
        return checked

    def store(
        self,
        records: S3RecordStore,
        labels: LabelStore,
        advance: Callable[[int], None] = lambda _: None,
        changed: Callable[[str], None] = lambda _: None,
    ) -> tuple[Stored, Stored]:
        """Store the rows that `check` kept; stored records and labels do not change.

        Raises StoreError when S3 cannot be read or written: import again, and the rest is stored.

        Parameters
        ----------
        advance
            Called with the number of rows that were stored, or were there.
        changed
            Called with the place of a row under whose id another content, or label, is stored.

        Returns
        -------
        tuple
            The counts of the records, and of the labels.
        """
        done, labels_done = Stored(), Stored()
        paths = sorted(Path(self._folder.name).glob("*.jsonl"))
        # most of the time of an hour of few rows is that of its requests
        with ThreadPoolExecutor(_HOURS_AT_ONCE) as threads:
            try:
                for found in threads.map(
                    lambda path: self._store_hour(path, records, labels, advance), paths
                ):
                    done.add(found.records)
                    labels_done.add(found.labels)
                    for place in found.changed:
                        changed(place)
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
        return done, labels_done

    def _store_hour(
        self,
        path: Path,
        records: S3RecordStore,
        labels: LabelStore,
        advance: Callable[[int], None],
    ) -> _StoredHour:
        hour = datetime.fromtimestamp(int(path.stem), UTC)
        done = _StoredHour(Stored(), Stored(), [])
        stored = RecordsOfHour(records, self._model_name, self._model_version, hour)
        stored_labels = LabelsOfHour(labels, hour)
        repeats: Counter[str] = Counter()
        with path.open("rb") as file:
            for lines in batched(file, _RECORDS_AT_ONCE, strict=False):
                rows = list(map(_decode, lines))
                pairs = [(row, *self._record(row, repeats)) for row in rows]
                captured = [
                    (row, kept, label)
                    for row, record, label in pairs
                    if (kept := self._rules.sampled(record)) is not None
                ]
                done.records.left_out += len(rows) - len(captured)
                differ = stored.add([record for _, record, _ in captured], done.records)
                found = [label for _, _, label in captured if label is not None]
                differ |= stored_labels.add(found, done.labels)
                done.changed.extend(
                    row.place for row, record, _ in captured if record.event_id in differ
                )
                advance(len(lines))
        return done

    def _count(self, kept: ValidRow, assumed: bool) -> None:
        at, checked = _time_of(kept), self.checked
        checked.without_zone += assumed
        checked.first = min(checked.first or at, at)
        checked.last = max(checked.last or at, at)

    def _repeats(self, kept: ValidRow, row: Row) -> bool:
        """Return whether an earlier row is equal; one with its id that differs is refused."""
        if not kept.event_id:
            return False
        content = _encode([*msgspec.structs.astuple(kept)[1:]])
        first, is_same = self._ids.first(kept.event_id, content, row.place)
        if not is_same:
            name = self._meaning.event_id
            problem = f"the id '{row.values[name]!s:.60}' is that of {first}, which differs"
            raise InvalidInputError(name, problem)
        return first != row.place

    def _keep(self, kept: ValidRow) -> None:
        self.checked.rows += 1
        hour = datetime.fromtimestamp(kept.time_ms // 3_600_000 * 3600, UTC)
        self._held[hour].append(_encode(kept))
        self._held_rows += 1
        if self._held_rows >= _ROWS_HELD:
            self._flush()

    def _flush(self) -> None:
        for hour, lines in self._held.items():
            with Path(self._folder.name, f"{int(hour.timestamp()):012d}.jsonl").open("ab") as file:
                file.write(b"\n".join(lines) + b"\n")
        self._held.clear()
        self._held_rows = 0

    def _record(self, kept: ValidRow, repeats: Counter[str]) -> tuple[Record, Label | None]:
        letters, is_text = self.checked.letters, self._table.is_text
        features: dict[str, Value] = {
            name: value_of(value, letters[name], is_text)
            for name, value in zip(self._meaning.features, kept.features, strict=True)
        }
        at = _time_of(kept)
        prediction = value_of(kept.prediction, letters[""], is_text)
        record = Record(
            event_id=kept.event_id,
            captured_at=at,
            model_name=self._model_name,
            model_version=self._model_version,
            variant=self._variant,
            features=features,
            types="".join(letters[name] for name in features),
            prediction=prediction,
            probabilities=kept.probabilities,
            source=SOURCE,
        )
        record = self._rules.without_fields(record)
        if not kept.event_id:
            # of what is stored: an id must not tell what the rules keep back
            record.event_id = self._id_of_content(kept.time_ms, record, repeats)
        if kept.label is None:
            return record, None
        # the prediction's type determines how a label is read
        value = value_of(kept.label, letters[""], is_text)
        label = Label(
            event_id=record.event_id,
            label=kept.label if value is None else value,
            labelled_at=at,
            predicted_at=at,
            source=SOURCE,
        )
        return record, label

    def _id_of_content(self, time_ms: int, record: Record, repeats: Counter[str]) -> str:
        """Return an id that follows from what is stored of a row; equal rows are numbered.

        So the format of the file and the order of its columns are no part of it, nor is whether
        all numbers of a column are whole in this file.
        """
        content = _encode(
            [
                self._model_version,
                time_ms,
                {name: _text_of(record.features[name]) for name in sorted(record.features)},
                _text_of(record.prediction),
            ]
        )
        first = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._model_name}/{content.decode()}"))
        repeat = repeats[first]
        repeats[first] += 1
        return derived_event_id(first, f"row {repeat}") if repeat else first


def _text_of(value: Value) -> str | None:
    """Return a value's text, of 3.0 that of 3; None is a missing value."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else str(value)


def _time_of(row: ValidRow) -> datetime:
    return EPOCH + timedelta(milliseconds=row.time_ms)


def _shown(values: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return a row with whole numbers that no JSON encoder takes as texts."""
    return {
        name: str(cell) if isinstance(cell, int) and cell.bit_length() > 63 else cell
        for name, cell in values.items()
    }
