"""Erases from reports and results what may show a record of their window.

A report shows a sample of its window's rows, and a result may quote a text that was new to it. The
numbers of a result stay: they are of a whole window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from modelwatch.adapters.s3_objects import S3Objects
from modelwatch.adapters.s3_reports import version_prefix
from modelwatch.domain.drift import AnalysisResult
from modelwatch.domain.durations import parse_duration
from modelwatch.errors import InvalidInputError

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnalysisResult).decode

_RESULT = "/result.json"
_REPORT = "/report.html"
_EVER = datetime.min.replace(tzinfo=UTC)

_ROUNDED = timedelta(minutes=1)
"""Windows are rounded outward to whole minutes."""


class S3ReportErasure:
    """Erases from the reports in ``bucket``."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._objects = S3Objects(client, bucket)

    def erase(self, model_name: str, model_version: str, times_ms: Sequence[int]) -> int:
        """Delete the reports of windows with one of these times; return how many results changed.

        Their results say so, and quote nothing any more.
        """
        changed: set[str] = set()
        times = [datetime.fromtimestamp(time_ms / 1000, UTC) for time_ms in times_ms]
        prefix = version_prefix(model_name, model_version)
        for folder, has_report in self._results(prefix, times):
            result = _decode(self._objects.read(f"{folder}{_RESULT}"))
            if not (has_report or result.has_report or result.quality):
                continue
            # the report first: a result that was changed is not looked at again
            self._objects.delete([f"{folder}{_REPORT}"])
            silent = msgspec.structs.replace(result, has_report=False, quality=None)
            self._objects.write(f"{folder}{_RESULT}", _encode(silent), "application/json")
            changed |= {f"{folder}{_RESULT}", f"{folder}{_REPORT}"}
        if changed and self._objects.keeps_versions():
            self._objects.delete_old_versions(prefix, changed.__contains__)
        return len(changed) // 2

    def _results(self, prefix: str, times: Sequence[datetime]) -> Iterator[tuple[str, bool]]:
        """Yield the folders of results whose windows hold a time, and whether it has a report."""
        # results stand in the order of their windows' ends
        first = f"{prefix}{min(times) - _ROUNDED:%Y%m%dT%H%M%SZ}"
        keys = {key for key, _ in self._objects.keys(prefix, after=first)}
        for key in sorted(keys):
            folder = key.removesuffix(_RESULT)
            if folder != key and _may_hold(folder.rpartition("/")[2], times):
                yield folder, f"{folder}{_REPORT}" in keys


def _may_hold(ending: str, times: Sequence[datetime]) -> bool:
    """Tell whether a window may hold one of ``times``, by the last part of its result's name."""
    end, *rest = ending.split(".")
    ends = datetime.strptime(end, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) + _ROUNDED
    try:
        starts = ends - 2 * _ROUNDED - parse_duration(rest[0] if rest else "")
    except InvalidInputError:
        starts = _EVER
    return any(starts <= time < ends for time in times)
