"""Reads results back by the analyze API: what the client has for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from modelwatch.calls import ApiError, Calls
from modelwatch.domain.durations import parse_duration
from modelwatch.errors import InvalidInputError
from modelwatch.sdk.values import time_of
from modelwatch.services.contract import PATIENCE_SECONDS

if TYPE_CHECKING:
    from modelwatch.result_forms import Analysis
    from modelwatch.result_table import Results
    from modelwatch.services.model_states import Models, ModelState

_LOG = logging.getLogger(__name__)


def ask(
    calls: Calls,
    body: object,
    wait_seconds: float,
    on_wait: Callable[[float], object] = lambda _seconds: None,
) -> Analysis:
    """Have an analysis made, and wait for it; ``on_wait`` hears the seconds waited so far.

    Raises ApiError when it failed or could not be asked for, or is not done in time.
    """
    from modelwatch.result_forms import analysis_or_name

    found = calls.call("analyze", "POST", "/analyze", analysis_or_name, body)
    waited, pause = PATIENCE_SECONDS, 1.0
    while isinstance(found, str):
        path = f"/analyze/{found}"
        if waited >= wait_seconds:
            problem = f"the analysis is not done after {waited:.0f} s; it goes on, and is here then"
            raise ApiError(path, 202, problem)
        calls.pause(pause)
        waited += pause
        on_wait(waited)
        pause = min(pause * 1.5, 10.0)
        found = calls.call("analyze", "GET", path, analysis_or_name, repeat=True)
    return found


class ResultCalls:
    """The calls that read results."""

    _calls: Calls

    def models(
        self,
        model: str = "",
        *,
        version: str = "",
        severity: str = "",
        owner: str | None = None,
        since: str | datetime | timedelta | None = None,
        until: str | datetime | None = None,
        limit: int | None = None,
    ) -> list[ModelState]:
        """Return model versions with their newest verdicts, the worst first.

        Parameters
        ----------
        model, version
            Only of this model, or this version; by default all.
        severity
            Only versions that stand so: drift, warning, unknown or ok.
        owner
            Only models whose monitor names this owner; empty: those without one.
        since, until
            Only versions whose newest window ends after the one and not after the other; as for
            `results`.
        limit
            Only so many, the worst; by default all.

        Raises
        ------
        ApiError
            When the API refuses or does not respond.
        InvalidInputError
            When a time or the limit is none.
        """
        pages = self.model_pages(
            model, version=version, severity=severity, owner=owner,
            since=since, until=until, limit=limit,
        )  # fmt: skip
        return [each for page in pages for each in page.models]

    def model_pages(
        self,
        model: str = "",
        *,
        version: str = "",
        severity: str = "",
        owner: str | None = None,
        since: str | datetime | timedelta | None = None,
        until: str | datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Models]:
        """Yield the versions of `models` a page at once; each page knows how many there are."""
        from modelwatch.result_forms import models
        from modelwatch.services.results_query import MOST_RESULTS

        if limit is not None and limit < 1:
            raise InvalidInputError("limit", "is not above 0")
        start, end = since_and_until(since, until)
        given = {
            "model_name": model or None,
            "version": version or None,
            "severity": severity or None,
            "owner": owner,
            "from": start and start.isoformat(),
            "to": end and end.isoformat(),
        }
        query = {name: value for name, value in given.items() if value is not None}
        while limit is None or limit > 0:
            query["limit"] = str(min(limit or MOST_RESULTS, MOST_RESULTS))
            path = f"/models?{urlencode(query)}"
            page = self._calls.call("analyze", "GET", path, models, repeat=True)
            yield page
            if not page.next_page:
                return
            query["page"] = page.next_page
            limit = None if limit is None else limit - len(page.models)

    def results(
        self,
        model: str = "",
        *,
        version: str = "",
        since: str | datetime | timedelta | None = "P7D",
        until: str | datetime | None = None,
        limit: int | None = None,
    ) -> Results:
        """Return results, newest first.

        Parameters
        ----------
        model
            Only of this one; by default of all models.
        version
            Only of this version.
        since, until
            Only windows that end after the one and not after the other: times with a time zone;
            ``since`` may be a duration before ``until``, such as ``P7D``, and None is the first
            result. By default up to now.
        limit
            Only so many, the newest; by default all.

        Raises
        ------
        ApiError
            When there is no result of that name, or the API refuses or does not respond.
        InvalidInputError
            When a time or the limit is none.
        """
        from modelwatch.result_table import Results

        pages = self.result_pages(model, version=version, since=since, until=until, limit=limit)
        return Results(result for page in pages for result in page)

    def result_pages(
        self,
        model: str = "",
        *,
        version: str = "",
        since: str | datetime | timedelta | None = "P7D",
        until: str | datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Results]:
        """Yield the results of `results` a page at once, as they are read."""
        from modelwatch import result_forms
        from modelwatch.result_table import Results
        from modelwatch.services.results_query import MOST_RESULTS

        if limit is not None and limit < 1:
            raise InvalidInputError("limit", "is not above 0")
        start, end = since_and_until(since, until)
        given = {
            "from": start and start.isoformat(),
            "to": end and end.isoformat(),
            "version": version,
        }
        query = {name: value for name, value in given.items() if value}
        base = f"/models/{quote(model, safe='')}/results" if model else "/reports"
        while limit is None or limit > 0:
            query["limit"] = str(min(limit or MOST_RESULTS, MOST_RESULTS))
            path = f"{base}?{urlencode(query)}"
            page = self._calls.call("analyze", "GET", path, result_forms.page, repeat=True)
            for each in page.damaged:
                _LOG.warning("%s", each)
            yield Results(page.results)
            if not page.next_page:
                return
            query["page"] = page.next_page
            limit = None if limit is None else limit - len(page.results)


def since_and_until(
    since: str | datetime | timedelta | None, until: str | datetime | None
) -> tuple[datetime | None, datetime | None]:
    """Return the times of ``since``, which may be a duration before ``until``, and ``until``.

    Raises InvalidInputError when one is neither, or they are not in order.
    """
    end = None if until is None else time_of(until, "until")
    if isinstance(since, str) and since.startswith("P"):
        since = parse_duration(since, "since")
    start: datetime | None = None
    if isinstance(since, timedelta):
        start = (end or datetime.now(UTC)) - since
    elif since is not None:
        start = time_of(since, "since")
    if start is not None and end is not None and start >= end:
        raise InvalidInputError("since", "is not before 'until'")
    return start, end
