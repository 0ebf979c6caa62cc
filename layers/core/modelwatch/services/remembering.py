"""What is remembered of a version's newest analyses: one read in place of many."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from modelwatch.domain.verdict.results import AnalysisResult, LastResult
from modelwatch.errors import DamagedError
from modelwatch.ports.analysis import ReportStore
from modelwatch.services.analysis_samples import watched_segments

_LOG = logging.getLogger(__name__)

_READ_AGAIN = 50
"""Results that say the same as a damaged memory: the newest, of all windows and variants."""


def last_results(
    reports: ReportStore, model_name: str, model_version: str
) -> Mapping[str, LastResult]:
    """Return what is remembered of a version, by `window_key`.

    Where that is damaged, it follows from the newest results again, and the next run of the
    schedule writes it.
    """
    try:
        return reports.last(model_name, model_version)
    except DamagedError as error:
        _LOG.error("%s; what it said is read from the newest results", error)
    found: dict[str, LastResult] = {}
    version = (model_name, model_version)
    for each in reversed(reports.newest([version], None, None, _READ_AGAIN)):
        if each.name.ad_hoc:
            continue
        try:
            result = reports.result(str(each.name))
        except DamagedError as error:
            _LOG.error("%s", error)
            continue
        key = window_key(result.window, result.variant)
        found[key] = remembered(result, found.get(key))
    return found


def window_key(window: str, variant: str) -> str:
    """Return the name under which a version's newest result of a window and variant is kept."""
    return f"{window} {variant}".strip()


def remembered(result: AnalysisResult, last: LastResult | None) -> LastResult:
    """Return what to remember of a result, given what was remembered before it."""
    newest = LastResult(
        name=result.name,
        window_end=result.window_end,
        status=result.status,
        severity=result.severity,
        reason=result.reason,
        rows=result.rows,
        segments=watched_segments(result),
        onset=result.onset,
    )
    if result.has_report:
        at, features = result.window_end, result.drifted_features
    elif last is not None and last.reported_at is not None:
        at, features = last.reported_at, last.reported_features
    else:
        return newest
    return msgspec.structs.replace(newest, reported_at=at, reported_features=features)
