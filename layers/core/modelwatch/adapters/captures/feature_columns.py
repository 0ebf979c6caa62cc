"""The Parquet columns of one feature, so that no value changes where another one goes.

``feature_<name>`` has one type: what the records say (`Record.types`), and doubles where no one
says it. A value of another type is in a column beside it, named by its own type, ``string_<name>``
say, and ``feature_<name>`` is null there. Each value finds its column alone: it makes no difference
which other values came with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from modelwatch.domain.numbers import WHOLE_LIMIT, exact_double, exact_whole
from modelwatch.domain.records import Value

FEATURE_PREFIX = "feature_"

BESIDE = {
    pa.string(): "string_",
    pa.bool_(): "boolean_",
    pa.int64(): "long_",
    pa.float64(): "double_",
}
"""Prefix of the columns for values that have another type than their feature: by the own one.

Where senders say different types of a feature, the last of theirs in this order is the feature's.
"""

_RANKS = {kind: rank for rank, kind in enumerate(BESIDE)}

_TYPES = {"d": pa.float64(), "l": pa.int64(), "s": pa.string(), "b": pa.bool_()}

_UNSAID = {b"modelwatch.type": b"unsaid"}
"""Marks a feature whose type no one says; a file that says the type takes precedence."""


def feature_names(columns: Sequence[str]) -> list[str]:
    """Return the features of a table with these columns."""
    return [
        name.removeprefix(FEATURE_PREFIX) for name in columns if name.startswith(FEATURE_PREFIX)
    ]


def parts_of(table: pa.Table, name: str) -> list[pa.ChunkedArray]:
    """Return the columns of a feature: each row has a value in one of them at most."""
    return parts_by_name(table, [name])[name]


def parts_by_name(table: pa.Table, names: Sequence[str]) -> dict[str, list[pa.ChunkedArray]]:
    """Return the columns of each feature of ``names``."""
    columns = dict(zip(table.column_names, table.columns, strict=True))
    prefixes = (FEATURE_PREFIX, *BESIDE.values())
    return {
        name: [columns[prefix + name] for prefix in prefixes if prefix + name in columns]
        for name in names
    }


def without_feature(table: pa.Table, name: str) -> pa.Table:
    """Return the table without the columns of a feature."""
    prefixes = (FEATURE_PREFIX, *BESIDE.values())
    present = set(table.column_names)
    return table.drop_columns([prefix + name for prefix in prefixes if prefix + name in present])


def values_of(table: pa.Table, name: str) -> list[Value]:
    """Return the values of a feature, each as it came; None where a row has none."""
    first: list[Value]
    first, *others = [part.to_pylist() for part in parts_of(table, name)]
    for other in others:
        first = [
            value if value is not None else beside
            for value, beside in zip(first, other, strict=True)
        ]
    return first


def as_one(table: pa.Table, name: str, *, numbers: bool) -> pa.ChunkedArray:
    """Return a feature as one column of doubles, or of texts: values of the other kind are null.

    Booleans count among the texts, as ``true`` and ``false``.
    """
    parts = parts_of(table, name)
    if len(parts) == 1 and _is_number(parts[0].type) == numbers:
        return parts[0]
    wanted = pa.float64() if numbers else pa.string()
    chosen = [
        part.cast(wanted, safe=False)
        for part in parts
        if _is_number(part.type) == numbers or part.null_count == len(part)
    ]
    return pc.coalesce(*chosen) if chosen else pa.chunked_array([pa.nulls(len(table), wanted)])


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_floating(kind) or types.is_integer(kind) or types.is_decimal(kind))


def feature_columns(name: str, letter: str, values: Sequence[Value]) -> dict[pa.Field, pa.Array]:
    """Return the columns of a feature.

    Parameters
    ----------
    letter
        Its type as `Record.types` has it; another one where no one says it.
    values
        One a row.
    """
    said = letter in _TYPES
    wanted = _TYPES.get(letter, pa.float64())
    field = pa.field(FEATURE_PREFIX + name, wanted, metadata=None if said else _UNSAID)
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= _PLAIN[wanted]:
        return {field: pa.array(values, wanted)}
    fit = _FIT[wanted]
    fitting = [None if value is None else fit(value) for value in values]
    columns = {field: pa.array(fitting, wanted)}
    others = [
        value if fitted is None else None for value, fitted in zip(values, fitting, strict=True)
    ]
    found = set(map(type, others))
    for kind, python in _PYTHON.items():
        if python in found:
            mine = [value if type(value) is python else None for value in others]
            columns[pa.field(BESIDE[kind] + name, kind)] = pa.array(mine, kind)
    return columns


_PYTHON: Mapping[pa.DataType, type] = {
    pa.string(): str,
    pa.bool_(): bool,
    pa.int64(): int,
    pa.float64(): float,
}
_PLAIN: Mapping[pa.DataType, set[type]] = {kind: {each} for kind, each in _PYTHON.items()}


def _as_double(value: Value) -> Value:
    return None if isinstance(value, str | bool) or value is None else exact_double(value)


def _as_whole(value: Value) -> Value:
    return None if isinstance(value, str | bool) or value is None else exact_whole(value)


_FIT: Mapping[pa.DataType, Callable[[Value], Value]] = {
    pa.float64(): _as_double,
    pa.int64(): _as_whole,
    pa.string(): lambda value: value if isinstance(value, str) else None,
    pa.bool_(): lambda value: value if isinstance(value, bool) else None,
}


def unified(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Return the tables with each feature in one type, and what does not fit it beside it.

    Which tables come together makes no difference to what a row holds: of the types that senders
    say, the last in the order of `BESIDE` is the feature's.
    """
    wanted: dict[str, pa.Field] = {}
    for table in tables:
        for field in table.schema:
            if field.name.startswith(FEATURE_PREFIX):
                known = wanted.get(field.name)
                wanted[field.name] = field if known is None else _stronger(known, field)
    return [_placed(table, wanted) for table in tables]


def _stronger(one: pa.Field, other: pa.Field) -> pa.Field:
    def strength(field: pa.Field) -> tuple[bool, bool, int]:
        kind = field.type
        said = not (field.metadata or {}).get(b"modelwatch.type")
        return not pa.types.is_null(kind), said, _RANKS.get(kind, -1)

    return max(one, other, key=strength)


def _placed(table: pa.Table, wanted: Mapping[str, pa.Field]) -> pa.Table:
    present = set(table.column_names)
    for name in feature_names(table.column_names):
        column = FEATURE_PREFIX + name
        target = wanted[column].with_nullable(True)
        beside = [prefix + name for prefix in BESIDE.values() if prefix + name in present]
        if table.schema.field(column).type == target.type and not beside:
            place = table.schema.get_field_index(column)
            if table.schema.field(place).metadata != target.metadata:
                table = table.set_column(place, target, table[column])
            continue
        main, rest = _parted(parts_of(table, name), target.type)
        place = table.schema.get_field_index(column)
        table = table.set_column(place, target, main).drop_columns(beside)
        for kind, values in rest.items():
            table = table.append_column(BESIDE[kind] + name, values)
    return table


def _parted(
    parts: Sequence[pa.ChunkedArray], wanted: pa.DataType
) -> tuple[pa.ChunkedArray, dict[pa.DataType, pa.ChunkedArray]]:
    """Return the values that ``wanted`` holds exactly, and the others by type."""
    fitting = [pa.chunked_array([pa.nulls(len(parts[0]), wanted)])]
    rest: dict[pa.DataType, pa.ChunkedArray] = {}
    for part in parts:
        kind = part.type if part.type in BESIDE or pa.types.is_null(part.type) else pa.string()
        values = part.cast(kind)
        if kind == wanted or pa.types.is_null(kind):
            fitting.append(values.cast(wanted))
            continue
        if {kind, wanted} == {pa.int64(), pa.float64()}:
            fits = _fits(values, wanted)
            fitting.append(pc.if_else(fits, values, None).cast(wanted, safe=False))
            values = pc.if_else(fits, None, values)
        if values.null_count < len(values):
            rest[kind] = pc.coalesce(rest[kind], values) if kind in rest else values
    return pc.coalesce(*fitting), rest


def _fits(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Say which doubles are whole numbers of 64 bits, or which whole numbers are doubles."""
    if wanted == pa.int64():
        whole = pc.and_(
            pc.greater_equal(values, float(-WHOLE_LIMIT)), pc.less(values, float(WHOLE_LIMIT))
        )
        return pc.and_(whole, pc.equal(values, pc.floor(values)))
    doubles = values.cast(pa.float64(), safe=False)
    # 2**63 itself is a double and no whole number of 64 bits: it does not go back
    inside = pc.less(doubles, float(WHOLE_LIMIT))
    back = pc.if_else(inside, doubles, 0.0).cast(pa.int64(), safe=False)
    return pc.and_(inside, pc.equal(back, values))


def unified_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return the columns that tables of these schemas may have together, once `unified`."""
    tables = [schema.empty_table() for schema in dict.fromkeys(schemas)]
    fields = {
        field.name: field
        for table in unified(tables)
        for field in table.schema
        if not pa.types.is_null(field.type)
    }
    for schema in schemas:
        for field in schema:
            fields.setdefault(field.name, field)
            name = field.name.removeprefix(FEATURE_PREFIX)
            if name != field.name and field.type != fields[field.name].type:
                kind = field.type if field.type in BESIDE else pa.string()
                fields.setdefault(BESIDE[kind] + name, pa.field(BESIDE[kind] + name, kind))
    return pa.schema(list(fields.values()))


def conformed(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """Return the rows of all ``tables`` in the columns of ``schema``; see `unified_schema`."""
    empty = schema.empty_table()
    _, *placed = unified([empty, *tables])
    table = pa.concat_tables([empty, *placed], promote_options="permissive")
    return table.select(schema.names)
