"""Answers about drift: of a feature, and of a model version in a window."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple
from urllib.parse import unquote

import msgspec

from modelwatch.domain.constraints import Quality
from modelwatch.domain.performance.answers import PerformanceAnswer

Status = Literal["ok", "drift", "unknown"]
"""The three answers. ``unknown`` is never to be shown as ``ok``."""

FeatureKind = Literal["numerical", "categorical"]

DriftMode = Literal["calibrated", "classic"]
"""Whether chance is allowed for (see `modelwatch.domain.decisions`), or fixed thresholds decide."""


class DriftPolicy(msgspec.Struct, frozen=True):
    """Which method and threshold decide.

    A feature drifts when its score reaches the threshold of its kind; the model version drifts
    when ``share_threshold`` of the features with an answer do. Methods are Evidently's names: those
    of distances (a high score means drift) and of p-values (a low one does), as
    `modelwatch.domain.statistics.distances.METHODS` tells. In ``calibrated`` mode a score must also
    be beyond what chance makes of windows of its size; in ``classic`` mode the threshold alone
    decides. A feature with fewer than ``min_values`` values on either side is unknown.
    """

    numerical_method: str = "wasserstein"
    numerical_threshold: float = 0.1
    categorical_method: str = "jensenshannon"
    categorical_threshold: float = 0.1
    share_threshold: float = 0.5
    mode: DriftMode = "calibrated"
    min_values: int = 10

    def method(self, kind: FeatureKind) -> str:
        """Return the method for features of ``kind``."""
        return self.numerical_method if kind == "numerical" else self.categorical_method

    def threshold(self, kind: FeatureKind) -> float:
        """Return the threshold for features of ``kind``."""
        return self.numerical_threshold if kind == "numerical" else self.categorical_threshold


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one feature; ``score`` is None and ``reason`` set when it is unknown.

    In the mode ``calibrated`` ``p_value`` is how likely such a score is when nothing changed, and
    ``needed`` the score that drift takes at this number of values: no less than ``threshold``
    (where a low score means drift: no more).
    """

    feature: str
    kind: FeatureKind
    status: Status
    method: str
    threshold: float
    score: float | None = None
    missing_ratio: float = 0.0
    reason: str = ""
    p_value: float | None = None
    needed: float | None = None


class Verdict(msgspec.Struct, frozen=True):
    """The answer for a model version: status, share of drifted features (0 to 1), and why."""

    status: Status
    drift_share: float
    drifted_features: tuple[str, ...]
    reason: str


class SegmentResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one segment of the rows; what is not said is as in `AnalysisResult`.

    Attributes
    ----------
    name
        As it was declared, or ``column=value``.
    column
        The column whose value it is; empty for an expression.
    features
        Empty when it could not be compared: ``reason`` says why.
    """

    name: str
    column: str = ""
    status: Status
    reason: str
    rows: int
    reference_rows: int = 0
    drift_share: float = 0.0
    drifted_features: tuple[str, ...] = ()
    headline: str = ""
    features: tuple[FeatureDrift, ...] = ()


class AnalysisResult(msgspec.Struct, frozen=True, kw_only=True):
    """One analysis: what `result.json` holds.

    Attributes
    ----------
    name
        Under which it is listed and fetched; see `ResultName`.
    variant
        The alias whose rows it is about; empty for all rows of the version.
    window
        Length of the window, as an ISO 8601 duration.
    rows
        Distinct records in the window, rounded outward to whole minutes.
    repeated
        Records that were stored more than once, and count once.
    reference
        What the window was compared with, in words.
    drifted_features
        Those that matter most to the model first.
    headline
        The same in words, with how far they drifted.
    features
        The answer for each feature.
    outputs
        The same for predictions and probabilities; they do not count in ``drift_share``.
    segments
        The answer for each declared segment, in the main window of all rows; they do not count in
        ``status``, and ``reason`` names those that drift.
    quality
        The answer about data quality; None when there is no reference to learn from.
    performance
        How well the version predicted by the labels that came so far, in a window of its own; only
        with the newest answer for all rows of the main window.
    late
        Whether a missed window was caught up.
    manifest
        Digest of the manifest, which says what it was made of (`modelwatch.domain.evidence`).
    """

    name: str
    model_name: str
    model_version: str
    variant: str = ""
    window: str = ""
    window_start: datetime
    window_end: datetime
    status: Status
    reason: str
    rows: int
    reference_rows: int
    repeated: int = 0
    reference: str = ""
    drift_share: float = 0.0
    drifted_features: tuple[str, ...] = ()
    headline: str = ""
    features: tuple[FeatureDrift, ...] = ()
    outputs: tuple[FeatureDrift, ...] = ()
    segments: tuple[SegmentResult, ...] = ()
    quality: Quality | None = None
    performance: PerformanceAnswer | None = None
    late: bool = False
    policy: DriftPolicy = DriftPolicy()
    duration_seconds: float = 0.0
    has_report: bool = False
    manifest: str = ""


def judge(features: Sequence[FeatureDrift], share_threshold: float) -> Verdict:
    """Decide for a model version from its features' answers.

    Features whose answer is unknown do not count, neither way; if all are, so is the verdict.

    Examples
    --------
    >>> drifted = FeatureDrift(feature="a", kind="numerical", status="drift",
    ...                        method="wasserstein", threshold=0.2, score=0.9)
    >>> judge([drifted], share_threshold=0.5).status
    'drift'
    >>> judge([], share_threshold=0.5).status
    'unknown'
    """
    answered = [feature for feature in features if feature.status != "unknown"]
    if not answered:
        return Verdict("unknown", 0.0, (), "no feature can be compared")
    drifted = tuple(feature.feature for feature in answered if feature.status == "drift")
    share = len(drifted) / len(answered)
    status: Status = "drift" if share >= share_threshold else "ok"
    reason = f"{len(drifted)} of {len(answered)} features drifted"
    return Verdict(status, share, drifted, f"{reason}; drift from a share of {share_threshold:g}")


class LastAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of the newest analysis of a window and variant.

    Attributes
    ----------
    window_end
        End of the newest window: what ended before need not be caught up.
    segments
        Names of the segments that metrics tell of.
    reported_at, reported_features
        When the newest report was made, by its window's end, and which drifted features it shows.
    """

    name: str
    window_end: datetime
    status: Status
    segments: tuple[str, ...] = ()
    reported_at: datetime | None = None
    reported_features: tuple[str, ...] = ()


_NAME = re.compile(
    r"(?P<model>.+)\.(?P<version>[^.]+)\.(?P<end>\d{8}T\d{6}Z)"
    r"(?:\.(?P<window>P[0-9A-Z]+)(?:\.(?P<variant>[^.]+))?)?"
)


class ResultName(NamedTuple):
    """The parts of a result's name."""

    model_name: str
    model_version: str
    window_end: datetime
    window: str = ""
    variant: str = ""

    def __str__(self) -> str:
        """Return the name under which a result is listed and fetched.

        Examples
        --------
        >>> str(ResultName("wine", "3", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "PT1H"))
        'wine.3.20260102T030405Z.PT1H'
        """
        return f"{self.model_name}.{_dotless(self.model_version)}.{self.ending}"

    @property
    def ending(self) -> str:
        """What the name says of the window: names of a version sort by it as by time."""
        parts = (f"{self.window_end:%Y%m%dT%H%M%SZ}", self.window, _dotless(self.variant))
        return ".".join(part for part in parts if part)

    @classmethod
    def parse(cls, name: str) -> ResultName | None:
        """Return the parts of ``name``; None when it is no result's.

        Examples
        --------
        >>> ResultName.parse("my.wine.1%2E5.20260102T030405Z.PT1H.champion")[:2]
        ('my.wine', '1.5')
        """
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        end = datetime.strptime(found["end"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        version, variant = unquote(found["version"]), unquote(found["variant"] or "")
        return cls(found["model"], version, end, found["window"] or "", variant)


def _dotless(part: str) -> str:
    return part.replace("%", "%25").replace(".", "%2E")
