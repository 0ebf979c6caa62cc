"""The verdict on a model version's performance, by the profile of a window."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from modelwatch.domain.numbers import rounded
from modelwatch.domain.performance.calibration import (
    Calibration,
    EstimatedPerformance,
    estimate_performance,
)
from modelwatch.domain.performance.classification import (
    ClassPerformance,
    classes_performance,
    classification_metrics,
    majority,
)
from modelwatch.domain.performance.estimates import Estimate
from modelwatch.domain.performance.loss_estimation import estimate_errors
from modelwatch.domain.performance.losses import LossModel
from modelwatch.domain.performance.profile import PerformanceProfile, classes_of
from modelwatch.domain.performance.regression import mean_predictor, regression_metrics

Task = Literal["classification", "regression"]

MAX_WHOLE_CLASSES = 20
"""Whole numbers without probabilities are classes up to so many of them, and counts beyond."""


_SHOWN_CLASSES = 5


class PerformancePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes for a result.

    Attributes
    ----------
    min_labels
        Fewest labelled predictions.
    min_maturity
        Smallest share of the window's predictions whose label is known. The labels that come first
        may be of predictions that are not like the others: those that are easy to check, say.
    task
        What the model does; None: the predictions and labels show it, see `task_of`.
    """

    min_labels: int = 100
    min_maturity: float = 0.5
    task: Task | None = None


class HourMaturity(msgspec.Struct, frozen=True):
    """How many of an hour's predictions have their label."""

    hour: datetime
    records: int
    labelled: int

    @property
    def share(self) -> float:
        """Share of the predictions that is labelled, 0 to 1."""
        return self.labelled / self.records if self.records else 0.0


class PerformanceVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a profile says.

    Attributes
    ----------
    status, reason
        ``unknown`` where labels do not allow metrics, and why.
    task
        What the model was taken to do.
    metrics
        By name; see `classification_metrics` and `regression_metrics`.
    missing
        Why a metric is not among them, by name.
    constant, constant_metrics
        The best constant prediction (the most frequent class; the mean), and what it gives.
    classes
        Of a classifier, how each class fares.
    estimated
        What the probabilities of all predictions lead to expect, without a label.
    """

    status: Literal["ok", "unknown"]
    reason: str = ""
    task: Task | None = None
    metrics: Mapping[str, Estimate] = {}
    missing: Mapping[str, str] = {}
    constant: str = ""
    constant_metrics: Mapping[str, float] = {}
    classes: tuple[ClassPerformance, ...] = ()
    estimated: EstimatedPerformance = EstimatedPerformance(status="unknown")


class PerformanceResult(msgspec.Struct, frozen=True, kw_only=True):
    """How well a version predicted in a window.

    Attributes
    ----------
    model_name, model_version, variant
        The version; an empty variant stands for all of them.
    window_start, window_end
        The window, rounded outward to whole hours.
    records, labelled, maturity
        Predictions, those whose label is known, and their share; None without predictions.
    labels, unknown_labels
        Labels for hours of the window that are over, of whatever version, and those of them that
        are of no captured prediction: wrong ids, or predictions that were not captured.
    hours
        Maturity by hour, of hours with predictions.
    pending_hours
        Hours left out of the result: to be summed up by a later one, or not over yet and with more
        rows than are read each time.
    outdated_hours
        Hours whose newest captures or labels are not in the result, but in a later one.
    verdict
        What the labels say.
    restated_at
        When it was made again, by labels that came after the result it belongs to was written; None
        where it is as it was written at first.
    more_labelled
        Predictions that are labelled since the result was written.
    """

    model_name: str
    model_version: str
    window_start: datetime
    window_end: datetime
    verdict: PerformanceVerdict
    variant: str = ""
    records: int = 0
    labelled: int = 0
    maturity: float | None = None
    labels: int = 0
    unknown_labels: int = 0
    hours: tuple[HourMaturity, ...] = ()
    pending_hours: int = 0
    outdated_hours: int = 0
    restated_at: datetime | None = None
    more_labelled: int = 0


def evaluate_performance(
    profile: PerformanceProfile,
    policy: PerformancePolicy,
    calibrations: Mapping[str, Calibration] | None = None,
    losses: LossModel | None = None,
) -> PerformanceVerdict:
    """Return what a window's profile says of a model version.

    Examples
    --------
    >>> from modelwatch.domain.performance.rows import outcomes
    >>> profile = PerformanceProfile.of(outcomes([1, 0, 1, 0], [1, 0, 0, None]))
    >>> evaluate_performance(profile, PerformancePolicy()).reason
    '3 labelled predictions; 100 are needed'
    >>> verdict = evaluate_performance(profile, PerformancePolicy(min_labels=3))
    >>> round(verdict.metrics["accuracy"].value, 3), verdict.constant
    (0.667, '0')
    """
    task = policy.task or task_of(profile)
    if task == "regression" or (losses and not profile.probabilities):
        estimated = estimate_errors(profile.losses, losses, policy.min_labels)
    else:
        estimated = estimate_performance(profile, calibrations or {}, policy.min_labels)
    reason = _immature(profile, policy)
    if not reason and task == "regression" and profile.residuals.n < policy.min_labels:
        reason = f"{profile.residuals.n} labels that are numbers; {policy.min_labels} are needed"
    if not reason and task == "classification":
        reason = foreign_labels(profile)
    if reason:
        return PerformanceVerdict(status="unknown", reason=reason, task=task, estimated=estimated)
    if task == "regression":
        metrics, missing = regression_metrics(profile.residuals)
        mean, constant_metrics = mean_predictor(profile.residuals)
        constant = rounded(mean, 6)
        classes: tuple[ClassPerformance, ...] = ()
    else:
        metrics, missing = classification_metrics(profile)
        constant, constant_metrics = majority(profile.confusion) if profile.confusion else ("", {})
        classes = classes_performance(profile)
    return PerformanceVerdict(
        status="ok",
        reason=f"{profile.comparable} of {profile.records} predictions are labelled",
        task=task,
        metrics=metrics,
        missing=missing,
        constant=constant,
        constant_metrics={
            name: constant_metrics[name] for name in constant_metrics if name in metrics
        },
        classes=classes,
        estimated=estimated,
    )


def task_of(profile: PerformanceProfile) -> Task:
    """Return what the model seems to do.

    Probabilities and texts come from classifiers, numbers with a fraction from regressions. Whole
    numbers are classes unless there are more than `MAX_WHOLE_CLASSES` of them.

    Examples
    --------
    >>> from modelwatch.domain.performance.rows import outcomes
    >>> task_of(PerformanceProfile.of(outcomes([1.5], [1])))
    'regression'
    """
    if profile.probabilities or profile.texts:
        return "classification"
    if profile.confusion is None:
        return "regression"
    return (
        "classification"
        if len(classes_of(profile.confusion)) <= MAX_WHOLE_CLASSES
        else "regression"
    )


def foreign_labels(profile: PerformanceProfile) -> str:
    """Return why no label can be right: ``yes`` where the model says ``true``; empty otherwise."""
    predicted, actual = (
        sorted({pair[side] for pair in profile.confusion or ()}) for side in (0, 1)
    )
    # one class alone may be wrong each time; the classes of probabilities are all of the model's
    comparable = min(len(predicted), len(actual)) > 1 or 0 < profile.unscored == profile.labelled
    if not comparable or not set(predicted).isdisjoint(actual):
        return ""
    labels, classes = (", ".join(names[:_SHOWN_CLASSES]) for names in (actual, predicted))
    return f"no label is a class that the model predicts: labels {labels}; predictions {classes}"


def _immature(profile: PerformanceProfile, policy: PerformancePolicy) -> str:
    if not profile.records:
        return "no predictions in the window"
    if profile.comparable < policy.min_labels:
        return f"{profile.comparable} labelled predictions; {policy.min_labels} are needed"
    maturity = profile.labelled / profile.records
    if maturity < policy.min_maturity:
        return (
            f"{maturity:.0%} of the predictions are labelled; {policy.min_maturity:.0%} are needed"
        )
    return ""
