"""Alarms of one length of window: from the first window that drifts to the last one in a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from modelwatch.domain.verdict.results import Severity, Status


class WindowStatus(msgspec.Struct, frozen=True):
    """The verdict on a window that ends at ``at``."""

    at: datetime
    status: Status
    drifted_features: tuple[str, ...] = ()
    severity: Severity = "ok"


class AlarmSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A drift that lasted.

    Attributes
    ----------
    begins, ends
        Ends of its first and its last window.
    windows
        How many windows drifted.
    is_over
        Whether a window after it was ok.
    drifted_features
        All that drifted in it, those that drifted first before the others.
    """

    begins: datetime
    ends: datetime
    windows: int
    is_over: bool
    drifted_features: tuple[str, ...]

    def overlaps(self, other: AlarmSpan) -> bool:
        """Return whether a window may be of both."""
        return self.begins <= other.ends and other.begins <= self.ends


def alarm_spans(verdicts: Iterable[WindowStatus]) -> Iterator[AlarmSpan]:
    """Yield the episodes of verdicts that are in the order of time.

    What is unknown neither begins nor ends one: nothing is known of it.

    Examples
    --------
    >>> from datetime import UTC, timedelta
    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> days = ["ok", "drift", "unknown", "drift", "ok", "drift"]
    >>> verdicts = [WindowStatus(start + timedelta(days=i), day) for i, day in enumerate(days)]
    >>> [(e.begins.day, e.ends.day, e.windows, e.is_over) for e in alarm_spans(verdicts)]
    [(2, 4, 2, True), (6, 6, 1, False)]
    """
    drifting: list[WindowStatus] = []
    for verdict in verdicts:
        if verdict.status == "drift":
            drifting.append(verdict)
        elif verdict.status == "ok" and drifting:
            yield _span(drifting, is_over=True)
            drifting = []
    if drifting:
        yield _span(drifting, is_over=False)


def _span(drifting: Sequence[WindowStatus], *, is_over: bool) -> AlarmSpan:
    features = [name for verdict in drifting for name in verdict.drifted_features]
    return AlarmSpan(
        begins=drifting[0].at,
        ends=drifting[-1].at,
        windows=len(drifting),
        is_over=is_over,
        drifted_features=tuple(dict.fromkeys(features)),
    )
