"""The query of ``GET /models``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec

from modelwatch.domain.names import Name
from modelwatch.domain.verdict.results import ResultName, Severity
from modelwatch.domain.verdict.standing import WORST_FIRST
from modelwatch.errors import InvalidInputError
from modelwatch.services.queries import read_query, whole_number
from modelwatch.services.results_query import MOST_RESULTS, Time, time_span_faults


class ModelPlace(NamedTuple):
    """Where a model version stands in the list: the worst first, of these the newest."""

    rank: int
    age: float
    model_name: str
    model_version: str


class ModelsRequest(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"since": "from", "until": "to"},
):
    """What is asked in the query of ``GET /models``.

    Attributes
    ----------
    model_name, version
        Only of this model, or of this version.
    severity
        Only versions that stand so.
    owner
        Only models that their monitor gives this owner; empty: those without one.
    from, to
        Only versions whose newest window ends after the one, and not after the other: times with a
        time zone.
    limit
        Most versions of a page.
    page
        Go on where another page ended: its ``next_page``.
    """

    model_name: Name | None = None
    version: Name | None = None
    severity: Severity | None = None
    owner: str | None = None
    since: Time | None = None
    until: Time | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_RESULTS)] = 50
    page: str = ""

    def place(self) -> ModelPlace | None:
        """Return the place after which the page begins; None for the first.

        Raises InvalidInputError when the page is none.
        """
        if not self.page:
            return None
        said, _, name = self.page.partition(".")
        place = ResultName.parse(name)
        severity = next((each for each in WORST_FIRST if each == said), None)
        if place is None or severity is None:
            raise InvalidInputError("page", "is no page of models; give another page's next_page")
        return place_of(severity, place.window_end, place.model_name, place.model_version)


def place_of(
    severity: Severity, window_end: datetime, model_name: str, model_version: str
) -> ModelPlace:
    """Return where a version stands in the list."""
    return ModelPlace(WORST_FIRST[severity], -window_end.timestamp(), model_name, model_version)


def parse_models_query(query: Mapping[str, str]) -> ModelsRequest:
    """Read the query of ``GET /models``.

    Raises
    ------
    InvalidInputError
        When it is no such request; names all parameters that are wrong.

    Examples
    --------
    >>> parse_models_query({"severity": "drift", "limit": "10"}).severity
    'drift'
    """
    return read_query(whole_number(query, "limit"), ModelsRequest, time_span_faults)
