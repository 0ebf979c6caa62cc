"""An import of a table: every row is checked before the first is stored.

Valid rows wait in a temporary folder, one file per hour, until the whole table is read. Then the
type of each column is known, and one hour after the other is stored. So memory does not grow with
the table, and each hour becomes few objects on S3, in any order of the rows.
"""

from __future__ import annotations

import math
import tempfile
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import batched
from pathlib import Path

import msgspec

from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import derived_event_id, is_event_id
from modelwatch.domain.labels import LONGEST_LABEL, Label
from modelwatch.domain.numbers import is_number, probabilities_problem
from modelwatch.domain.records import FUTURE_TOLERANCE_MS, Record, Value
from modelwatch.errors import InvalidInputError
from modelwatch.ports.capture import LabelStore
from modelwatch_cli.capture.storing import Stored, store_labels_of_hour, store_records_of_hour
from modelwatch_cli.capture.tables.columns import (
    MISSING,
    ColumnKinds,
    Meaning,
    letters_of,
    looks_infinite,
    refuse_decimal_comma,
    time_of,
    value_of,
)
from modelwatch_cli.capture.tables.reading import Cell, Row, Table
from modelwatch_cli.capture.tables.seen_ids import SeenIds

SOURCE = "import"
"""Source of records and labels of a table."""

_RECORDS_AT_ONCE = 50_000
_ROWS_HELD = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


class _Kept(msgspec.Struct, array_like=True):
    """A valid row, in the temporary folder."""

    number: int
    time_ms: int
    event_id: str
    features: list[float | int | str | bool | None]
    prediction: float | int | str | bool
    label: float | int | str | bool | None
    probabilities: list[float] | None


_decode = msgspec.json.Decoder(_Kept).decode


class Rejected(msgspec.Struct, frozen=True):
    """A row that cannot be used: its place, the reason, and its values."""

    row: int
    reason: str
    values: dict[str, Cell]


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


class TableImport:
    """Reads a table and stores it; `close` deletes its temporary folder.

    Parameters
    ----------
    table
        The table.
    meaning
        The meaning of its columns.
    model_name, model_version, variant
        The model that made the predictions.
    types
        Type of a feature, a letter as in `Record.types`, from the model's schema or the user;
        otherwise it follows from the values of the whole column.
    now_ms
        The present, in milliseconds since 1970: rows from the future are rejected.
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
    ) -> None:
        self._table = table
        self._meaning = meaning
        self._model_name, self._model_version = model_name, model_version
        self._variant = variant
        self._types = types
        self._latest_ms = now_ms + FUTURE_TOLERANCE_MS
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
        """Read the whole table, and store nothing.

        Parameters
        ----------
        rejected
            Called with each row that cannot be used.
        """
        checked, meaning = self.checked, self._meaning
        kinds = {name: ColumnKinds(self._table.is_text) for name in ("", *meaning.features)}
        for row in self._table.rows:
            try:
                kept = self._kept(row)
                if self._repeats(kept, row):
                    checked.repeated += 1
                    continue
            except InvalidInputError as error:
                checked.rejected += 1
                rejected(Rejected(row.number, str(error), _shown(row.values)))
                continue
            kinds[""].add(row.values[meaning.prediction])
            for name, value in zip(meaning.features, kept.features, strict=True):
                kinds[name].add(value)
            if len(checked.examples) < _EXAMPLES:
                checked.examples.append(row.values)
            self._keep(kept)
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
    ) -> tuple[Stored, Stored]:
        """Store the rows that `check` kept; stored records do not change.

        Parameters
        ----------
        records, labels
            The stores.
        advance
            Called with the number of finished rows.

        Returns
        -------
        tuple
            The counts of the records, and of the labels.

        Raises
        ------
        StoreError
            When S3 cannot be read or written: import again, and the rest is stored.
        """
        done, labels_done = Stored(), Stored()
        for path in sorted(Path(self._folder.name).glob("*.jsonl")):
            hour = datetime.fromtimestamp(int(path.stem), UTC)
            repeats: Counter[str] = Counter()
            with path.open("rb") as file:
                for lines in batched(file, _RECORDS_AT_ONCE, strict=False):
                    pairs = [self._record(_decode(line), repeats) for line in lines]
                    store_records_of_hour(records, hour, [record for record, _ in pairs], done)
                    found = [label for _, label in pairs if label is not None]
                    if found:
                        store_labels_of_hour(labels, hour, found, labels_done)
                    advance(len(lines))
        return done, labels_done

    def _kept(self, row: Row) -> _Kept:
        """Return the content of a row; raises InvalidInputError, with the column as field."""
        if row.problem:
            raise InvalidInputError("", row.problem)
        values, meaning = row.values, self._meaning
        at, assumed = self._time(values)
        prediction = self._said(values, meaning.prediction)
        if self._is_missing(prediction):
            raise InvalidInputError(meaning.prediction, "the prediction is missing")
        label = self._said(values, meaning.label) if meaning.label else None
        if isinstance(label, str) and len(label) > LONGEST_LABEL:
            problem = f"has {len(label)} characters; a label has at most {LONGEST_LABEL}"
            raise InvalidInputError(meaning.label, problem)
        kept = _Kept(
            row.number,
            round((at - _EPOCH) / timedelta(milliseconds=1)),
            self._event_id(values),
            [self._cell(values, name) for name in meaning.features],
            prediction,  # type: ignore[arg-type]  # it is not missing
            None if self._is_missing(label) else label,
            self._probabilities(values),
        )
        checked = self.checked
        checked.without_zone += assumed
        checked.first = min(checked.first or at, at)
        checked.last = max(checked.last or at, at)
        return kept

    def _repeats(self, kept: _Kept, row: Row) -> bool:
        """Return whether an earlier row is equal; one with its id that differs is refused."""
        if not kept.event_id:
            return False
        content = _encode([*msgspec.structs.astuple(kept)[1:]])
        first, is_same = self._ids.first(kept.event_id, content, row.number)
        if first != row.number and not is_same:
            name = self._meaning.event_id
            problem = f"the id '{row.values[name]!s:.60}' is that of row {first}, which differs"
            raise InvalidInputError(name, problem)
        return first != row.number

    def _said(self, values: Mapping[str, Cell], name: str) -> float | int | str | bool | None:
        """Return a prediction or a label; refuse an infinite one, since it would become a class."""
        cell = values.get(name)
        infinite = isinstance(cell, float) and math.isinf(cell)
        if infinite or (self._table.is_text and isinstance(cell, str) and looks_infinite(cell)):
            raise InvalidInputError(name, f"'{cell!s:.60}' is no finite number")
        return self._cell(values, name)

    def _cell(self, values: Mapping[str, Cell], name: str) -> float | int | str | bool | None:
        cell = values.get(name)
        if self._table.is_text and isinstance(cell, str) and self._types.get(name) != "s":
            refuse_decimal_comma(cell, name)
        return _plain(cell, name)

    def _is_missing(self, value: object) -> bool:
        """Tell whether nothing was said; only in a CSV file does a text such as NA say so."""
        if not isinstance(value, str):
            return value is None
        text = value.strip()
        return text.lower() in MISSING if self._table.is_text else not text

    def _time(self, values: Mapping[str, Cell]) -> tuple[datetime, bool]:
        name = self._meaning.timestamp
        try:
            at, assumed = time_of(values.get(name))
        except InvalidInputError as error:
            raise InvalidInputError(name, error.problem) from None
        if not 1970 < at.year < 9999:
            raise InvalidInputError(name, f"{at.isoformat()} is no valid time")
        if at.timestamp() * 1000 > self._latest_ms:
            raise InvalidInputError(name, f"{at.isoformat()} is in the future")
        return at, assumed

    def _event_id(self, values: Mapping[str, Cell]) -> str:
        if not self._meaning.event_id:
            return ""
        name = self._meaning.event_id
        given = _plain(values.get(name), name)
        if self._is_missing(given):
            raise InvalidInputError(name, "the id is missing")
        # in a data frame, whole numbers in a column with a missing value are doubles
        is_whole = isinstance(given, float) and given.is_integer()
        text = str(int(given) if is_whole else given)  # type: ignore[arg-type]
        if is_event_id(text):
            return text.lower()
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._model_name}/{text}"))

    def _probabilities(self, values: Mapping[str, Cell]) -> list[float] | None:
        found = []
        for name in self._meaning.probabilities:
            value = value_of(self._cell(values, name), "d", self._table.is_text)
            if not isinstance(value, float) or not 0 <= value <= 1:
                raise InvalidInputError(name, f"found '{value}', expected a number from 0 to 1")
            found.append(value)
        if found and (problem := probabilities_problem(found)):
            raise InvalidInputError(", ".join(self._meaning.probabilities), problem)
        return found or None

    def _keep(self, kept: _Kept) -> None:
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

    def _record(self, kept: _Kept, repeats: Counter[str]) -> tuple[Record, Label | None]:
        letters, is_text = self.checked.letters, self._table.is_text
        features: dict[str, Value] = {
            name: value_of(value, letters[name], is_text)
            for name, value in zip(self._meaning.features, kept.features, strict=True)
        }
        at = _EPOCH + timedelta(milliseconds=kept.time_ms)
        event_id = kept.event_id or self._id_of_content(kept, repeats)
        record = Record(
            event_id=event_id,
            captured_at=at,
            model_name=self._model_name,
            model_version=self._model_version,
            variant=self._variant,
            features=features,
            types="".join(letters[name] for name in features),
            prediction=value_of(kept.prediction, letters[""], is_text),
            probabilities=kept.probabilities,
            source=SOURCE,
        )
        if kept.label is None:
            return record, None
        # the prediction's type determines how a label is read
        value = value_of(kept.label, letters[""], is_text)
        label = Label(
            event_id=event_id,
            label=kept.label if value is None else value,
            labelled_at=at,
            predicted_at=at,
            source=SOURCE,
        )
        return record, label

    def _id_of_content(self, kept: _Kept, repeats: Counter[str]) -> str:
        """Return an id that follows from the row; equal rows are numbered."""
        content = _encode([self._model_version, kept.time_ms, kept.features, kept.prediction])
        first = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._model_name}/{content.decode()}"))
        repeat = repeats[first]
        repeats[first] += 1
        return derived_event_id(first, f"row {repeat}") if repeat else first


def _plain(cell: Cell, name: str) -> float | int | str | bool | None:
    if isinstance(cell, int) and not isinstance(cell, bool) and not is_number(cell):
        raise InvalidInputError(name, f"'{cell!s:.40}' is larger than any whole number of 64 bits")
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, float) and not math.isfinite(cell):
        return None if math.isnan(cell) else str(cell)
    return cell


def _shown(values: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return a row with whole numbers that no JSON encoder takes as texts."""
    return {
        name: str(cell) if isinstance(cell, int) and cell.bit_length() > 63 else cell
        for name, cell in values.items()
    }
