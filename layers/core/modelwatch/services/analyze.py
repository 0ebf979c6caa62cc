"""Analyze: a window of captures against the reference of the same model version."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from modelwatch.domain.drift import AnalysisResult, DriftPolicy, judge, result_name
from modelwatch.domain.records import invalid_json
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, ModelwatchError, NoModelError
from modelwatch.ports import (
    DriftDetector,
    MetricSink,
    ModelRegistry,
    RecordStore,
    ReferenceStore,
    ReportStore,
    Sample,
)

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logging.getLogger(__name__)

STATUS_VALUES = {"ok": 0, "drift": 1, "unknown": 2}
"""How ``evidently_drift_status`` tells the three answers."""


class AnalysisRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which window to analyze, and how. What is not given comes from the settings.

    Attributes
    ----------
    window_seconds
        Length of the window.
    window_end
        Its end, with a time zone; by default now, less the time that captures need to arrive.
    min_rows
        Fewest distinct records that allow a verdict; below, the answer is ``unknown``.
    with_report
        Make the HTML report even when nothing drifted.
    """

    window_seconds: Annotated[int, msgspec.Meta(ge=1, le=366 * 86_400)] | None = None
    window_end: datetime | None = None
    min_rows: Annotated[int, msgspec.Meta(ge=2)] | None = None
    with_report: bool = False


def parse_request(body: bytes) -> AnalysisRequest:
    """Read the body of ``POST /analyze``; an empty one asks for the defaults.

    Raises
    ------
    InvalidInputError
        When it is not such a request; names the field.
    """
    if not body.strip():
        return AnalysisRequest()
    try:
        request = msgspec.json.decode(body, type=AnalysisRequest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_json(error) from None
    if request.window_end is not None and request.window_end.tzinfo is None:
        raise InvalidInputError("window_end", "has no time zone; end it with 'Z' for UTC")
    return request


class Analysis(msgspec.Struct, frozen=True):
    """What one run did: results, and by model version why it has none."""

    results: list[AnalysisResult]
    failures: dict[str, str]


class AnalyzeService:
    """Analyzes every version with captures in the window, and the one that serves now."""

    def __init__(
        self,
        *,
        model_name: str,
        alias: str,
        registry: ModelRegistry,
        records: RecordStore,
        references: ReferenceStore,
        detector: DriftDetector,
        reports: ReportStore,
        metrics: MetricSink,
        policy: DriftPolicy,
        window_seconds: int,
        lag_seconds: int,
        min_rows: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._model_name = model_name
        self._alias = alias
        self._registry = registry
        self._records = records
        self._references = references
        self._detector = detector
        self._reports = reports
        self._metrics = metrics
        self._policy = policy
        self._window_seconds = window_seconds
        self._lag_seconds = lag_seconds
        self._min_rows = min_rows
        self._clock = clock

    def analyze(self, request: AnalysisRequest) -> Analysis:
        """Analyze a window, each model version alone: one that fails does not stop the rest."""
        end = request.window_end or datetime.fromtimestamp(
            int(self._clock()) - self._lag_seconds, UTC
        )
        window = Window.ending(end, seconds=request.window_seconds or self._window_seconds)
        min_rows = request.min_rows or self._min_rows
        results: list[AnalysisResult] = []
        failures: dict[str, str] = {}
        for name, version in self._versions(window):
            try:
                results.append(
                    self._analyze_version(name, version, window, min_rows, request.with_report)
                )
            except Exception as error:  # noqa: BLE001 - one bad model never stops the others
                _LOG.exception("analysis of %s version %s failed", name, version)
                failures[f"{name} version {version}"] = f"{type(error).__name__}: {error}"
                labels = {"model_name": name, "model_version": version, "status": "error"}
                self._metrics.emit([Sample("evidently_analysis_total", 1, labels)])
        return Analysis(results, failures)

    def results(self, limit: int) -> list[AnalysisResult]:
        """Return the newest results, newest first."""
        return self._reports.results(limit)

    def report_url(self, name: str, expires_seconds: int = 3600) -> str:
        """Return a URL that opens a report for a while; raises NotFoundError without one."""
        return self._reports.report_url(name, expires_seconds)

    def _versions(self, window: Window) -> list[tuple[str, str]]:
        versions = self._records.versions(window)
        try:
            serving = self._registry.resolve(self._model_name, self._alias)
        except NoModelError:
            return versions
        except ModelwatchError as error:
            _LOG.warning("which version serves is not known: %s", error)
            return versions
        return sorted({*versions, (serving.name, serving.version)})

    def _analyze_version(
        self, name: str, version: str, window: Window, min_rows: int, with_report: bool
    ) -> AnalysisResult:
        began = time.perf_counter()
        current = self._records.read(name, version, window)
        result = AnalysisResult(
            name=result_name(name, version, window.end),
            model_name=name,
            model_version=version,
            window_start=window.start,
            window_end=window.end,
            status="unknown",
            reason="",
            rows=current.num_rows,
            reference_rows=0,
            policy=self._policy,
        )
        html: Callable[[], bytes] | None = None
        if current.num_rows < min_rows:
            reason = f"{current.num_rows} rows in the window; {min_rows} are needed"
            result = msgspec.structs.replace(result, reason=reason)
        else:
            result, html = self._compare(result, current)
        report = html() if html and (with_report or result.status == "drift") else None
        result = msgspec.structs.replace(
            result,
            has_report=report is not None,
            duration_seconds=round(time.perf_counter() - began, 3),
        )
        self._reports.save(result, report)
        self._metrics.emit(_samples(result))
        return result

    def _compare(
        self, result: AnalysisResult, current: pa.Table
    ) -> tuple[AnalysisResult, Callable[[], bytes] | None]:
        version = self._registry.version(result.model_name, result.model_version)
        reference = self._references.reference(version)
        if reference is None or reference.num_rows == 0:
            return msgspec.structs.replace(result, reason="the version has no reference data"), None
        comparison = self._detector.compare(reference, current, self._policy)
        verdict = judge(comparison.features, self._policy.share_threshold)
        result = msgspec.structs.replace(
            result,
            status=verdict.status,
            reason=verdict.reason,
            reference_rows=reference.num_rows,
            drift_share=verdict.drift_share,
            drifted_features=verdict.drifted_features,
            features=tuple(comparison.features),
        )
        return result, comparison.html


def _samples(result: AnalysisResult) -> list[Sample]:
    model = {"model_name": result.model_name, "model_version": result.model_version}
    samples = [
        Sample("evidently_analysis_total", 1, {**model, "status": result.status}),
        Sample("evidently_analysis_duration_seconds", result.duration_seconds, model),
        Sample("evidently_drift_status", STATUS_VALUES[result.status], model),
    ]
    if result.status == "unknown":
        return samples
    samples += [
        Sample("evidently_data_drift_detected", int(result.status == "drift"), model),
        Sample("evidently_drift_score", result.drift_share, model),
        Sample("evidently_drifted_features_count", len(result.drifted_features), model),
    ]
    for feature in result.features:
        labels = {**model, "feature": feature.feature}
        samples.append(Sample("evidently_missing_values_ratio", feature.missing_ratio, labels))
        if feature.score is not None:
            by_method = {**labels, "method": feature.method}
            samples += [
                Sample("evidently_feature_drift_score", feature.score, by_method),
                Sample("evidently_feature_drift_detected", int(feature.status == "drift"), labels),
            ]
    return samples
