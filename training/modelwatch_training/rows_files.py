"""Training rows: from a user's file in the types of a model's columns, and as stored."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from modelwatch.adapters.captures.feature_columns import feature_names, parts_of, values_of
from modelwatch.domain.schemas import Column, Schema
from modelwatch.errors import InvalidInputError
from modelwatch_training.delimiters import delimiter_of

_WORDS = {"true": True, "false": False, "1": True, "0": False}


def read_rows(path: Path, texts: list[str] | None = None) -> pd.DataFrame:
    """Return the rows of a Parquet or CSV file.

    Raises InvalidInputError when it cannot be read, or has no rows.

    Parameters
    ----------
    texts
        Columns that are texts, even where a CSV file has digits in them.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            # not pd.read_parquet: like pq.read_table, it may abort the process at its end
            with pq.ParquetFile(path) as file:
                rows = file.read().to_pandas()
        else:
            dtypes = dict.fromkeys(texts or (), "str")
            with path.open(encoding="utf-8-sig") as lines:
                delimiter = delimiter_of(lines.readline())
            rows = pd.read_csv(path, sep=delimiter, dtype=dtypes, encoding="utf-8-sig")
    except (OSError, ValueError, ImportError, csv.Error) as error:
        raise InvalidInputError(str(path), f"cannot be read: {error}") from error
    if rows.empty:
        raise InvalidInputError(str(path), "has no rows")
    rows.columns = [str(name) for name in rows.columns]
    for name in rows.columns:
        if isinstance(rows[name].dtype, pd.CategoricalDtype):
            rows[name] = rows[name].astype(object)
    return rows


def features_frame(table: pa.Table) -> pd.DataFrame:
    """Return the features of stored rows, as reference data has them."""
    columns = {}
    for name in feature_names(table.column_names):
        parts = parts_of(table, name)
        filled = [part for part in parts if part.null_count < len(part)] or parts[:1]
        columns[name] = (
            filled[0].to_pandas()
            if len(filled) == 1
            else pd.Series(values_of(table, name), dtype=object)
        )
    return pd.DataFrame(columns)


def rows_of(rows: pd.DataFrame, schema: Schema, place: str) -> pd.DataFrame:
    """Return the columns of ``schema`` from ``rows``, each in its type; others are left alone.

    Raises InvalidInputError when one is missing, or has a value that the model would not take.
    """
    missing = [name for name in schema.names if name not in rows.columns]
    if missing:
        known = ", ".join(map(str, rows.columns))
        raise InvalidInputError(place, f"has no column '{missing[0]}'; it has {known}")
    typed = {column.name: _typed(column, rows[column.name], place) for column in schema.columns}
    return pd.DataFrame(typed, columns=list(schema.names)).reset_index(drop=True)


def _typed(column: Column, values: pd.Series, place: str) -> pd.Series:
    """Return ``values`` as the column's type holds them; numbers with gaps are floats."""
    values = values.reset_index(drop=True)
    missing = values.isna()
    if column.type == "string":
        fits = values.map(lambda value: isinstance(value, str))
        typed = values.astype(object).where(~missing, None)
    elif column.type == "boolean":
        typed = values.map(lambda value: _WORDS.get(str(value).lower()))
        fits = typed.notna()
    else:
        typed = pd.to_numeric(values, errors="coerce").astype(float)
        fits = typed.notna() & typed.abs().lt(float("inf"))
        if column.type in ("long", "integer"):
            fits &= typed.mod(1).eq(0)
            if not missing.any() and fits.all():
                typed = pd.to_numeric(values).astype("int64")
    if column.type in ("double", "float") or not column.required:
        fits |= missing
    if not fits.all():
        first = int((~fits).idxmax())
        found = "no value" if missing[first] else repr(values[first])
        raise InvalidInputError(
            place,
            f"row {first + 1} of column '{column.name}' is {found}; expected {column.expectation}",
        )
    return typed
