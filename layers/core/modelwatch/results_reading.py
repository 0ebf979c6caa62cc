"""Reads results back by the analyze API: `modelwatch.results`, and what the client has for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import httpx
import msgspec

from modelwatch.calls import Calls
from modelwatch.domain.durations import parse_duration
from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch.errors import InvalidInputError
from modelwatch.result_table import Results
from modelwatch.sdk.values import time_of
from modelwatch.services.reading import Models, ModelState, ResultPage
from modelwatch.services.results_query import MOST_RESULTS


class Analysis(msgspec.Struct, frozen=True):
    """What an analysis found: results, and by model version why it has none."""

    results: list[AnalysisResult]
    failures: dict[str, str] = {}


decode_analysis = msgspec.json.Decoder(Analysis).decode
_models = msgspec.json.Decoder(Models).decode
_page = msgspec.json.Decoder(ResultPage).decode


def results(
    model: str,
    *,
    analyze: str,
    version: str = "",
    since: str | datetime | timedelta = "P7D",
    until: str | datetime | None = None,
    limit: int | None = None,
    auth: httpx.Auth | None = None,
) -> Results:
    """Return a model's results: scores, critical scores, verdicts and performance over time.

    They come from the analyze API and not from the bucket: who may see results can read them so,
    on every S3 and cloud, without names of buckets, further rights or libraries.

    Parameters
    ----------
    model
        Its name.
    analyze
        Address of the analyze API; `modelwatch urls` prints it.
    version, since, until, limit
        As `Client.results` takes them.
    auth
        What a closed API asks for, such as ``ApiAuth(key)``.

    Raises
    ------
    ApiError
        When there is no result of that name, or the API refuses or does not respond.
    InvalidInputError
        When a time or the limit is none.

    Examples
    --------
    ::

        table = modelwatch.results("wine", since="P30D", analyze=analyze_url).to_pandas()
        ash = table[table.feature == "ash"].set_index("window_end")
        ash[["score", "critical_score"]].plot()
    """
    from modelwatch.client import Client

    with Client(analyze=analyze, auth=auth) as client:
        return client.results(model, version=version, since=since, until=until, limit=limit)


class ResultCalls:
    """The calls that read results."""

    _calls: Calls
    _model_name: str

    def models(self) -> list[ModelState]:
        """Return every model version with its newest verdicts, the worst first. Raises ApiError."""
        return self._calls.call("analyze", "GET", "/models", _models, repeat=True).models

    def results(
        self,
        model: str = "",
        *,
        version: str = "",
        since: str | datetime | timedelta = "P7D",
        until: str | datetime | None = None,
        limit: int | None = None,
    ) -> Results:
        """Return a model's results, newest first.

        Parameters
        ----------
        model
            Its name; by default the client's ``model_name``. Without one, the 50 newest results of
            all models are returned, whatever else is given.
        version
            Only of this version.
        since, until
            Only windows that end after the one and not after the other: times with a time zone;
            ``since`` may be a duration before ``until``, such as ``P7D``. By default up to now.
        limit
            Only so many, the newest; by default all.

        Raises
        ------
        ApiError
            When there is no result of that name, or the API refuses or does not respond.
        InvalidInputError
            When a time or the limit is none.
        """
        name = model or self._model_name
        if not name:
            found = self._calls.call("analyze", "GET", "/reports", decode_analysis, repeat=True)
            return Results(found.results)
        pages = self._pages(name, version, since_and_until(since, until), limit)
        return Results(result for page in pages for result in page)

    def _pages(
        self,
        model: str,
        version: str,
        span: tuple[datetime, datetime | None],
        limit: int | None,
    ) -> Iterator[list[AnalysisResult]]:
        if limit is not None and limit < 1:
            raise InvalidInputError("limit", "is not above 0")
        since, until = span
        query = {"from": since.isoformat()}
        if until is not None:
            query["to"] = until.isoformat()
        if version:
            query["version"] = version
        left = limit
        while True:
            query["limit"] = str(MOST_RESULTS if left is None else min(left, MOST_RESULTS))
            path = f"/models/{quote(model, safe='')}/results?{urlencode(query)}"
            page = self._calls.call("analyze", "GET", path, _page, repeat=True)
            yield page.results
            left = None if left is None else left - len(page.results)
            if not page.next_page or left == 0:
                return
            query["page"] = page.next_page


def since_and_until(
    since: str | datetime | timedelta, until: str | datetime | None
) -> tuple[datetime, datetime | None]:
    """Return the times of ``since``, which may be a duration before ``until``, and ``until``.

    Raises InvalidInputError when one is neither, or they are not in order.
    """
    end = None if until is None else time_of(until, "until")
    if isinstance(since, str) and since.startswith("P"):
        since = parse_duration(since, "since")
    if isinstance(since, timedelta):
        start = (end or datetime.now(UTC)) - since
    else:
        start = time_of(since, "since")
    if end is not None and start >= end:
        raise InvalidInputError("since", "is not before 'until'")
    return start, end
