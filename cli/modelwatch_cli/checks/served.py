"""Facts about the served version besides its metrics: newest analysis, predictions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch.domain.windows import Window
from modelwatch.services.remembering import last_results
from modelwatch_cli.checks.presence import Known
from modelwatch_cli.monitoring.live_metrics import LiveMetrics
from modelwatch_cli.settings import Settings

_DAYS = timedelta(days=2)


def ask_about_served(settings: Settings, live: LiveMetrics) -> Known:
    """Return the facts about the version that serves according to ``live``.

    Raises StoreError when S3 cannot be read.
    """
    model = settings.model_name
    infos = [each for each in live.of("model_version_info", model_name=model) if each.value == 1]
    version = infos[-1].labels["version"] if infos else ""
    s3 = s3_client(settings)
    captures = S3RecordStore(s3, settings.capture_bucket)
    reports = S3ReportStore(s3, settings.report_bucket)
    return Known(
        settings,
        model,
        version,
        _newest_result(reports, model, version) if version else None,
        lambda: _has_numbers(captures, model, version),
    )


def _newest_result(reports: S3ReportStore, model: str, version: str) -> AnalysisResult | None:
    """Return the newest result of the main window: the one that knows of the performance."""
    last = last_results(reports, model, version)
    whole = [each for key, each in last.items() if " " not in key]
    newest = sorted(whole, key=lambda each: each.window_end, reverse=True)
    results = [reports.result(each.name) for each in newest]
    if not results:  # the schedule has not run yet, and someone may have asked
        own = (model, version)
        found = reports.results(limit=20)
        results = [each for each in found if (each.model_name, each.model_version) == own]
    return next((each for each in results if each.performance), next(iter(results), None))


def _has_numbers(captures: S3RecordStore, model: str, version: str) -> bool:
    """Return whether the newest captured predictions are numbers; so they are without any."""
    now = datetime.now(UTC)
    objects = list(captures.objects(model, version, Window(now - _DAYS, now)))
    if not objects:
        return True
    predictions = captures.rows(objects[-1].key)["prediction"]
    return bool(predictions.null_count < len(predictions))
