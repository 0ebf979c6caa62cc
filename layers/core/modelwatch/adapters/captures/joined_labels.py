"""The labels that hold of captured predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch.adapters.captures.labels import LABEL_SCHEMA, S3LabelStore
from modelwatch.adapters.captures.records import CONNECTIONS
from modelwatch.domain.event_ids import derived_event_id
from modelwatch.domain.performance.rows import Floats, Texts, given

MAX_LABEL_HOURS = 24
"""Labels of an hour's predictions are looked for in no more hours than this; see `_label_hours`."""

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class JoinedLabels:
    """The labels of predictions of one hour, in the order of the predictions.

    Attributes
    ----------
    texts, numbers, times
        As in `LABEL_SCHEMA`: each label as text, None without one; as number, NaN where it is none;
        when it was given, null without one.
    names
        The objects of labels that were read.
    hours
        Hours in which labels were looked for.
    """

    texts: Texts
    numbers: Floats
    times: pa.ChunkedArray
    names: tuple[str, ...]
    hours: list[datetime]


def with_labels(store: S3LabelStore, table: pa.Table) -> pa.Table:
    """Return captured rows of one version by time, with the labels that hold now: three columns.

    ``label`` is the number, ``label_text`` any label as text, ``labelled_at`` its time; null
    where there is none yet.
    """
    table = table.sort_by("captured_at")
    labelled = cache(store.objects)
    hours = pc.floor_temporal(table["captured_at"], unit="hour")
    starts = [hours.index(hour).as_py() for hour in pc.unique(hours)]
    spans = list(pairwise([*starts, len(table)]))

    def labels(span: tuple[int, int]) -> JoinedLabels:
        rows = table.slice(span[0], span[1] - span[0])
        return join_labels(store, rows, hours[span[0]].as_py(), labelled)

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        found = list(threads.map(labels, spans))
    columns = {
        "label": [pa.array(each.numbers, from_pandas=True) for each in found],
        "label_text": [pa.array(each.texts, pa.string()) for each in found],
        "labelled_at": [chunk for each in found for chunk in each.times.chunks],
    }
    for name, parts in columns.items():
        kind = LABEL_SCHEMA.field(name).type
        table = table.append_column(name, pa.chunked_array(parts, kind))
    return table


def join_labels(
    store: S3LabelStore,
    table: pa.Table,
    hour: datetime,
    labelled: Callable[[date], Mapping[datetime, Sequence[str]]],
) -> JoinedLabels:
    """Return the labels that hold now of predictions of an hour.

    ``table``: their ``event_id``, ``variant`` and ``prediction``; ``labelled``: names of the
    objects of labels of a day, by the hour.
    """
    ids = pc.utf8_lower(table["event_id"]).combine_chunks()
    hours = _label_hours(ids, hour)
    names = tuple(sorted(key for each in hours for key in labelled(each.date()).get(each, ())))
    labels = store.read(names)
    place = _places(ids, table["variant"], labels)
    texts = _taken(labels["label_text"].to_numpy(), place, None)
    numbers = _taken(labels["label"].to_numpy(), place, np.nan).astype(np.float64)
    cells = _taken(labels["label_cell"].to_numpy(zero_copy_only=False), place, None)
    # what no one said the type of is read in the type of the prediction
    as_came = given(cells) & pc.is_null(table["prediction"]).to_numpy()
    texts[as_came], numbers[as_came] = cells[as_came], np.nan
    times = labels["labelled_at"].take(pa.array(place, mask=place < 0))
    return JoinedLabels(texts, numbers, times, names, hours)


def _label_hours(ids: pa.StringArray, hour: datetime) -> list[datetime]:
    """Return the hours in which labels of predictions of ``hour`` may be: rising.

    A label is kept by the time in the id where it says nothing else, and that may be of another
    hour than ``captured_at``: by milliseconds at the edges of an hour, by more where an application
    made its ids at another time. Of very many hours the commonest are taken.
    """
    sevens = ids.filter(pc.equal(pc.utf8_slice_codeunits(ids, 14, 15), "7"))
    marks = pc.binary_join_element_wise(
        pc.utf8_slice_codeunits(sevens, 0, 8), pc.utf8_slice_codeunits(sevens, 9, 13), ""
    )
    if not len(marks):
        return [hour]
    digits = np.frombuffer("".join(marks.to_pylist()).encode(), np.uint8).reshape(-1, 12)
    values = np.where(digits >= ord("a"), digits - ord("a") + 10, digits - ord("0"))
    milliseconds = values.astype(np.int64) @ (16 ** np.arange(11, -1, -1, dtype=np.int64))
    counted = Counter((milliseconds // 3_600_000).tolist())
    counted.pop(int(hour.timestamp()) // 3600, None)
    latest = int(datetime.max.replace(tzinfo=UTC).timestamp()) // 3600
    others = [value for value, _ in counted.most_common(MAX_LABEL_HOURS - 1) if value < latest]
    return sorted([hour, *(datetime.fromtimestamp(value * 3600, UTC) for value in others)])


def _places(ids: pa.StringArray, variants: pa.ChunkedArray, labels: pa.Table) -> Positions:
    """Return for each prediction the row of its label; -1 where there is none.

    A shadow's prediction has an id that follows from that of the served prediction
    (`derived_event_id`). The label of one is the label of the other.
    """
    label_ids = labels["event_id"].combine_chunks()
    place: Positions = _index(ids, label_ids)
    missing = np.flatnonzero(place < 0)
    is_free = np.ones(len(label_ids), bool)
    is_free[place[place >= 0]] = False
    free = np.flatnonzero(is_free)
    if not len(missing) or not len(free):
        return place
    names = variants.to_numpy()[missing]
    originals = label_ids.take(free).to_pylist()
    for variant in set(names.tolist()):
        chosen = missing[names == variant]
        derived = pa.array([derived_event_id(original, variant) for original in originals])
        found = _index(ids.take(chosen), derived)
        place[chosen] = np.where(found < 0, -1, free[found])
    return place


def _index(ids: pa.StringArray, among: pa.StringArray) -> Positions:
    found = pc.fill_null(pc.index_in(ids, value_set=among), -1)
    positions: Positions = found.to_numpy(zero_copy_only=False).astype(np.int64)
    return positions


def _taken(values: npt.NDArray[Any], place: Positions, missing: object) -> npt.NDArray[Any]:
    """Return ``values`` at the places; ``missing`` where the place is -1."""
    return np.append(values.astype(object), np.array([missing], object))[place]
