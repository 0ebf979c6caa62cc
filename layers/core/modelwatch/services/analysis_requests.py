"""What to analyze: the requests, and the tasks that follow from them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

import msgspec

from modelwatch.domain.faults import UNREADABLE, Blame, refusal, refuse_repeated_names
from modelwatch.domain.monitors import Monitored
from modelwatch.domain.names import Name
from modelwatch.domain.records import time_faults
from modelwatch.domain.verdict.rules import AnalysisRules
from modelwatch.domain.windows import Window
from modelwatch.errors import Fault, InvalidInputError

START_SECONDS = 900.0
"""Lambda starts an asked analysis by then, or never."""

MOST_MIN_ROWS = 1_000_000
"""So many rows are enough for any verdict."""


class AnalysisRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which window to analyze, and how. What is not given comes from the settings.

    Attributes
    ----------
    model_name
        Only this model; by default all.
    model_version
        Only this version of it; by default all that have captures in the window, and the one that
        serves.
    window_seconds
        Length of the window.
    window_end
        Its end, with a time zone; by default now, less the time that captures need to arrive.
    min_rows
        Fewest distinct records that allow a verdict; below, the status is ``unknown``.
    with_report
        Make the HTML report even when nothing drifted.
    """

    model_name: Name | None = None
    model_version: Name | None = None
    # whole numbers; to JSON Schema 60.0 is one, too, and msgspec's int refuses it
    window_seconds: Annotated[float, msgspec.Meta(ge=1, le=366 * 86_400, multiple_of=1)] | None = (
        None
    )
    window_end: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    min_rows: Annotated[float, msgspec.Meta(ge=2, le=MOST_MIN_ROWS, multiple_of=1)] | None = None
    with_report: bool = False


_decode = msgspec.json.Decoder(AnalysisRequest).decode


def parse_request(body: bytes) -> AnalysisRequest:
    """Read the body of ``POST /analyze``; an empty one asks for the defaults.

    Raises
    ------
    InvalidInputError
        When it is not such a request; names all its faults.
    """
    if not body.strip():
        return AnalysisRequest()
    try:
        request = _decode(body)
    except UNREADABLE as error:
        raise refusal(body, AnalysisRequest, error, _further) from None
    refuse_repeated_names(body, request)
    faults = list(_end_faults(request.window_end)) if request.window_end else []
    if request.model_version is not None and request.model_name is None:
        faults.append(Fault("model_version", "is of no model; give model_name, too"))
    if faults:
        raise InvalidInputError.of(faults)
    return request


def _further(value: Any, found: Sequence[Blame]) -> Iterator[Fault]:
    """Yield what is wrong with the time, where it is one and something else is wrong."""
    if isinstance(value, dict) and not any(blame.path[:1] == ("window_end",) for blame in found):
        end = msgspec.convert(value.get("window_end"), datetime | None)
        yield from _end_faults(end) if end else ()


def _end_faults(end: datetime) -> Iterator[Fault]:
    # what has not been yet would be a result without rows, newer than all others
    return time_faults("window_end", end, time.time() * 1000)


@dataclass(frozen=True, slots=True)
class AnalysisTask:
    """A window of one model version, and what is asked about it.

    ``monitored``: how the model is monitored; ``min_rows``: of the request, in place of its rule's;
    ``main``: metrics by feature are those of this window; ``present``: it ends about now;
    ``late``: it was due before; ``past``: it is made up for, with the performance that labels show
    now, and an empty one has no result; ``ad_hoc``: what marks the results, if someone asked for
    them.
    """

    name: str
    version: str
    window: Window
    title: str
    monitored: Monitored
    min_rows: int | None = None
    main: bool = True
    present: bool = True
    late: bool = False
    past: bool = False
    with_report: bool = False
    ad_hoc: str = ""

    @property
    def rules(self) -> AnalysisRules:
        """How the window is evaluated."""
        rules = self.monitored.rules
        return rules if self.min_rows is None else replace(rules, min_rows=self.min_rows)
