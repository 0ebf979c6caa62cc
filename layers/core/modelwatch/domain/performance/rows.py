"""What a model version predicted, row by row, with what was true where it is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]

_BOOLEANS = {"true": "1", "false": "0"}
_BITS = {"1": "true", "0": "false"}


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Captured predictions and their labels, as columns of n rows.

    Attributes
    ----------
    predicted
        Each prediction as text; None where it was not captured.
    predicted_numbers
        As number; NaN where it is none.
    actual
        Each label as text; None where there is none yet.
    actual_numbers
        As number (of a boolean 1 or 0); NaN where it is none.
    probabilities
        Shape (n, k), NaN in rows that have none; None where the model has none.
    """

    predicted: Texts
    predicted_numbers: Floats
    actual: Texts
    actual_numbers: Floats
    probabilities: Floats | None = None

    def __len__(self) -> int:
        return len(self.predicted)

    @property
    def numeric(self) -> int:
        """How many predictions are finite numbers."""
        return int(np.isfinite(self.predicted_numbers).sum())

    def part(self, chosen: Any) -> Outcomes:
        """Return the rows that a mask or a list of positions chooses."""
        probabilities = None if self.probabilities is None else self.probabilities[chosen]
        return Outcomes(
            self.predicted[chosen],
            self.predicted_numbers[chosen],
            self.actual[chosen],
            self.actual_numbers[chosen],
            probabilities,
        )


@dataclass(frozen=True, slots=True, eq=False)
class HourOutcomes:
    """The distinct predictions of a version in one hour, joined with their labels.

    Attributes
    ----------
    variants
        Rows by the alias under which the version served.
    captures, labels
        Names of the objects that they were read from.
    label_hours
        Hours in which labels were looked for: that of the predictions, and those that the ids of
        predictions show it where these are others.
    samples
        By variant, a uniform sample of the rows whose prediction is a number, as the matrix of the
        loss model that was asked for.
    """

    variants: Mapping[str, Outcomes]
    captures: tuple[str, ...]
    labels: tuple[str, ...]
    label_hours: tuple[datetime, ...]
    samples: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CapturedHour:
    """What is stored of a version's predictions in one hour: names of objects, and their size."""

    names: tuple[str, ...]
    size_bytes: int


def outcomes(
    predicted: Sequence[float | int | str | bool | None],
    actual: Sequence[float | int | str | bool | None],
    probabilities: npt.ArrayLike | None = None,
) -> Outcomes:
    """Return rows from plain values; None in ``actual`` for what is not known yet.

    Examples
    --------
    >>> rows = outcomes([1, 0.5, "red"], [True, None, "red"])
    >>> rows.predicted.tolist(), rows.actual.tolist()
    (['1', '0.5', 'red'], ['true', None, 'red'])
    """
    from modelwatch.domain.labels import as_text

    def texts(values: Sequence[Any]) -> Texts:
        return np.array([None if v is None else as_text(v) for v in values], object)

    def numbers(values: Sequence[Any]) -> Floats:
        return np.array(
            [float(v) if isinstance(v, int | float) else np.nan for v in values], np.float64
        )

    return Outcomes(
        texts(predicted),
        numbers(predicted),
        texts(actual),
        numbers(actual),
        None if probabilities is None else np.asarray(probabilities, np.float64),
    )


def given(texts: Texts) -> Mask:
    """Return where there is a text, and not None."""
    return np.fromiter((text is not None for text in texts), np.bool_, len(texts))


def aligned_actual(rows: Outcomes) -> Texts:
    """Return the labels as text in the kind of the predictions.

    A label ``true`` of a prediction 1 is ``1``, and a label 1 of a prediction ``true`` is ``true``:
    who labels need not know whether the model predicts booleans or numbers.

    Examples
    --------
    >>> aligned_actual(outcomes([1, True, "true"], [True, 1, False])).tolist()
    ['1', 'true', 'false']

    So is a label that came as text, where the prediction is a number or a boolean:

    >>> aligned_actual(outcomes([1, 0, True], ["1.0", "0.0", "True"])).tolist()
    ['1', '0', 'true']
    """
    truth = np.isin(rows.predicted, list(_BOOLEANS)).astype(bool)
    is_truth = np.isin(rows.actual, list(_BOOLEANS)) & ~np.isnan(rows.actual_numbers)
    numeric = ~np.isnan(rows.predicted_numbers)
    to_bit = is_truth & ~truth & numeric
    to_truth = truth & np.isin(rows.actual, list(_BITS)).astype(bool)
    actual = rows.actual.copy()
    actual[to_bit] = [_BOOLEANS[text] for text in actual[to_bit]]
    actual[to_truth] = [_BITS[text] for text in actual[to_truth]]
    for place in np.flatnonzero(given(actual) & numeric & np.isnan(rows.actual_numbers)):
        text = _plain_form(actual[place])
        actual[place] = (_BITS if truth[place] else _BOOLEANS).get(text, text)
    return actual


def _plain_form(text: str) -> str:
    """Return the text of a number or boolean as `as_text` writes it; any other as it is.

    >>> [_plain_form(text) for text in ("1.0", "True", "red", "nan", "1_0")]
    ['1', 'true', 'red', 'nan', '1_0']
    """
    from modelwatch.domain.labels import as_text

    if text.lower() in _BOOLEANS:
        return text.lower()
    try:
        number = float(text)
    except ValueError:
        return text
    # a whole number of many digits would be rounded, and int and float take underscores
    if not np.isfinite(number) or "_" in text or abs(number) > 2**53:
        return text
    return as_text(number)


def class_order(rows: Outcomes, known: Sequence[str] = ()) -> tuple[str | None, ...]:
    """Return which class each column of the probabilities is; None where nothing shows it.

    ``known`` is right when it is as long as there are columns. Else the predictions and labels
    show it: when they are of as many classes as there are columns, these are in order, as
    scikit-learn and MLflow keep them, if the greatest probability is that of the prediction in half
    of the rows or more. Else a class is the column that is greatest most often where it was
    predicted.

    Examples
    --------
    >>> rows = outcomes(["b", "a"], ["a", "c"], [[0.2, 0.8, 0.0], [0.9, 0.1, 0.0]])
    >>> class_order(rows)
    ('a', 'b', 'c')
    """
    if rows.probabilities is None:
        return ()
    width = rows.probabilities.shape[1]
    if len(known) == width:
        return tuple(known)
    usable = ~np.isnan(rows.probabilities).any(axis=1) & given(rows.predicted)
    predicted = rows.predicted[usable].tolist()
    votes = Counter(zip(rows.probabilities[usable].argmax(axis=1).tolist(), predicted, strict=True))
    seen = {*predicted, *aligned_actual(rows).tolist(), *known} - {None}
    if len(seen) == width:
        ordered = sorted_classes(seen)
        if 2 * sum(votes[place, name] for place, name in enumerate(ordered)) >= len(predicted):
            return tuple(ordered)
    order: list[str | None] = [None] * width
    for (column, name), _ in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
        if order[column] is None and name not in order:
            order[column] = name
    return tuple(order)


def whole_order(parts: Iterable[Outcomes], known: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the first order that one of ``parts`` shows of all columns; empty when none does."""
    for rows in parts:
        order = class_order(rows, known)
        names = tuple(name for name in order if name is not None)
        if order and len(names) == len(order):
            return names
    return ()


def sorted_classes(names: set[str] | Sequence[str]) -> list[str]:
    """Return classes in order: by number where all are numbers.

    Examples
    --------
    >>> sorted_classes(["10", "9"]), sorted_classes(["b", "10", "a"])
    (['9', '10'], ['10', 'a', 'b'])
    """
    try:
        return sorted(names, key=lambda name: (float(name), name))
    except ValueError:
        return sorted(names)
