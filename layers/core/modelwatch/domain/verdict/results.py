"""What a verdict says: of a feature, of a segment, of a window; and the names of results."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

from modelwatch.domain.constraints import Quality
from modelwatch.domain.keys import dotless, unescape
from modelwatch.domain.numbers import rounded
from modelwatch.domain.past.phases import WORDS, SaidPhase
from modelwatch.domain.performance.results import PerformanceResult
from modelwatch.domain.verdict.rules import DriftPolicy, FeatureKind

Status = Literal["ok", "drift", "unknown"]
"""``unknown`` is never to be shown as ``ok``."""

Severity = Literal["ok", "warning", "drift", "unknown"]
"""The status, and ``warning`` where it is ``ok`` though something drifted or rows are unusual."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change that a distance does not show and that is larger than in past windows.

    Attributes
    ----------
    name
        Of the score: `modelwatch.domain.past.scores.SCORES`, ``relation`` (to another feature), or
        of `past.traffic.NAMES`.
    words
        What changed, such as ``looks like x 1.8 + 32`` or ``stuck at 0.7``.
    score, critical_score
        How far, and how far it has to be.
    """

    name: str
    words: str
    score: float
    critical_score: float

    def __str__(self) -> str:
        score, critical = rounded(self.score, 3), rounded(self.critical_score, 3)
        return f"{self.words} ({self.name} {score}, critical {critical})"


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one feature; ``score`` is None and ``reason`` set when it is unknown.

    In the mode ``calibrated`` ``p_value`` is how likely such a score is when nothing changed, and
    ``critical_score`` the score that drift takes at this number of values: no less than
    ``threshold`` (where a low score means drift: no more), and no less than windows of the past
    reached; ``critical_from`` says which of the two it is. ``changes`` are what makes it drift
    beside the score. ``importance`` is the feature's part of all that the predictions depend on, 0
    to 1; None where that is not known. ``needed`` is the old name of ``critical_score``, written
    and read for one release more.
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
    critical_score: float | None = None
    needed: float | None = None
    critical_from: Literal["independent draws", "past windows"] = "independent draws"
    changes: tuple[Change, ...] = ()
    importance: float | None = None

    def __post_init__(self) -> None:
        known = self.needed if self.critical_score is None else self.critical_score
        msgspec.structs.force_setattr(self, "critical_score", known)
        msgspec.structs.force_setattr(self, "needed", known)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on rows of a model version, by their features.

    Attributes
    ----------
    status, reason
        Whether it is a drift to act on, by the policy's rule.
    severity
        The same, and ``warning`` where the status is ``ok`` though something drifted: it follows
        from the rest, and is written for those who read the JSON.
    rows, reference_rows
        Rows on both sides.
    drift_share
        Share of drifted features among those that are known, 0 to 1.
    drifted_features
        Those that matter most to the model first.
    headline
        The same in words, with how far they drifted.
    features
        The verdict on each feature; empty when the rows cannot be compared.
    """

    status: Status
    reason: str
    rows: int
    reference_rows: int = 0
    drift_share: float = 0.0
    drifted_features: tuple[str, ...] = ()
    headline: str = ""
    features: tuple[FeatureDrift, ...] = ()
    severity: Severity = "ok"

    def __post_init__(self) -> None:
        drifted = self.status == "ok" and self._has_drift()
        severity = "warning" if drifted else self.status
        msgspec.structs.force_setattr(self, "severity", severity)

    def _has_drift(self) -> bool:
        return bool(self.drifted_features)


class SegmentResult(Verdict, frozen=True):
    """The verdict on one segment of the rows.

    ``name`` is as it was declared, or ``column=value``; ``column`` is the column whose value it is,
    empty for an expression.
    """

    name: str
    column: str = ""


class WindowVerdict(Verdict, frozen=True, kw_only=True):
    """The verdict on a window: all that follows from its profile, a reference and the rules.

    Attributes
    ----------
    reference
        What the window was compared with, in words.
    outputs
        The verdict on predictions and probabilities; they do not count in ``drift_share``.
    segments
        The verdict on each declared segment, in the main window of all rows; they do not count in
        ``status``: a drift is a warning, and ``reason`` names it.
    quality
        The verdict on data quality; None when there is no reference to learn from.
    past_days
        How many days of the past the critical scores come from.
    trained_days
        Of them, how many are days of the training rows; the others are of captures.
    phase
        Which windows just before it was compared with: ``none`` (all), those at the same time of
        ``day``, or of the ``week``; empty where no past was asked, and in results of earlier
        releases.
    traffic
        What is unusual of the rows as a whole beside the same time of the weeks before: ``rows``,
        how many there are, and ``repeats``, how many values are there already. It is a warning.
    learning
        How much of the past is learned, as in ``5 of 28 days``; empty when it is done, and where
        nothing is learned.
    """

    reference: str = ""
    outputs: tuple[FeatureDrift, ...] = ()
    segments: tuple[SegmentResult, ...] = ()
    quality: Quality | None = None
    policy: DriftPolicy = DriftPolicy()
    past_days: int = 0
    learning: str = ""
    trained_days: int = 0
    phase: SaidPhase = ""
    traffic: tuple[Change, ...] = ()

    def _has_drift(self) -> bool:
        statuses = [each.status for each in self.outputs] + [each.status for each in self.segments]
        return super()._has_drift() or "drift" in statuses or bool(self.traffic)

    @property
    def effect(self) -> str:
        """What a drift means for the model, in words; empty where nothing drifted."""
        if self.severity not in ("drift", "warning"):
            return ""
        drifted = [each for each in self.features if each.status == "drift"]
        parts = []
        if drifted and any(each.importance is not None for each in self.features):
            share = sum(each.importance or 0.0 for each in drifted)
            parts.append(f"drifted features have {share:.0%} of the model's importance")
        scored = [each for each in self.outputs if each.score is not None]
        if scored:
            worst = max(scored, key=lambda each: (each.status == "drift", each.score))
            moved = "drifted" if worst.status == "drift" else "did not drift"
            critical = worst.threshold if worst.critical_score is None else worst.critical_score
            score = rounded(worst.score or 0.0, 3)
            far = f"{worst.feature} {score}, critical {rounded(critical, 3)}"
            parts.append(f"the prediction {moved} ({far})")
        return "; ".join(parts)

    @property
    def calibrated_by(self) -> str:
        """Where critical scores come from, in words."""
        if self.policy.mode == "classic":
            return "There are no critical scores: the mode is classic"
        if self.learning:
            return (
                "Critical scores are those of independent draws or, if larger, of past windows; "
                f"learning: {self.learning}{self._origins}"
            )
        if self.past_days:
            return (
                f"Critical scores are from past windows of {self.past_days} days{self._origins}"
                f"{WORDS[self.phase]}"
            )
        return "Critical scores are those of independent draws"

    @property
    def _origins(self) -> str:
        if not self.trained_days:
            return ""
        captured = self.past_days - self.trained_days
        return f" ({self.trained_days} of the training rows, {captured} of captures)"


class ColumnOnset(msgspec.Struct, frozen=True, kw_only=True):
    """Since when a feature or output looks as it does in the window.

    Attributes
    ----------
    column
        Its name.
    at, earliest, latest
        The hour from which on it does, and between which times the change is with 95 %; None when
        it is older than what was looked at.
    """

    column: str
    at: datetime | None = None
    earliest: datetime | None = None
    latest: datetime | None = None


class Onset(msgspec.Struct, frozen=True, kw_only=True):
    """Since when a drift lasts, where, and what changed first.

    Attributes
    ----------
    columns
        What drifted, in the order in which it changed.
    segment
        The declared segment that has most of it; empty when none stands out.
    sentence
        The same in words.
    """

    columns: tuple[ColumnOnset, ...]
    sentence: str
    segment: str = ""


class AnalysisResult(WindowVerdict, frozen=True):
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
    performance
        How well the version predicted by the labels that came so far, in a window of its own; only
        with the newest result for all rows of the main window, and with those of a backfill. Where
        a result is read back, it is the newest restatement (`restated_at`): see
        `modelwatch.services.restating`.
    late
        Whether a missed window was caught up.
    ad_hoc
        Whether someone asked for it; else it is the schedule's.
    manifest
        Digest of the manifest: what it was made of (`modelwatch.domain.verdict.evidence`).
    monitor, owner
        Digest of the model's monitor whose rules held, and who cares for the model; empty without
        one: the deployment's settings held.
    onset
        Of a drift of all rows, since when it lasts; it is looked for when a report is made, and
        stays until the next one. None where the captures do not show it.
    """

    name: str
    model_name: str
    model_version: str
    window_start: datetime
    window_end: datetime
    variant: str = ""
    window: str = ""
    repeated: int = 0
    late: bool = False
    ad_hoc: bool = False
    performance: PerformanceResult | None = None
    duration_seconds: float = 0.0
    has_report: bool = False
    manifest: str = ""
    monitor: str = ""
    owner: str = ""
    onset: Onset | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on a drift: since when it lasts, and what it does."""
        return notes_on(self, self.onset, self.performance)


def notes_on(
    verdict: WindowVerdict, onset: Onset | None, performance: PerformanceResult | None
) -> tuple[str, ...]:
    """Return sentences on a drift: since when it lasts, and what it does."""
    effect = verdict.effect
    estimated = performance.verdict.estimated if performance else None
    if effect and estimated:
        if one := estimated.accuracy:
            effect += f"; estimated accuracy {one.value:.1%} ({one.low:.1%} to {one.high:.1%})"
        if one := estimated.mae:
            value, low, high = (rounded(each, 4) for each in (one.value, one.low, one.high))
            effect += f"; estimated mean error {value} ({low} to {high})"
    return tuple(each for each in (onset.sentence if onset else "", effect) if each)


class LastResult(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of the newest result of a window and variant.

    Attributes
    ----------
    window_end
        End of the newest window: what ended before need not be caught up.
    severity, reason, rows
        What else the verdict says; a severity of None: what was remembered before it was kept.
    segments
        Names of the segments that metrics show.
    reported_at, reported_features
        When the newest report was made, by its window's end, and which drifted features it shows.
    onset
        Since when the drift lasts.
    """

    name: str
    window_end: datetime
    status: Status
    severity: Severity | None = None
    reason: str = ""
    rows: int = 0
    segments: tuple[str, ...] = ()
    reported_at: datetime | None = None
    reported_features: tuple[str, ...] = ()
    onset: Onset | None = None


_NAME = re.compile(
    r"(?P<model>.+)\.(?P<version>[^.]+)\.(?P<end>\d{8}T\d{6}Z)"
    r"(?:\.(?P<window>P[0-9A-Z]+)(?:-(?P<ad_hoc>[0-9a-f]+))?(?:\.(?P<variant>[^.]+))?)?"
)


class ResultName(NamedTuple):
    """The parts of a result's name.

    ``ad_hoc``: hexadecimal digits, different for each analysis on request, so that it never
    replaces the schedule's result of the same window.
    """

    model_name: str
    model_version: str
    window_end: datetime
    window: str = ""
    variant: str = ""
    ad_hoc: str = ""

    def __str__(self) -> str:
        """Return the name under which a result is listed and fetched.

        Examples
        --------
        >>> str(ResultName("wine", "3", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "PT1H"))
        'wine.3.20260102T030405Z.PT1H'
        >>> str(ResultName("wine", "3", datetime(2026, 1, 2, tzinfo=UTC), "PT1H", ad_hoc="1f"))
        'wine.3.20260102T000000Z.PT1H-1f'
        """
        return f"{self.model_name}.{dotless(self.model_version)}.{self.ending}"

    @property
    def ending(self) -> str:
        """What the name says of the window: names of a version sort by it as by time."""
        window = f"{self.window}-{self.ad_hoc}" if self.ad_hoc else self.window
        parts = (f"{self.window_end:%Y%m%dT%H%M%SZ}", window, dotless(self.variant))
        return ".".join(part for part in parts if part)

    @classmethod
    def parse(cls, name: str) -> ResultName | None:
        """Return the parts of ``name``; None when it is no result's.

        Examples
        --------
        >>> ResultName.parse("my.wine.1%2E5.20260102T030405Z.PT1H.champion")[:2]
        ('my.wine', '1.5')
        >>> ResultName.parse("wine.3.99999999T999999Z.PT1H")
        """
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        try:
            end = datetime.strptime(found["end"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:  # such as the 99th of month 99
            return None
        version, variant = unescape(found["version"]), unescape(found["variant"] or "")
        ad_hoc = found["ad_hoc"] or ""
        return cls(found["model"], version, end, found["window"] or "", variant, ad_hoc)
