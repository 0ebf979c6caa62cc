"""When an analysis is worth a report, and what is left beside its result then."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from modelwatch.domain.drift import AnalysisResult, LastAnswer
from modelwatch.domain.model_monitor import job_files
from modelwatch.domain.profiles import Profile
from modelwatch.ports import DriftReporter, ProfileStore
from modelwatch.services.analysis_requests import AnalysisTask
from modelwatch.services.analysis_samples import watched_segments
from modelwatch.services.references import Reference


def report_files(
    task: AnalysisTask,
    result: AnalysisResult,
    profile: Profile,
    reference: Reference | None,
    last: LastAnswer | None,
    profiles: ProfileStore,
    reporter: DriftReporter,
) -> Mapping[str, bytes]:
    """Return a report when one is asked for, or tells something that the last one does not.

    And beside it what a job of SageMaker Model Monitor would leave.
    """
    if reference is None or not result.features or not _worth_a_report(task, result, last):
        return {}
    rows = task.rules.sample_rows
    sample = profiles.sample(task.name, task.version, task.window, rows)
    if result.variant:
        sample = sample.filter(
            [variant == result.variant for variant in sample["variant"].to_pylist()]
        )
    html = reporter.html(reference.rows(rows), sample, result.features, result.policy)
    return {"report.html": html, **job_files(result, profile, reference.constraints)}


def _worth_a_report(task: AnalysisTask, result: AnalysisResult, last: LastAnswer | None) -> bool:
    if task.with_report:
        return True
    if result.status != "drift" or not task.present:
        return False
    return (
        last is None
        or last.status != "drift"
        or last.reported_at is None
        or set(last.reported_features) != set(result.drifted_features)
        or result.window_end - last.reported_at >= task.rules.report_every
    )


def remembered(result: AnalysisResult, last: LastAnswer | None) -> LastAnswer:
    """Return what is to be remembered of a result, given what was remembered before it."""
    answer = LastAnswer(
        name=result.name,
        window_end=result.window_end,
        status=result.status,
        segments=watched_segments(result),
    )
    if result.has_report:
        at, features = result.window_end, result.drifted_features
    elif last is not None and last.reported_at is not None:
        at, features = last.reported_at, last.reported_features
    else:
        return answer
    return msgspec.structs.replace(answer, reported_at=at, reported_features=features)
