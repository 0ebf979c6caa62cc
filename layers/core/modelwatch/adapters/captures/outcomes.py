"""Predictions on S3 joined with their labels, hour by hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.adapters.captures.joined_labels import join_labels
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.layout import CaptureObject
from modelwatch.adapters.captures.loss_samples import LossSample
from modelwatch.adapters.captures.parquet import read_table
from modelwatch.adapters.captures.records import CONNECTIONS, S3RecordStore, unmoved
from modelwatch.domain.labels import as_text
from modelwatch.domain.performance.losses import LossModel
from modelwatch.domain.performance.rows import CapturedHour, HourOutcomes, Outcomes
from modelwatch.domain.sampling import is_sampled
from modelwatch.domain.windows import Window

REFERENCE_ROWS = 50_000
"""Enough to learn a curve from, and quick to evaluate."""

_KEPT_BYTES = 16 * 2**20
"""Objects that are kept until labels are counted: those of a month of few predictions."""

_COLUMNS = ["event_id", "variant", "prediction", "prediction_label", "probabilities"]
_HOUR = timedelta(hours=1)
_EDGE = timedelta(minutes=5)
"""How far the time in an id may be from ``captured_at`` for `unknown` to find the prediction."""


class _KeptObjects(S3Objects):
    """Reads an object once, as long as few bytes were read; what is behind a key never changes."""

    def __init__(self, client: Any, bucket: str) -> None:
        super().__init__(client, bucket)
        self._kept: dict[str, bytes] = {}
        self._bytes = 0

    def read(self, key: str) -> bytes:
        if key in self._kept:
            return self._kept[key]
        payload = super().read(key)
        if self._bytes + len(payload) <= _KEPT_BYTES:
            self._kept[key] = payload
            self._bytes += len(payload)
        return payload

    def clear(self) -> None:
        """Keep nothing: later reads see what was deleted meanwhile."""
        self._kept, self._bytes = {}, 0


class S3OutcomeStore:
    """Captures and labels in ``bucket``; see `modelwatch.ports.performance.OutcomeStore`."""

    def __init__(self, client: Any, bucket: str) -> None:
        # an hour that is summed up has its labels counted after it
        self._objects = _KeptObjects(client, bucket)
        self._records = S3RecordStore(client, bucket)
        self._labels = S3LabelStore(client, bucket, self._objects)

    def captured(
        self, model_name: str, model_version: str, window: Window
    ) -> dict[datetime, CapturedHour]:
        """Return what is stored of a version's predictions, by hours that ``window`` touches."""
        hours = list(window.hours())
        found: dict[datetime, list[CaptureObject]] = {}
        for each in self._records.objects(
            model_name, model_version, Window(hours[0], hours[-1] + _HOUR)
        ):
            found.setdefault(each.hour, []).append(each)
        return {
            hour: CapturedHour(
                tuple(sorted(each.key for each in objects)),
                sum(each.size_bytes for each in objects),
            )
            for hour, objects in sorted(found.items())
        }

    def labelled(self, days: Iterable[date]) -> dict[datetime, tuple[str, ...]]:
        """Return the names of what is stored of labels, by the hour of their predictions."""
        asked = set(days)
        found = self._labels.objects(min(asked), max(asked)) if asked else {}
        return {hour: tuple(names) for hour, names in found.items() if hour.date() in asked}

    def outcomes(
        self,
        model_name: str,
        model_version: str,
        hours: Sequence[datetime],
        losses: LossModel | None = None,
    ) -> dict[datetime, HourOutcomes]:
        """Return a version's distinct predictions by the hour, with the labels that hold now.

        ``hours``: of one day, of which all that is stored is listed once. With a loss model, also
        a sample of rows for it.
        """

        def read() -> dict[datetime, HourOutcomes]:
            found = self.captured(model_name, model_version, Window(min(hours), max(hours) + _HOUR))
            labelled = cache(lambda day: self.labelled([day]))
            labelled(hours[0].date())

            def outcomes(hour: datetime) -> HourOutcomes:
                names = found[hour].names if hour in found else ()
                return self._outcomes(names, hour, labelled, losses)

            with ThreadPoolExecutor(CONNECTIONS) as threads:
                return dict(zip(hours, threads.map(outcomes, hours), strict=True))

        return unmoved(read)

    def unknown(self, hours: Iterable[datetime]) -> Iterator[tuple[datetime, tuple[int, int]]]:
        """Yield for each hour how many labels there are, and how many are of nothing captured.

        Labels of predictions that sampling left out do not count among the latter.

        Predictions of every version are looked through, with those of the five minutes around the
        hour: the time in an id may lie before that at which the prediction was captured.
        """
        wanted = sorted(hours)
        versions = self._records.versions() if wanted else []
        try:
            for _, found in groupby(wanted, key=datetime.date):
                day = list(found)
                # done before the next turn
                yield from unmoved(lambda: self._unknown(day, versions))  # noqa: B023
        finally:
            self._objects.clear()

    def reference(self, table: pa.Table) -> Outcomes | None:
        """Return the rows of reference data; see `outcomes_of_reference`."""
        return outcomes_of_reference(table)

    def _outcomes(
        self,
        captures: Sequence[str],
        hour: datetime,
        labelled: Callable[[date], Mapping[datetime, tuple[str, ...]]],
        losses: LossModel | None,
    ) -> HourOutcomes:
        sample = None if losses is None else LossSample(losses)
        table = _distinct(self._columns(captures, _COLUMNS, sample))
        found = join_labels(self._labels, table, hour, labelled)
        rows = _outcomes(table, found.texts, found.numbers)
        variants = table["variant"]
        served_as = sorted(pc.unique(variants).to_pylist())
        return HourOutcomes(
            {name: rows.part(pc.equal(variants, name).to_numpy()) for name in served_as},
            tuple(captures),
            found.names,
            tuple(found.hours),
            {} if sample is None else {name: sample.of(name) for name in served_as},
        )

    def _unknown(
        self, hours: Sequence[datetime], versions: Sequence[tuple[str, str]]
    ) -> list[tuple[datetime, tuple[int, int]]]:
        """Do it for hours of one day, whose objects are listed once."""
        span = Window(hours[0] - _EDGE, hours[-1] + _HOUR + _EDGE)
        captured = [list(self._records.objects(*each, span)) for each in versions]
        labelled = self.labelled([hours[0].date()])

        def count(hour: datetime) -> tuple[int, int]:
            window = Window(hour - _EDGE, hour + _HOUR + _EDGE)
            near = [[each.key for each in kept if each.overlaps(window)] for kept in captured]
            return self._unknown_of(labelled.get(hour, ()), near)

        with ThreadPoolExecutor(CONNECTIONS) as threads:
            return list(zip(hours, threads.map(count, hours), strict=True))

    def _unknown_of(
        self, names: Sequence[str], versions: Sequence[Sequence[str]]
    ) -> tuple[int, int]:
        """Count the labels of some objects, by what is captured of each version."""
        ids = self._labels.read(names)["event_id"].combine_chunks()
        known = np.zeros(len(ids), bool)
        rate = 1.0
        for found in filter(None, versions):
            table = self._columns(found, ["event_id", "sample_rate"])
            captured = pc.utf8_lower(table["event_id"])
            known |= pc.is_in(ids, value_set=captured.combine_chunks()).to_numpy(False)
            rate = min(rate, pc.min(table["sample_rate"]).as_py() or 1.0)
        # what sampling left out has a label nevertheless: its record is not lost
        unknown = [
            each for each in ids.filter(pa.array(~known)).to_pylist() if is_sampled(each, rate)
        ]
        return len(ids), len(unknown)

    def _columns(
        self, keys: Sequence[str], columns: list[str], sample: LossSample | None = None
    ) -> pa.Table:
        def read(key: str) -> pa.Table:
            payload = self._objects.read(key)
            table = read_table(payload, columns)
            if sample is not None:
                sample.add(table, payload)
            return table

        with ThreadPoolExecutor(CONNECTIONS) as threads:
            tables = list(threads.map(read, keys))
        if not tables:
            schema = [
                ("event_id", pa.string()),
                ("sample_rate", pa.float64()),
                ("variant", pa.string()),
                ("prediction", pa.float64()),
                ("prediction_label", pa.string()),
                ("probabilities", pa.list_(pa.float64())),
            ]
            return pa.schema([field for field in schema if field[0] in columns]).empty_table()
        return pa.concat_tables(tables)


def outcomes_of_reference(table: pa.Table) -> Outcomes | None:
    """Return the rows of reference data; None where they have no predictions.

    Labels, where it has any, are in a column ``label``: numbers, texts or booleans. Of
    very many rows, `REFERENCE_ROWS` are taken, spread evenly over all.
    """
    if not {"prediction", "prediction_label"} <= set(table.column_names):
        return None
    if table.num_rows > REFERENCE_ROWS:
        table = table.take(np.linspace(0, table.num_rows - 1, REFERENCE_ROWS).astype(int))
    empty = [None] * table.num_rows
    labels = table["label"].to_pylist() if "label" in table.column_names else empty
    texts = [None if label is None else as_text(label) for label in labels]
    numbers = [
        np.nan if label is None or isinstance(label, str) else float(label) for label in labels
    ]
    return _outcomes(table, np.array(texts, object), np.array(numbers, np.float64))


def _distinct(table: pa.Table) -> pa.Table:
    """Keep one row of each event, in the order of the ids: it came twice, or is being merged."""
    ids = pc.utf8_lower(table["event_id"]).combine_chunks()
    codes = ids.dictionary_encode().indices.to_numpy()
    first = np.unique(codes, return_index=True)[1]
    return table.take(first).sort_by("event_id")


def _outcomes(
    table: pa.Table, texts: npt.NDArray[np.object_], numbers: npt.NDArray[np.float64]
) -> Outcomes:
    return Outcomes(
        table["prediction_label"].to_numpy().astype(object),
        table["prediction"].cast(pa.float64()).to_numpy().astype(np.float64),
        texts,
        numbers,
        _probabilities(table["probabilities"]) if "probabilities" in table.column_names else None,
    )


def _probabilities(column: pa.ChunkedArray) -> npt.NDArray[np.float64] | None:
    """Return the probabilities as a matrix, NaN in rows that have none or another number of them.

    A single probability is that of the second of two classes.
    """
    lists = column.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    counted = Counter(lengths[lengths > 0].tolist())
    if not counted:
        return None
    width = counted.most_common(1)[0][0]
    matrix = np.full((len(lists), width), np.nan)
    chosen = lengths == width
    flat = lists.filter(pa.array(chosen)).flatten().to_numpy(zero_copy_only=False)
    matrix[chosen] = flat.astype(np.float64).reshape(-1, width)
    return np.hstack([1 - matrix, matrix]) if width == 1 else matrix
