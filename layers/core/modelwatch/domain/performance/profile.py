"""What is kept of an hour's predictions and labels so that performance needs no row again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from modelwatch.domain.performance.expected import ExpectedLosses
from modelwatch.domain.performance.residuals import NO_RESIDUALS, Residuals
from modelwatch.domain.performance.rows import (
    Floats,
    Mask,
    Outcomes,
    Texts,
    aligned_actual,
    class_order,
    given,
)
from modelwatch.domain.performance.scores import COARSE_LEVEL, Histogram, bins_of, merge_histograms

MAX_CLASSES = 200
"""With more classes than this there are no counts by class: accuracy is all that is known."""

MAX_SCORED_CLASSES = 20
"""Models with more classes have no histograms of their probabilities."""

_SMALLEST = float(np.finfo(np.float64).eps)
"""A probability of 0 counts as this in the log loss, as scikit-learn has it."""


@dataclass(frozen=True, slots=True, eq=False)
class PerformanceProfile:
    """Mergeable sums over predictions and their labels.

    Attributes
    ----------
    records, labelled
        Predictions, and those of them whose label is known.
    comparable
        Labelled predictions that can be held against their labels: those that were captured.
    correct
        Comparable predictions that equal their label.
    confusion
        Comparable predictions by (predicted, actual); None when there were more than
        `MAX_CLASSES` classes, or numbers with a fraction, which are measured and no classes.
    texts
        Comparable predictions of which one side is no number.
    residuals
        Sums over those of which both sides are numbers.
    probabilities
        Predictions that came with probabilities.
    log_loss
        Of labelled ones with probabilities whose class is known to the model: number, and the sums
        of the loss and of its square; shape (3,).
    unscored
        Labelled ones with probabilities of which nothing shows which of them is the label's.
    scores
        By class: over labelled rows by the bin of the class's probability (`bins_of`), the number
        of rows of the class and of others, and the sum of the probability.
    expected
        By (predicted, class): over all rows, labelled or not, by the coarse bin of the class's
        probability, the number of rows and the sum of the probability. Without rows of hours in
        which nothing showed the class of each probability.
    losses
        What a loss model leads to expect; None where none was asked.
    """

    records: int = 0
    labelled: int = 0
    comparable: int = 0
    correct: int = 0
    confusion: Mapping[tuple[str, str], int] | None = field(default_factory=dict)
    texts: int = 0
    residuals: Residuals = NO_RESIDUALS
    probabilities: int = 0
    log_loss: Floats = field(default_factory=lambda: np.zeros(3))
    unscored: int = 0
    scores: Mapping[str, Histogram] = field(default_factory=dict)
    expected: Mapping[tuple[str, str], Histogram] = field(default_factory=dict)
    losses: ExpectedLosses | None = None

    @classmethod
    def of(
        cls,
        rows: Outcomes,
        classes: Sequence[str] = (),
        losses: ExpectedLosses | None = None,
    ) -> PerformanceProfile:
        """Return the profile of ``rows``.

        Parameters
        ----------
        classes
            The class of each column of the probabilities, where it is known; see `class_order`.
        losses
            Of the same rows.
        """
        actual = aligned_actual(rows)
        labelled = given(actual)
        comparable = labelled & given(rows.predicted)
        numbers = comparable & ~np.isnan(rows.predicted_numbers) & ~np.isnan(rows.actual_numbers)
        scored = _Scored.of(rows, actual, classes)
        return cls(
            records=len(rows),
            labelled=int(labelled.sum()),
            comparable=int(comparable.sum()),
            correct=int((rows.predicted[comparable] == actual[comparable]).sum()),
            confusion=_confusion(rows, actual, comparable, numbers),
            texts=int((comparable & ~numbers).sum()),
            residuals=Residuals.of(rows.predicted_numbers[numbers], rows.actual_numbers[numbers]),
            probabilities=scored.rows,
            log_loss=scored.log_loss,
            unscored=scored.unscored,
            scores=scored.scores,
            expected=scored.expected,
            losses=losses,
        )


def merge_performance(profiles: Iterable[PerformanceProfile]) -> PerformanceProfile:
    """Return the profile of all rows that went into ``profiles``, in their order.

    Examples
    --------
    >>> from modelwatch.domain.performance.rows import outcomes
    >>> one = PerformanceProfile.of(outcomes([1, 0], [1, None]))
    >>> both = merge_performance([one, one])
    >>> both.records, both.labelled, dict(both.confusion)
    (4, 2, {('1', '1'): 2})
    """
    parts = list(profiles)
    residuals = NO_RESIDUALS
    losses: ExpectedLosses | None = None
    for part in parts:
        residuals = residuals + part.residuals
        if part.losses is not None:
            losses = part.losses if losses is None else losses + part.losses
    return PerformanceProfile(
        records=sum(part.records for part in parts),
        labelled=sum(part.labelled for part in parts),
        comparable=sum(part.comparable for part in parts),
        correct=sum(part.correct for part in parts),
        confusion=_merged_confusion(parts),
        texts=sum(part.texts for part in parts),
        residuals=residuals,
        probabilities=sum(part.probabilities for part in parts),
        log_loss=np.sum([np.zeros(3), *(part.log_loss for part in parts)], axis=0),
        unscored=sum(part.unscored for part in parts),
        scores=_merged([part.scores for part in parts]),
        expected=_merged([part.expected for part in parts]),
        losses=losses,
    )


def _merged_confusion(parts: Sequence[PerformanceProfile]) -> dict[tuple[str, str], int] | None:
    total: Counter[tuple[str, str]] = Counter()
    for part in parts:
        if part.confusion is None:
            return None
        total.update(part.confusion)
    return dict(total) if len(classes_of(total)) <= MAX_CLASSES else None


def _merged[K](parts: Sequence[Mapping[K, Histogram]]) -> dict[K, Histogram]:
    found: dict[K, list[Histogram]] = {}
    for part in parts:
        for key, histogram in part.items():
            found.setdefault(key, []).append(histogram)
    return {key: merge_histograms(histograms) for key, histograms in found.items()}


def classes_of(confusion: Iterable[tuple[str, str]]) -> set[str]:
    """Return the classes that were predicted or true."""
    return {name for pair in confusion for name in pair}


def _confusion(
    rows: Outcomes, actual: Texts, comparable: Mask, numbers: Mask
) -> dict[tuple[str, str], int] | None:
    sides = np.concatenate([rows.predicted_numbers[numbers], rows.actual_numbers[numbers]])
    if (sides != np.floor(sides)).any():
        return None
    pairs = zip(rows.predicted[comparable].tolist(), actual[comparable].tolist(), strict=True)
    counts = dict(Counter(pairs))
    return counts if len(classes_of(counts)) <= MAX_CLASSES else None


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """What a profile holds of probabilities."""

    rows: int
    log_loss: Floats
    unscored: int
    scores: dict[str, Histogram]
    expected: dict[tuple[str, str], Histogram]

    @classmethod
    def of(cls, rows: Outcomes, actual: Texts, classes: Sequence[str]) -> _Scored:
        if rows.probabilities is None:
            return cls(0, np.zeros(3), 0, {}, {})
        usable = ~np.isnan(rows.probabilities).any(axis=1)
        order = class_order(rows, classes)
        matrix = rows.probabilities[usable]
        true, predicted = actual[usable], rows.predicted[usable]
        scores: dict[str, Histogram] = {}
        expected: dict[tuple[str, str], Histogram] = {}
        known = given(true)
        losses = np.full(len(true), np.nan)
        for column, name in enumerate(order):
            if name is None:
                continue
            p = matrix[:, column]
            is_class = true == name
            losses[is_class] = -np.log(np.clip(p[is_class], _SMALLEST, 1 - _SMALLEST))
            if len(order) > MAX_SCORED_CLASSES:
                continue
            bins = bins_of(p)
            if known.any():
                of_class = is_class[known]
                scores[name] = Histogram.of(bins[known], of_class, ~of_class, p[known])
            if None in order:
                # what a row is expected to be must add up
                continue
            for value in set(predicted.tolist()) - {None}:
                chosen = predicted == value
                expected[value, name] = Histogram.of(
                    bins[chosen], np.ones(chosen.sum()), p[chosen], level=COARSE_LEVEL
                )
        found = losses[~np.isnan(losses)]
        log_loss = np.array([len(found), math.fsum(found), math.fsum(found**2)])
        return cls(len(matrix), log_loss, int(known.sum()) - len(found), scores, expected)
