"""The metrics of an analysis."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from modelwatch.domain.monitors import labels_text
from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift, LastResult
from modelwatch.domain.verdict.standing import standing_of
from modelwatch.metric_names import (
    DRIFT_STATUS,
    MONITOR_INFO,
    MONITOR_LABELS,
    SEGMENT_STATUS,
    STATUS_VALUES,
    VERSION_STATUS,
)
from modelwatch.ports.metrics import Sample


def failure_sample(model_name: str, model_version: str) -> Sample:
    """Count an analysis that failed."""
    labels = {"model_name": model_name, "model_version": model_version, "status": "error"}
    return Sample("evidently_analysis_total", 1, labels)


def monitor_samples(model_name: str, owner: str, labels: Mapping[str, str]) -> list[Sample]:
    """Say who cares for a model, and which labels its monitor has: alerts carry both."""
    model = {"model_name": model_name}
    return [
        Sample(MONITOR_INFO, 1, {**model, "owner": owner}),
        Sample(MONITOR_LABELS, 1, {**model, "labels": labels_text(labels)}),
    ]


def result_samples(result: AnalysisResult, *, main: bool, present: bool) -> list[Sample]:
    """Return the metrics of a result; of the ``main`` window, those of its features as well.

    A window of the past is counted, and changes no gauge: they show the ``present``.
    """
    model = {"model_name": result.model_name, "model_version": result.model_version}
    samples = [
        Sample("evidently_analysis_total", 1, {**model, "status": result.status}),
        Sample("evidently_analysis_duration_seconds", result.duration_seconds, model),
    ]
    if result.late:
        samples.append(Sample("evidently_analysis_late_total", 1, model))
    if not present:
        return samples
    status = STATUS_VALUES[result.severity]
    window = {**model, "variant": result.variant, "window": result.window}
    samples.append(Sample("evidently_window_status", status, window))
    if not main:
        return samples
    samples.append(Sample(DRIFT_STATUS, status, model))
    if result.quality is not None and result.quality.status != "unknown":
        violations = len(result.quality.violations)
        samples.append(Sample("evidently_constraint_violations_count", violations, model))
    if result.status != "unknown":
        samples += _verdict(result, model)
    return samples


def standing_samples(
    model_name: str, model_version: str, last: Mapping[str, LastResult]
) -> list[Sample]:
    """Say how a version stands by all of its windows; see `standing_of`."""
    standing = standing_of(last)
    if standing is None:
        return []
    model = {"model_name": model_name, "model_version": model_version}
    return [Sample(VERSION_STATUS, STATUS_VALUES[standing.severity], model)]


def watched_segments(result: AnalysisResult) -> tuple[str, ...]:
    """Return the names of the segments that metrics show.

    A value of a column that the reference has never seen is none of them: no one knows how many of
    those will come.
    """
    return tuple(each.name for each in result.segments if each.reference_rows or not each.column)


def segment_samples(result: AnalysisResult, before: Collection[str]) -> list[Sample]:
    """Return the metrics of a result's segments.

    What metrics showed ``before`` and do not any more is unknown now: a gauge would keep saying
    what it said last. An ad hoc result says nothing of what is unknown to it.
    """
    model = {"model_name": result.model_name, "model_version": result.model_version}
    watched = watched_segments(result)
    statuses = {} if result.ad_hoc else {name: STATUS_VALUES["unknown"] for name in before}
    statuses |= {
        each.name: STATUS_VALUES[each.severity]
        for each in result.segments
        if each.name in watched and not (result.ad_hoc and each.status == "unknown")
    }
    return [
        Sample(SEGMENT_STATUS, status, {**model, "segment": name})
        for name, status in statuses.items()
    ]


def _verdict(result: AnalysisResult, model: dict[str, str]) -> list[Sample]:
    samples = [
        Sample("evidently_data_drift_detected", int(result.status == "drift"), model),
        Sample("evidently_drift_score", result.drift_share, model),
        Sample("evidently_drifted_features_count", len(result.drifted_features), model),
    ]
    for feature in result.features:
        labels = {**model, "feature": feature.feature}
        samples.append(Sample("evidently_missing_values_ratio", feature.missing_ratio, labels))
        if feature.critical_score is not None:
            critical = feature.critical_score
            samples.append(Sample("evidently_feature_critical_score", critical, labels))
    samples += _scores(result.features, model, "evidently_feature_drift", "feature")
    return samples + _scores(result.outputs, model, "evidently_output_drift", "output")


def _scores(
    features: Sequence[FeatureDrift], model: dict[str, str], family: str, label: str
) -> list[Sample]:
    samples = []
    for feature in features:
        if feature.score is not None:
            labels = {**model, label: feature.feature}
            samples += [
                Sample(f"{family}_score", feature.score, {**labels, "method": feature.method}),
                Sample(f"{family}_detected", int(feature.status == "drift"), labels),
            ]
    return samples
