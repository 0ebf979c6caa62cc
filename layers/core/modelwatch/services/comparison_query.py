"""The query of ``GET /compare``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from modelwatch.domain.comparison import DIRECTIONS
from modelwatch.domain.durations import parse_duration
from modelwatch.domain.faults import blames
from modelwatch.domain.names import Name
from modelwatch.domain.records import time_faults
from modelwatch.domain.windows import Window
from modelwatch.errors import Fault, InvalidInputError


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

    def asked_window(self) -> Window:
        """Return the window."""
        length = parse_duration(self.window, "window")
        end = self.until or datetime.now(UTC)
        return Window.ending(end, seconds=length.total_seconds())


_decoder = msgspec.json.Decoder(ComparisonRequest)


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
    given = dict(query)
    found = list(blames(given, _decoder.type))
    faults = [blame.fault() for blame in found]
    wrong = {blame.path[0] for blame in found}
    right = {name: each for name, each in given.items() if name not in wrong}
    until = msgspec.convert(right.get("until"), datetime | None)
    faults += _faults(right.get("window", "PT1H"), until)
    if faults:
        raise InvalidInputError.of(faults)
    return msgspec.convert(given, _decoder.type)


def _faults(window: str, until: datetime | None) -> Iterator[Fault]:
    """Yield what types alone cannot say."""
    try:
        parse_duration(window, "window")
    except InvalidInputError as error:
        yield from error.faults
    if until is not None:
        yield from time_faults("until", until)
