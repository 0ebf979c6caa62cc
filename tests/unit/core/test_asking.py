"""Analyses on request: a response soon, or a name; each run once, each with a clear end."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
import pytest

from analysis_stage import AnalysisStage
from modelwatch.adapters.results.asked import S3AskedStore
from modelwatch.domain.comparison import Comparison
from modelwatch.errors import (
    AskedRunError,
    InvalidInputError,
    MonitorError,
    NotFoundError,
    StartError,
    http_status,
)
from modelwatch.services.analysis_requests import START_SECONDS, AnalysisRequest
from modelwatch.services.asking import Asking
from modelwatch.services.comparison_query import ComparisonRequest
from modelwatch.services.contract import PATIENCE_SECONDS, RunningAnalysis


class Elsewhere:
    """Asking whose runs are started in another place, and its clock."""

    def __init__(self, stage: AnalysisStage, analyze=None, at_pause: int | None = None) -> None:
        self.stage = stage
        self.store = S3AskedStore(stage.s3, "reports")
        self.started: list[str] = []
        self.pauses: list[float] = []
        self._at_pause = at_pause
        self.asking = Asking(
            self.store,
            analyze or stage.service.analyze,
            stage.compare,
            self.started.append,
            clock=lambda: stage.now.timestamp(),
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.pass_time(seconds)
        if len(self.pauses) == self._at_pause:
            self.asking.run(self.started[0])

    def pass_time(self, seconds: float) -> None:
        self.stage.now += timedelta(seconds=seconds)

    def ask(self) -> str:
        found = self.asking.ask(AnalysisRequest(window_seconds=60))
        assert isinstance(found, RunningAnalysis)
        return found.name


@pytest.fixture
def stage() -> AnalysisStage:
    return AnalysisStage()


def results(found: object) -> list[dict[str, object]]:
    return msgspec.json.decode(msgspec.json.encode(found))["results"]


def test_what_is_done_soon_is_the_response(stage):
    asked_at = stage.now
    there = Elsewhere(stage, at_pause=3)
    (result,) = results(there.asking.ask(AnalysisRequest(window_seconds=60)))
    assert (len(there.pauses), result["status"]) == (3, "unknown")
    # of the time at which it was asked, and not at which it ran
    assert result["window_end"] == (asked_at - timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert result["name"].endswith(f"-{there.started[0][:8]}")


def test_what_takes_longer_has_a_name_and_goes_on(stage):
    there = Elsewhere(stage)
    name = there.ask()
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert there.started == [name]
    assert sum(there.pauses) < PATIENCE_SECONDS
    assert there.asking.find(name) == RunningAnalysis(name)
    there.asking.run(name, seconds=600)
    found = there.asking.find(name)
    assert results(found)[0]["ad_hoc"]
    assert results(found) == results(there.asking.find(name))


def test_a_comparison_goes_on_by_its_name_as_of_the_time_at_which_it_was_asked(stage):
    there = Elsewhere(stage)
    asked_at = stage.now
    running = there.asking.ask(ComparisonRequest(a="1", b="2"))
    there.pass_time(600)
    there.asking.run(running.name)
    found = msgspec.json.decode(there.asking.find(running.name), type=Comparison)
    assert found.outcome == "unknown"
    assert asked_at <= found.window_end < asked_at + timedelta(minutes=1)
    same = there.asking.ask(ComparisonRequest(a="1", b="1"))
    there.asking.run(same.name)
    with pytest.raises(InvalidInputError, match="in common"):
        there.asking.find(same.name)


def test_a_run_that_is_delivered_twice_is_made_once(stage):
    made = []
    there = Elsewhere(stage, lambda *asked: made.append(asked) or stage.service.analyze(*asked))
    name = there.ask()
    for _ in range(2):
        there.asking.run(name)
    assert len(made) == 1


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (MonitorError("stage x analyzes it"), 409, "stage x analyzes it"),
        (ValueError("secret"), 500, "the function's log says why"),
    ],
)
def test_a_run_that_failed_says_so_with_its_status(stage, error, status, detail):
    def fail(*_: object) -> None:
        raise error

    there = Elsewhere(stage, fail)
    name = there.ask()
    there.asking.run(name)
    for _ in range(2):
        with pytest.raises(AskedRunError) as caught:
            there.asking.find(name)
        assert (http_status(caught.value), str(caught.value)) == (status, detail)


def test_a_run_that_died_has_failed_once_its_time_is_over(stage):
    def die(*_: object) -> None:
        raise KeyboardInterrupt  # as when Lambda kills the process

    there = Elsewhere(stage, die)
    name = there.ask()
    with pytest.raises(KeyboardInterrupt):
        there.asking.run(name, seconds=300)
    there.pass_time(300)
    assert there.asking.find(name) == RunningAnalysis(name)
    there.pass_time(60)
    with pytest.raises(AskedRunError, match="ended without a result") as caught:
        there.asking.find(name)
    assert http_status(caught.value) == 500


def test_a_run_that_never_started_has_failed(stage):
    there = Elsewhere(stage)
    name = there.ask()
    there.pass_time(START_SECONDS)
    with pytest.raises(AskedRunError, match="never started") as caught:
        there.asking.find(name)
    assert http_status(caught.value) == 503


@pytest.mark.parametrize("name", ["", "0" * 32, "../x", "A" * 32, "0" * 33, "é"])
def test_no_other_name_is_found(stage, name):
    with pytest.raises(NotFoundError, match="no asked analysis"):
        Elsewhere(stage).asking.find(name)


def test_names_differ_and_nothing_that_is_kept_can_be_replaced(stage):
    there = Elsewhere(stage)
    assert there.ask() != there.ask()
    assert not there.store.write(there.started[0], "request", b"{}")


def test_without_another_place_the_caller_waits_for_the_run(stage):
    asking = Asking(S3AskedStore(stage.s3, "reports"), stage.service.analyze, stage.compare)
    assert len(results(asking.ask(AnalysisRequest()))) == 1


def test_a_start_that_is_refused_is_an_error(stage):
    def refuse(_name: str) -> None:
        raise StartError("throttled")

    store = S3AskedStore(stage.s3, "reports")
    asking = Asking(store, stage.service.analyze, stage.compare, refuse)
    with pytest.raises(StartError):
        asking.ask(AnalysisRequest())
