"""The query of ``GET /compare``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from modelwatch.domain.comparison import DIRECTIONS
from modelwatch.domain.durations import parse_duration
from modelwatch.domain.names import Name
from modelwatch.domain.records import time_faults
from modelwatch.domain.windows import Window
from modelwatch.errors import Fault, InvalidInputError
from modelwatch.services.queries import read_query


class ComparisonRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked in the query of ``GET /compare``.

    Attributes
    ----------
    a, b
        Aliases or versions.
    window
        Length of the window, in ISO 8601, such as PT1H or P7D.
    until
        Its end, with a time zone; by default now.
    model_name
        Of the model; by default the one that the deployment watches.
    metric
        The one that makes the verdict; empty: see `modelwatch.services.comparison.Comparer`.
    """

    a: Name
    b: Name
    window: str = "PT1H"
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    model_name: Name | None = None
    metric: Literal["", *DIRECTIONS] = ""  # type: ignore[valid-type]

    def asked_window(self, now: datetime) -> Window:
        """Return the window."""
        length = parse_duration(self.window, "window")
        return Window.ending(self.until or now, seconds=length.total_seconds())


def parse_query(query: Mapping[str, str]) -> ComparisonRequest:
    """Read the query of ``GET /compare``.

    Raises
    ------
    InvalidInputError
        When it is no such request; names all parameters that are wrong.

    Examples
    --------
    >>> parse_query({"a": "champion", "b": "challenger", "window": "P1D"}).window
    'P1D'
    """
    return read_query(query, ComparisonRequest, _faults)


def _faults(right: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what types alone cannot say."""
    try:
        parse_duration(right.get("window", "PT1H"), "window")
    except InvalidInputError as error:
        yield from error.faults
    if "until" in right:
        yield from time_faults(
            "until", msgspec.convert(right["until"], datetime), time.time() * 1000
        )
