"""When an analysis is worth a report, and what is left beside its result then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelwatch.domain.optional import MODEL_MONITOR, optional_part
from modelwatch.domain.profiles import Profile
from modelwatch.domain.verdict.results import LastResult, WindowVerdict
from modelwatch.ports.analysis import DriftReporter, ProfileStore
from modelwatch.services.analysis_requests import AnalysisTask
from modelwatch.services.references import SampledReference


def report_files(
    task: AnalysisTask,
    variant: str,
    verdict: WindowVerdict,
    profile: Profile,
    reference: SampledReference,
    profiles: ProfileStore,
    reporter: DriftReporter,
    notes: Sequence[str],
) -> Mapping[str, bytes]:
    """Return a report.

    And beside it what a job of SageMaker Model Monitor would leave, where that part is installed.
    """
    rows = task.rules.sample_rows
    sample = profiles.sample(task.name, task.version, task.window, rows)
    if variant:
        sample = sample.filter([each == variant for each in sample["variant"].to_pylist()])
    title = (
        f"{task.name} version {task.version}{f' as {variant}' if variant else ''}, {task.window}"
    )
    sides = (reference.profile, profile)
    html = reporter.html(reference.rows(rows), sample, verdict, title, notes, sides)
    model_monitor = optional_part(MODEL_MONITOR)
    if model_monitor is None:
        return {"report.html": html}
    return {"report.html": html, **model_monitor.job_files(verdict, profile, reference.constraints)}


def worth_a_report(task: AnalysisTask, verdict: WindowVerdict, last: LastResult | None) -> bool:
    """Return whether a report is asked for, or shows something that the last one does not."""
    if not verdict.features:
        return False
    if task.with_report:
        return True
    if verdict.status != "drift" or not task.present:
        return False
    return (
        last is None
        or last.status != "drift"
        or last.reported_at is None
        or set(last.reported_features) != set(verdict.drifted_features)
        or task.window.end - last.reported_at >= task.rules.report_every
    )
