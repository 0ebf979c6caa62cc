"""One analysis in the page's history, made from the gauges that it set."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from modelwatch.metric_names import DRIFT_STATUS, DRIFT_UNKNOWN, STATUS_VALUES
from modelwatch_bridge.counting.totals import Sample, Totals

MAX_FEATURES = 200
"""Most features of an analysis; the worst are kept."""

Version = tuple[str, str]
"""Model name and version."""

_SCORE = "evidently_feature_drift_score"
_CRITICAL = "evidently_feature_critical_score"
_DRIFTED = "evidently_feature_drift_detected"
_MISSING = "evidently_missing_values_ratio"
_SHARE = "evidently_drift_score"
ANALYSIS_METRICS = frozenset((DRIFT_STATUS, _SHARE, _SCORE, _CRITICAL, _DRIFTED, _MISSING))
"""Gauges whose change means an analysis, or more of one."""

_SAME_ANALYSIS_MS = 60_000
"""What is not older than the status by more than this is of the same analysis."""

_Samples = dict[tuple[str, ...], Sample]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one analysis said; of features, at the same place in each sequence.

    ``share`` and a feature's score, missing ratio and critical score are NaN where there is none;
    ``drifted`` has 1 or 0, and 2 where it is not known.
    """

    at_ms: int
    status: int
    share: float
    features: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    scores: Sequence[float] = ()
    missing: Sequence[float] = ()
    drifted: bytes = b""
    critical: Sequence[float] = ()


class NewestAnalyses:
    """Finds the versions whose gauges changed since the last time."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._noted: dict[Version, tuple[int, int]] = {}

    def changed(self) -> Iterable[tuple[Version, Analysis]]:
        """Yield the newest analysis of each version of which something is new."""
        statuses = {
            (labels[0], labels[1]): sample
            for labels, sample in self._totals.of(DRIFT_STATUS).items()
        }
        found: dict[Version, dict[str, _Samples]] = {}
        newest: dict[Version, tuple[int, int]] = {}
        for name in (_SHARE, _SCORE, _CRITICAL, _DRIFTED, _MISSING):
            for labels, sample in self._totals.of(name).items():
                version = labels[0], labels[1]
                status = statuses.get(version)
                if status is None or sample.at_ms < status.at_ms - _SAME_ANALYSIS_MS:
                    continue
                found.setdefault(version, {}).setdefault(name, {})[labels[2:]] = sample
                count, at_ms = newest.get(version, (0, 0))
                newest[version] = count + 1, max(at_ms, sample.at_ms)
        for version, status in statuses.items():
            count, at_ms = newest.get(version, (0, 0))
            mark = count, max(at_ms, status.at_ms)
            if self._noted.get(version) != mark:
                self._noted[version] = mark
                yield version, _analysis(status, found.get(version, {}))


def _analysis(status: Sample, found: Mapping[str, _Samples]) -> Analysis:
    """Return what the newest gauges of one version say together."""
    at_ms = status.at_ms
    severity = int(status.value)
    if severity == DRIFT_UNKNOWN or severity not in STATUS_VALUES.values():
        # what there is of drift is older
        return Analysis(at_ms, DRIFT_UNKNOWN, math.nan)
    scores = {labels[0]: (labels[1], sample.value) for labels, sample in _of(found, _SCORE)}
    critical = {labels[0]: sample.value for labels, sample in _of(found, _CRITICAL)}
    drifted = {labels[0]: int(sample.value) for labels, sample in _of(found, _DRIFTED)}
    missing = {labels[0]: sample.value for labels, sample in _of(found, _MISSING)}
    shares = [sample.value for _, sample in _of(found, _SHARE)]
    names = sorted({*scores, *drifted, *missing})
    if len(names) > MAX_FEATURES:
        worst = sorted(
            names, key=lambda name: (-drifted.get(name, 0), -scores.get(name, ("", 0))[1])
        )
        names = sorted(worst[:MAX_FEATURES])
    return Analysis(
        at_ms,
        severity,
        shares[0] if shares else math.nan,
        tuple(names),
        tuple([scores.get(name, ("", 0.0))[0] for name in names]),
        array("f", [scores[name][1] if name in scores else math.nan for name in names]),
        array("f", [missing.get(name, math.nan) for name in names]),
        bytes([drifted.get(name, 2) & 3 for name in names]),
        array("f", [critical.get(name, math.nan) for name in names]),
    )


def _of(found: Mapping[str, _Samples], name: str) -> Iterable[tuple[tuple[str, ...], Sample]]:
    return found.get(name, {}).items()
