"""The query of ``GET /compare``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.records import invalid_json
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError


class ComparisonRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked in the query of ``GET /compare``.

    Attributes
    ----------
    a, b
        Aliases or versions.
    window
        Length of the window, in ISO 8601.
    until
        Its end, with a time zone; by default now.
    metric
        The one that decides; empty: see `modelwatch.services.comparison.Comparer`.
    """

    a: str
    b: str
    window: str = "PT1H"
    until: datetime | None = None
    metric: str = ""

    def asked_window(self) -> Window:
        """Return the window; raises InvalidInputError when it cannot be read."""
        if self.until is not None and self.until.tzinfo is None:
            raise InvalidInputError("until", "has no time zone; end it with 'Z' for UTC")
        length = parse_duration(self.window, "window")
        end = self.until or datetime.now(UTC)
        return Window.ending(end, seconds=length.total_seconds())


def parse_query(query: Mapping[str, str]) -> ComparisonRequest:
    """Read the query of ``GET /compare``.

    Raises
    ------
    InvalidInputError
        When it is no such request; names the parameter.

    Examples
    --------
    >>> parse_query({"a": "champion", "b": "challenger", "window": "P1D"}).window
    'P1D'
    """
    try:
        return msgspec.convert(dict(query), ComparisonRequest, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_json(error) from None
