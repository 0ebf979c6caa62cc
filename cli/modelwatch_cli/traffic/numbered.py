"""The numbered scenarios: what each sends, and what it expects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwatch_cli.traffic import expectations as expect
from modelwatch_cli.traffic.expectations import Expectation
from modelwatch_cli.traffic.scenarios import (
    SCENARIOS,
    first_share,
    missing_features,
    out_of_range_feature,
)
from modelwatch_cli.traffic.schedule import Pattern

if TYPE_CHECKING:
    import pandas as pd

LOSS_ALERTS = ("CaptureLoss", "DeadLetterQueueNotEmpty", "HighErrorRate")
"""Alerts that no scenario may raise."""

DRIFT_ALERTS = ("DataDriftDetected", "MultipleDriftedFeatures")
QUALITY_ALERTS = ("ConstraintsViolated", "HighMissingValues")


@dataclass(frozen=True, slots=True)
class Numbered:
    """A numbered scenario.

    Attributes
    ----------
    number, name, title
        How it is selected and shown.
    rows
        The one of `SCENARIOS` that changes the rows.
    pattern, rate, requests
        The default traffic.
    expected
        The expectations, for the reference, and for whether alerts must fire.
    late_labels
        Whether labels follow, later than the first analysis.
    """

    number: int
    name: str
    title: str
    rows: str
    pattern: Pattern
    rate: float
    requests: int
    expected: Callable[[pd.DataFrame, bool], list[Expectation]]
    late_labels: bool = False

    def expectations(self, reference: pd.DataFrame, firing: bool) -> list[Expectation]:
        """Return the expectations."""
        return [*_always(self), *self.expected(reference, firing)]


def _always(scenario: Numbered) -> Iterator[Expectation]:
    yield expect.all_responded()
    yield expect.nothing_lost()
    yield expect.predicted()
    if SCENARIOS[scenario.rows].refused:
        yield expect.counted("api_requests_total", lambda seen: seen.refused, status="400")
    yield stored()
    yield from expect.quiet(*LOSS_ALERTS)


def stored() -> Expectation:
    """Expect the bridge to count records on S3 as stored, in addition to shadows' records."""
    return expect.counted("capture_records_total", lambda seen: seen.on_s3, True, outcome="stored")


def _normal(_reference: pd.DataFrame, _firing: bool) -> list[Expectation]:
    return [
        expect.verdict("ok"),
        expect.drifted([], at_least=1, others=False),
        expect.clean(),
        expect.shown("evidently_data_drift_detected", 0),
        *expect.quiet(*DRIFT_ALERTS, *QUALITY_ALERTS),
    ]


def _gradual(reference: pd.DataFrame, firing: bool) -> list[Expectation]:
    moved = first_share(reference, 0.6)
    return [
        expect.verdict("drift"),
        expect.drifted(moved, at_least=0.8, others=False),
        expect.shown("evidently_data_drift_detected", 1),
        *expect.raised(*_drift_alerts(len(moved)), firing=firing),
    ]


def _sudden(reference: pd.DataFrame, firing: bool) -> list[Expectation]:
    moved = list(reference.columns)
    return [
        expect.verdict("drift"),
        expect.drifted(moved, at_least=0.8, others=False),
        expect.shown("evidently_data_drift_detected", 1),
        *expect.raised(*_drift_alerts(len(moved)), "HighDriftScore", firing=firing),
    ]


def _data_quality(reference: pd.DataFrame, firing: bool) -> list[Expectation]:
    rules = dict.fromkeys(missing_features(reference), "missing")
    rules[out_of_range_feature(reference)] = "range"
    return [
        expect.violated(rules),
        expect.shown("evidently_data_drift_detected", 0),
        *expect.raised(*QUALITY_ALERTS, firing=firing),
        *expect.quiet("DataDriftDetected"),
    ]


def _peak_hours(reference: pd.DataFrame, firing: bool) -> list[Expectation]:
    return [
        *_normal(reference, firing),
        expect.counted("capture_labels_total", lambda seen: seen.labels, outcome="accepted"),
        expect.counted("capture_labels_total", lambda seen: seen.labels, outcome="stored"),
        expect.labels_arrived(),
    ]


def _drift_alerts(moved: int) -> tuple[str, ...]:
    # in a model with few features, few can drift
    return DRIFT_ALERTS if 0.8 * moved >= 3 else DRIFT_ALERTS[:1]


NUMBERED: tuple[Numbered, ...] = (
    Numbered(
        1,
        "normal_day",
        "a normal day, compressed: quiet at night, busy by day, and no alarm",
        "normal",
        Pattern.DAILY,
        10.0,
        900,
        _normal,
    ),
    Numbered(
        2,
        "gradual_drift",
        "60 % of the features drift away, little by little",
        "gradual_drift",
        Pattern.STEADY,
        10.0,
        600,
        _gradual,
    ),
    Numbered(
        3,
        "sudden_shift",
        "half-way, the distribution of every feature shifts",
        "sudden_shift",
        Pattern.STEADY,
        10.0,
        400,
        _sudden,
    ),
    Numbered(
        4,
        "data_quality",
        "missing values, values out of range, and text for numbers",
        "data_quality",
        Pattern.STEADY,
        10.0,
        400,
        _data_quality,
    ),
    Numbered(
        5,
        "peak_hours",
        "bursts on a normal day, and labels that come late",
        "normal",
        Pattern.BURST,
        6.0,
        600,
        _peak_hours,
        late_labels=True,
    ),
)
"""All but the last: `modelwatch_cli.traffic.stress`."""

STRESS_NUMBER, STRESS_NAME = 6, "stress"
STRESS_TITLE = "the highest rate that holds the p95 of --slo-ms, step by step"
