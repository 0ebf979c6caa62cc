"""Analyses and comparisons on request: each has a name, and goes on when no caller waits.

API Gateway waits for 29 s at most, and a Lambda function is frozen once it has responded. So a run
is an invocation of its own. The caller gets its response where the run is done soon, and otherwise
the name under which it will be.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from modelwatch.domain.comparison import Comparison
from modelwatch.errors import (
    AskedRunError,
    InvalidInputError,
    ModelwatchError,
    NotFoundError,
    http_status,
    public_text,
    stack_of,
)
from modelwatch.ports.analysis import AskedStore
from modelwatch.services.analysis_requests import START_SECONDS, AnalysisRequest
from modelwatch.services.analyze import Analysis
from modelwatch.services.comparison_query import ComparisonRequest
from modelwatch.services.contract import PATIENCE_SECONDS, RunningAnalysis

_LOG = logging.getLogger(__name__)

RUN_SECONDS = 900.0
"""Lambda ends a run by then, where it does not say when."""

_NAME = re.compile(r"[0-9a-f]{32}")
_MARK_DIGITS = 8
"""So much of a name is in the names of its results; who reads those must not know the rest."""
_GRACE = timedelta(seconds=10)
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 1.0


class _Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of both was asked for."""

    asked_at: datetime
    request: AnalysisRequest | None = None
    comparison: ComparisonRequest | None = None


class _Started(msgspec.Struct, frozen=True):
    ends_by: datetime


class _Done(msgspec.Struct, frozen=True):
    """How it ended: results or a comparison as JSON, or the status and the sentence of an error."""

    analysis: msgspec.Raw = msgspec.Raw()
    status: int = 200
    detail: str = ""


_encode = msgspec.json.Encoder().encode
_decode_asked = msgspec.json.Decoder(_Asked).decode
_decode_started = msgspec.json.Decoder(_Started).decode
_decode_done = msgspec.json.Decoder(_Done).decode


class _Analyze(Protocol):
    def __call__(self, request: AnalysisRequest, at: datetime, mark: str) -> Analysis: ...


class _Compare(Protocol):
    def __call__(self, request: ComparisonRequest, at: datetime) -> Comparison: ...


class Asking:
    """Has analyses and comparisons run, and knows what became of each.

    Parameters
    ----------
    analyze
        Makes the results: the time at which it was asked, and what marks their names.
    compare
        Compares, as of the time at which it was asked.
    start
        Has `run` called with a name, elsewhere; None: it is called here, and the caller waits.
    """

    def __init__(
        self,
        store: AskedStore,
        analyze: _Analyze,
        compare: _Compare,
        start: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._analyze = analyze
        self._compare = compare
        self._start = start or self.run
        self._clock = clock
        self._sleep = sleep

    def ask(self, request: AnalysisRequest | ComparisonRequest) -> msgspec.Raw | RunningAnalysis:
        """Have a window analyzed, or two variants compared.

        Return the `Analysis` or `Comparison` as JSON, or its name where it takes longer.

        Raises
        ------
        AskedRunError, InvalidInputError
            When the run failed.
        StoreError, StartError
            When it could not be asked for.
        """
        name = secrets.token_hex(16)
        # where the start fails, no one knows the name, and S3 deletes this in time
        asked = (
            _Asked(self._now(), comparison=request)
            if isinstance(request, ComparisonRequest)
            else _Asked(self._now(), request)
        )
        self._store.write(name, "request", _encode(asked))
        self._start(name)
        deadline = self._clock() + PATIENCE_SECONDS
        pause = _FIRST_PAUSE_SECONDS
        while isinstance(found := self.find(name), RunningAnalysis):
            if self._clock() + pause >= deadline:
                break
            self._sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        return found

    def find(self, name: str) -> msgspec.Raw | RunningAnalysis:
        """Return what became of an asked analysis: as `ask`, at once.

        Raises
        ------
        NotFoundError
            When there is none of that name.
        AskedRunError
            When the run failed, or ended without a word.
        InvalidInputError
            When it found that what was asked cannot be done.
        """
        if not _NAME.fullmatch(name):
            raise NotFoundError(f"there is no asked analysis '{name[:100]}'")
        if (found := self._read(name, "done")) is not None:
            done = _decode_done(found)
            if done.status == 400:
                raise InvalidInputError("", done.detail)
            if done.status != 200:
                raise AskedRunError(done.status, done.detail)
            return done.analysis
        if (found := self._read(name, "request")) is None:
            raise NotFoundError(f"there is no asked analysis '{name}'")
        asked = _decode_asked(found)
        if (found := self._read(name, "started")) is not None:
            if self._now() > _decode_started(found).ends_by + _GRACE:
                raise AskedRunError(
                    500,
                    "the analysis ended without a result: it took too long or too much memory; "
                    "the function's log says more",
                )
        elif self._now() > asked.asked_at + timedelta(seconds=START_SECONDS) + _GRACE:
            raise AskedRunError(503, "the analysis was never started; ask again")
        return RunningAnalysis(name)

    def run(self, name: str, seconds: float = RUN_SECONDS) -> None:
        """Make the results of an asked analysis, once: Lambda may deliver an event twice.

        Parameters
        ----------
        seconds
            The time that there is for it.

        Raises
        ------
        StoreError
            When what was asked cannot be read, or what came of it not be kept.
        """
        asked = _decode_asked(self._store.read(name, "request"))
        ends_by = self._now() + timedelta(seconds=seconds)
        if not self._store.write(name, "started", _encode(_Started(ends_by))):
            _LOG.warning("an analysis that was asked for is not run a second time")
            return
        try:
            found: Analysis | Comparison
            if asked.comparison is not None:
                found = self._compare(asked.comparison, asked.asked_at)
            else:
                request = asked.request or AnalysisRequest()
                found = self._analyze(request, asked.asked_at, name[:_MARK_DIGITS])
            done = _Done(msgspec.Raw(_encode(found)))
        except InvalidInputError as error:
            done = _Done(msgspec.Raw(b"null"), http_status(error), public_text(error))
        except ModelwatchError as error:
            _LOG.error("an analysis that was asked for failed: %s", error)
            done = _Done(msgspec.Raw(b"null"), http_status(error), public_text(error))
        except Exception as error:  # noqa: BLE001 - a caller waits for how it ended
            _LOG.error("an analysis that was asked for failed:\n%s", stack_of(error))
            done = _Done(msgspec.Raw(b"null"), 500, "the function's log says why")
        self._store.write(name, "done", _encode(done))

    def _read(self, name: str, part: str) -> bytes | None:
        try:
            return self._store.read(name, part)
        except NotFoundError:
            return None

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
