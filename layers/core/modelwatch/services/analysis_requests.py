"""What is to be analyzed: what somebody asks for, and the tasks that come of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec

from modelwatch.domain.analysis_rules import AnalysisRules
from modelwatch.domain.records import invalid_json
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError


class AnalysisRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which window to analyze, and how. What is not given comes from the settings.

    Attributes
    ----------
    window_seconds
        Length of the window.
    window_end
        Its end, with a time zone; by default now, less the time that captures need to arrive.
    min_rows
        Fewest distinct records that allow a verdict; below, the answer is ``unknown``.
    with_report
        Make the HTML report even when nothing drifted.
    """

    window_seconds: Annotated[int, msgspec.Meta(ge=1, le=366 * 86_400)] | None = None
    window_end: datetime | None = None
    min_rows: Annotated[int, msgspec.Meta(ge=2)] | None = None
    with_report: bool = False


def parse_request(body: bytes) -> AnalysisRequest:
    """Read the body of ``POST /analyze``; an empty one asks for the defaults.

    Raises
    ------
    InvalidInputError
        When it is not such a request; names the field.
    """
    if not body.strip():
        return AnalysisRequest()
    try:
        request = msgspec.json.decode(body, type=AnalysisRequest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_json(error) from None
    if request.window_end is not None and request.window_end.tzinfo is None:
        raise InvalidInputError("window_end", "has no time zone; end it with 'Z' for UTC")
    return request


@dataclass(frozen=True, slots=True)
class AnalysisTask:
    """A window of one model version, and what is asked about it.

    ``main``: metrics by feature are those of this window; ``present``: it ends about now;
    ``late``: it was due before.
    """

    name: str
    version: str
    window: Window
    title: str
    rules: AnalysisRules
    main: bool = True
    present: bool = True
    late: bool = False
    with_report: bool = False
    replace: bool = False
