"""The query of ``GET /models/{name}/results`` and ``GET /reports``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec

from modelwatch.domain.names import Name
from modelwatch.domain.records import time_faults
from modelwatch.domain.verdict.results import ResultName
from modelwatch.errors import Fault, InvalidInputError
from modelwatch.services.queries import read_query, whole_number

MOST_RESULTS = 200
"""Of a page."""

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with a time zone."""


class ResultsRequest(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"since": "from", "until": "to"},
):
    """What is asked in the query of ``GET /models/{name}/results`` and ``GET /reports``.

    Attributes
    ----------
    version
        Only of this model version.
    from, to
        Only windows that end after the one, and not after the other: times with a time zone.
    limit
        Most results of a page; large results make it shorter.
    page
        Go on where another page ended: its ``next_page``.
    """

    version: Name | None = None
    since: Time | None = None
    until: Time | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_RESULTS)] = 50
    page: str = ""

    def place(self, model_name: str) -> ResultName | None:
        """Return the result after which the page begins; None for the first. No name: all models.

        Raises InvalidInputError when the page is no page of the model.
        """
        if not self.page:
            return None
        name = ResultName.parse(self.page)
        if name is None or model_name not in ("", name.model_name):
            raise InvalidInputError(
                "page",
                f"is no page of {model_name or 'results'}; give another page's next_page",
            )
        return name


def parse_results_query(query: Mapping[str, str]) -> ResultsRequest:
    """Read the query of ``GET /models/{name}/results``.

    Raises
    ------
    InvalidInputError
        When it is no such request; names all parameters that are wrong.

    Examples
    --------
    >>> parse_results_query({"version": "3", "limit": "10"}).limit
    10
    """
    return read_query(whole_number(query, "limit"), ResultsRequest, time_span_faults)


def time_span_faults(right: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with the times ``from`` and ``to`` of a query."""
    times = {
        name: msgspec.convert(right[name], datetime) for name in ("from", "to") if name in right
    }
    faults = [fault for name, time in times.items() for fault in time_faults(name, time)]
    if not faults and len(times) == 2 and times["from"] >= times["to"]:
        faults.append(Fault("from", "is not before 'to'"))
    yield from faults
