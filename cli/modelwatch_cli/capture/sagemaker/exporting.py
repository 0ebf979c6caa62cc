"""Exports captured records from the bucket in SageMaker's form."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from modelwatch.adapters.captures.feature_columns import FEATURE_PREFIX, values_of
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.records import FIELDS, Record, Value
from modelwatch.domain.windows import Window
from modelwatch.errors import ModelwatchError
from modelwatch_cli.capture.places import Place
from modelwatch_cli.capture.sagemaker.form import Encoding, files

_COLUMNS = [field.name for field in FIELDS.values() if field.form.has_column]

_WHOLE = re.compile(r"0|-?[1-9]\d*")


class Exported(msgspec.Struct, frozen=True):
    """What was written of a model version."""

    model_name: str
    model_version: str
    records: int
    files: int
    features: tuple[str, ...]


def export_captures(
    store: S3RecordStore,
    destination: Place,
    hours: Mapping[tuple[str, str], Sequence[Window]],
    encoding: Encoding,
    header: bool,
    hour_done: Callable[[], None],
) -> list[Exported]:
    """Write the records of some versions' hours to ``destination``.

    The same records give the same files, so that an export can be repeated.

    Parameters
    ----------
    hours
        The hours to write, by model name and version; see `captured_hours`.

    Raises
    ------
    StoreError
        When records cannot be read, or files not be written.
    ModelwatchError
        When the features changed, so that CSV without a header could not be read.
    """
    exported = []
    for (model_name, model_version), windows in hours.items():
        lines: defaultdict[str, int] = defaultdict(int)
        features: tuple[str, ...] = ()
        for hour in windows:
            table = store.read(model_name, model_version, hour)
            records = list(records_of(table, model_name, model_version, features))
            found = tuple(records[0].features) if records else features
            if features and found != features and encoding is Encoding.CSV and not header:
                raise ModelwatchError(
                    f"{model_name} {model_version}: from {hour.start:%Y-%m-%d %H:%M} on the "
                    "features are others than before, and CSV without names does not show it: "
                    "take --header or --encoding json"
                )
            features = tuple(dict.fromkeys([*features, *found]))
            for key, content, count in files(records, encoding, header):
                destination.write(key, content)
                lines[key] += count
            hour_done()
        total = sum(lines.values())
        exported.append(Exported(model_name, model_version, total, len(lines), features))
    return exported


def records_of(
    table: pa.Table, model_name: str, model_version: str, features: Sequence[str] = ()
) -> Iterator[Record]:
    """Yield the rows of a stored table as records.

    The table does not say whether a number was written with a decimal point; the types are those of
    its columns. ``features`` come first, in their order.
    """
    first = [
        FEATURE_PREFIX + name for name in features if FEATURE_PREFIX + name in table.column_names
    ]
    others = (name for name in table.column_names if name.startswith(FEATURE_PREFIX))
    columns = list(dict.fromkeys([*first, *others]))
    types = "".join(_letter(table.schema.field(name).type) for name in columns)
    names = [name.removeprefix(FEATURE_PREFIX) for name in columns]
    values = {name: values_of(table, name) for name in names}
    for place, row in enumerate(table.to_pylist()):
        said = {name: row[name] for name in _COLUMNS if row.get(name) is not None}
        said["prediction"] = _prediction(row)
        yield Record(
            model_name=model_name,
            model_version=model_version,
            features={name: column[place] for name, column in values.items()},
            types=types,
            **said,
        )


def _prediction(row: dict[str, Any]) -> Any:
    label: str | None = row["prediction_label"]
    if row["prediction"] is None or label is None:
        return label
    if label in ("true", "false"):
        return label == "true"
    value: Value = int(label) if _WHOLE.fullmatch(label) else float(label)
    return value


def _letter(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "b"
    if pa.types.is_integer(kind):
        return "l"
    return "d" if pa.types.is_floating(kind) else "s"
