"""Steps that are taken one after the other."""

from __future__ import annotations

from modelwatch.errors import ModelwatchError
from modelwatch_cli.checks.steps import Outcome, Step, StepError, take_steps


def failing(message: str, remedy: str = "") -> str:
    raise StepError(message, remedy)


def test_a_failed_step_stops_those_that_need_it_and_no_other() -> None:
    events: list[str] = []

    def unknown() -> str:
        raise ModelwatchError("S3 is away")

    steps = [
        Step("first", lambda: "found", "never"),
        Step("second", lambda: failing("nothing came"), "look into the log", ("first",)),
        Step("third", lambda: failing("never reached"), "", ("first", "second")),
        Step("fourth", lambda: failing("never reached"), "", ("third",)),
        Step("fifth", lambda: failing("missing", "deploy it"), "look into the log", ("first",)),
        Step("sixth", unknown, "start it"),
    ]
    outcomes = take_steps(steps, events.append, lambda outcome: events.append(outcome.state))
    assert [(each.step, each.state, each.found, each.remedy) for each in outcomes] == [
        ("first", "ok", "found", ""),
        ("second", "failed", "nothing came", "look into the log"),
        ("third", "skipped", "needs second", ""),
        ("fourth", "skipped", "needs third", ""),
        ("fifth", "failed", "missing", "deploy it"),
        ("sixth", "failed", "S3 is away", "start it"),
    ]
    assert events[:5] == ["first", "ok", "second", "failed", "skipped"]


def test_seconds_are_those_of_the_step() -> None:
    (outcome,) = take_steps([Step("one", lambda: "", "")], str, str)
    assert isinstance(outcome, Outcome)
    assert 0 <= outcome.seconds < 1
