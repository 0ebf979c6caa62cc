"""A model's ONNX form, and the check that it gives the same predictions."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from modelwatch.adapters.models.onnx_model import OnnxModel
from modelwatch.adapters.models.pyfunc_model import PyfuncModel, typed_frame
from modelwatch.domain.models import OnnxArtifact, Predictions, Verification, fault_of
from modelwatch_training.onnx_converters import conversions

PROBABILITY_TOLERANCE = 1e-5
"""Largest difference that 32-bit arithmetic explains."""

RELATIVE_TOLERANCE = 1e-12
"""Largest relative difference of numbers: the order of a sum of 64-bit numbers explains it."""

VARIED_ROWS = 500
"""So many rows are changed and predicted again."""

LEAST_VARIED_ROWS = 5
VARIED_VALUES = 5_000_000
"""Of wide tables fewer rows are varied: each column makes a table of all columns."""

MOST_TEXTS = 10_000
"""More texts of a column are not kept beside an ONNX form."""

UNSEEN = "modelwatch: a text that no model has seen"


class NotExportableError(Exception):
    """The model has no ONNX form that gives its own predictions; `str()` says why."""


def export_onnx(original: PyfuncModel, rows: pd.DataFrame) -> tuple[bytes, OnnxArtifact]:
    """Convert a model to ONNX and verify it.

    It is verified only if it gives the original's predictions, equal in type and in text, on all
    ``rows`` and on changed ones: `VARIED_ROWS` of them, of wide tables fewer. There each feature is
    missing in turn, some are missing at random, the values of each column are in another order, or
    texts are empty or new, if the original accepts that. It refuses what the original refuses.

    Raises NotExportableError when it cannot be converted, or every ONNX form differs.

    Parameters
    ----------
    original
        The model as predict serves it.
    rows
        Training and test set, with the schema's columns.
    """
    model = original.raw
    if model is None:
        raise NotExportableError("it is Python code, which has no ONNX form")
    rows = typed_frame(rows, original.schema)
    examined = _examine(original, rows)
    problems: dict[str, None] = {}
    for name, convert in conversions(model, original.schema):
        try:
            graph = convert()
            if not examined.has_probabilities:
                # decision values are no probabilities
                del graph.graph.output[1:]
            payload: bytes = graph.SerializeToString()
            form = OnnxArtifact(
                hashlib.sha256(payload).hexdigest(),
                len(payload),
                Verification(0, 0.0, 0.0, not examined.never_missing),
                kind=examined.kind,
                never_missing=examined.never_missing,
                known_texts=examined.known_texts,
            )
            verification = _verify(OnnxModel(payload, original.schema, form), examined)
        except NotExportableError as error:
            problems[str(error)] = None
        except Exception as error:  # noqa: BLE001 - converters and onnxruntime raise many types
            reason = " ".join(str(error).split())[:200]
            problems[f"{name} cannot convert it: {type(error).__name__}: {reason}"] = None
        else:
            return payload, msgspec.structs.replace(form, verification=verification)
    raise NotExportableError("; ".join(problems) or "no converter knows it")


@dataclass(slots=True)
class _Examined:
    """The original's predictions for tables, and the inputs that it refuses."""

    kind: str
    has_probabilities: bool
    cases: list[tuple[pd.DataFrame, Predictions]] = field(default_factory=list)
    never_missing: tuple[str, ...] = ()
    known_texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _examine(original: PyfuncModel, rows: pd.DataFrame) -> _Examined:
    first = original.predict_frame(rows)
    kinds = {type(value).__name__ for value in first.values}
    if len(kinds) != 1:
        raise NotExportableError(f"its predictions are of several types: {', '.join(kinds)}")
    examined = _Examined(kinds.pop(), first.probabilities is not None, [(rows, first)])
    most = max(LEAST_VARIED_ROWS, min(VARIED_ROWS, VARIED_VALUES // rows.shape[1] ** 2))
    some = rows.sample(min(most, len(rows)), random_state=0).reset_index(drop=True)
    known: dict[str, tuple[str, ...]] = {}
    never_missing: list[str] = []
    for column in original.schema.columns:
        name = column.name
        may_be_null = column.type in ("double", "float") or not column.required
        if may_be_null and not _try(original, examined, _with(some, name, None)):
            never_missing.append(name)
        if column.type == "string":
            _try(original, examined, _with(some, name, ""))
            if not _try(original, examined, _with(some, name, UNSEEN)):
                texts = tuple(sorted(set(rows[name].dropna())))
                if len(texts) > MOST_TEXTS:
                    raise NotExportableError(f"'{name}' has more than {MOST_TEXTS} known texts")
                known[name] = texts
    examined.never_missing, examined.known_texts = tuple(never_missing), known
    for varied in _varied(some, never_missing):
        _try(original, examined, varied)
    return examined


def _with(rows: pd.DataFrame, name: str, value: str | None) -> pd.DataFrame:
    kind = rows[name].dtype
    if value is None and kind.kind in "iub":
        kind = np.dtype(object if kind.kind == "b" else float)
    return rows.assign(**{name: pd.Series([value] * len(rows), dtype=kind)})


def _varied(rows: pd.DataFrame, never_missing: list[str]) -> Iterator[pd.DataFrame]:
    """Yield rows with their columns in other orders, and with values missing at random."""
    draw = np.random.default_rng(0)
    shuffled = rows.copy()
    for name in rows.columns:
        shuffled[name] = rows[name].to_numpy()[draw.permutation(len(rows))]
    yield shuffled.astype(rows.dtypes)
    nullable = [
        name
        for name, kind in rows.dtypes.items()
        if name not in never_missing and kind.kind not in "iub"
    ]
    if nullable:
        holes = rows.copy()
        for name in nullable:
            holes[name] = rows[name].mask(draw.random(len(rows)) < 0.3)
        yield holes


def _try(original: PyfuncModel, examined: _Examined, rows: pd.DataFrame) -> bool:
    """Add the original's predictions for ``rows``; return whether it accepts them."""
    with contextlib.suppress(Exception):  # whatever it raises, it does not take them
        examined.cases.append((rows, original.predict_frame(rows)))
        return True
    return False


def _verify(form: OnnxModel, examined: _Examined) -> Verification:
    checked, agreeing, difference = 0, 0, 0.0
    example = ""
    for rows, expected in examined.cases:
        names = list(rows.columns)
        plain = rows.astype(object).where(rows.notna(), None).to_numpy().tolist()
        found = form.predict([dict(zip(names, row, strict=True)) for row in plain])
        scale = _scale(expected)
        for one, other in zip(expected.values, found.values, strict=True):
            same = is_same(one, other, scale)
            agreeing += same
            if not same and not example:
                example = f": {other!r} instead of {one!r}"
        checked += len(rows)
        difference = max(difference, _gap(expected, found))
    if agreeing < checked or not difference <= PROBABILITY_TOLERANCE:
        raise NotExportableError(
            f"its ONNX form agrees on {agreeing} of {checked} rows{example}, and probabilities "
            f"differ by up to {difference:.2g}"
        )
    return Verification(checked, 1.0, difference, not examined.never_missing)


def is_same(one: Any, other: Any, scale: float = 0.0) -> bool:
    """Return whether two predictions are captured and shown as the same one.

    Numbers with a fraction may differ by `RELATIVE_TOLERANCE` of themselves or of ``scale``.

    Examples
    --------
    >>> is_same(1, True), is_same(3, 3.0), is_same("a", "a"), is_same(0.1 + 0.2, 0.3)
    (False, False, True, True)
    >>> is_same(123_456_789.25, 123_456_792.0), is_same(3.0, 3.0000000000000004)
    (False, False)
    """
    if type(one) is not type(other):
        return False
    if fault_of(one) or fault_of(other):
        return fault_of(one) == fault_of(other)
    if one == other:
        return True
    if not isinstance(one, float) or one.is_integer() or other.is_integer():
        return False
    limit = RELATIVE_TOLERANCE
    return math.isclose(one, other, rel_tol=limit, abs_tol=limit * scale)


def _scale(predictions: Predictions) -> float:
    sizes = [
        abs(value)
        for value in predictions.values
        if isinstance(value, float) and math.isfinite(value)
    ]
    return max(sizes, default=0.0)


def _gap(one: Predictions, other: Predictions) -> float:
    """Return the largest difference of two probabilities; infinity where only one side has any."""
    if one.probabilities is None and other.probabilities is None:
        return 0.0
    first, second = np.asarray(one.probabilities), np.asarray(other.probabilities)
    if first.shape != second.shape or None in (one.probabilities, other.probabilities):
        return math.inf
    gaps = np.where(np.isnan(first) & np.isnan(second), 0.0, np.abs(first - second))
    return float(np.max(np.nan_to_num(gaps, nan=math.inf), initial=0.0))
