"""Erases from reports and results what may show a record of their window.

A report shows a sample of its window's rows, a result may quote a text that was new to it, and the
profiles that are kept for a replay hold extremes and frequent texts. The numbers of a result stay:
they are of a whole window; it cannot be replayed any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.adapters.results.reports import REFERENCES, model_prefix, version_prefix
from modelwatch.domain.durations import parse_duration
from modelwatch.domain.verdict.results import AnalysisResult, ResultName
from modelwatch.errors import InvalidInputError, StoreError

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnalysisResult).decode

_RESULT = "/result.json"
_SHOWING = {"report.html", "statistics.json", "constraint_violations.json"}
"""Files beside a result that show rows, or values of rows."""

_REFERENCE = re.compile(r"/reference-(\d{8}T\d{6}Z)-(\d{8}T\d{6}Z)-[0-9a-f]+\.profile$")
_EVER = datetime.min.replace(tzinfo=UTC)

_ROUNDED = timedelta(minutes=1)
"""Windows are rounded outward to whole minutes."""


class S3ReportErasure(S3Store):
    """Erases from the reports in ``bucket``.

    Attributes
    ----------
    remains
        Why old versions of what was erased are still there; empty where none are.
    """

    remains = ""

    def erase(self, model_name: str, model_version: str, times_ms: Sequence[int]) -> int:
        """Delete the reports of windows with one of these times; return how many results changed.

        Their results say so, and quote nothing any more.
        """
        times = [datetime.fromtimestamp(time_ms / 1000, UTC) for time_ms in times_ms]
        # results stand in the order of their windows' ends
        prefix = version_prefix(model_name, model_version)
        first = f"{prefix}{min(times) - _ROUNDED:%Y%m%dT%H%M%SZ}"
        keys = sorted(key for key, _ in self._objects.keys(prefix, after=first))
        changed = self._erase_references(model_name, keys, times)
        for folder, kept in _results(keys, times):
            result = _decode(self._objects.read(f"{folder}{_RESULT}"))
            if not (kept or result.has_report or result.quality):
                continue
            # what was kept first: a result that was changed is not looked at again
            self._objects.delete(kept)
            changed |= {*kept, f"{folder}{_RESULT}"}
            silent = msgspec.structs.replace(result, has_report=False, quality=None)
            self._objects.write(f"{folder}{_RESULT}", _encode(silent), "application/json")
        if changed and self._objects.keeps_versions():
            try:
                self._objects.delete_old_versions(model_prefix(model_name), changed.__contains__)
            except StoreError as error:
                # of a locked bucket no one deletes them before their time, and the rest goes on
                self.remains = str(error)
        return sum(key.endswith(_RESULT) for key in changed)

    def _erase_references(
        self, model_name: str, keys: Sequence[str], times: Sequence[datetime]
    ) -> set[str]:
        """Delete kept references that were captured at one of these times; return their keys.

        A result whose reference is gone says so when it is replayed. Those of many windows, from
        which another version may be evaluated, are looked for below every version.
        """
        places = list(keys)
        model = model_prefix(model_name)
        for version in self._objects.folders(model):
            places += [key for key, _ in self._objects.keys(f"{model}{version}/{REFERENCES}/")]
        chosen = {
            key
            for key in places
            if (found := _REFERENCE.search(key)) and _holds(_time(found[1]), _time(found[2]), times)
        }
        self._objects.delete(sorted(chosen))
        return chosen


def _results(keys: Sequence[str], times: Sequence[datetime]) -> Iterator[tuple[str, list[str]]]:
    """Yield the folders of results whose windows hold a time, and what beside them shows rows."""
    beside: dict[str, list[str]] = {}
    for key in keys:
        folder, _, name = key.rpartition("/")
        found = beside.setdefault(folder, [])
        if name in _SHOWING or name.startswith("window-"):
            found.append(key)
    for key in keys:
        folder = key.removesuffix(_RESULT)
        if folder != key and _may_hold(folder.rpartition("/")[2], times):
            yield folder, beside[folder]


def _may_hold(ending: str, times: Sequence[datetime]) -> bool:
    """Return whether a window may hold one of ``times``, by the last part of its result's name."""
    name = ResultName.parse(f"model.version.{ending}")
    if name is None:
        return True
    ends = name.window_end + _ROUNDED
    try:
        starts = ends - 2 * _ROUNDED - parse_duration(name.window)
    except InvalidInputError:
        starts = _EVER
    return _holds(starts, ends, times)


def _holds(start: datetime, end: datetime, times: Sequence[datetime]) -> bool:
    return any(start <= time < end for time in times)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
