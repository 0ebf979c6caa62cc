"""Two months of a season on the real stack: learned, quiet, and a change of unit is found.

Its episode opens once over several runs of the schedule, is acknowledged, expected and accepted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record
from modelwatch_cli.deployment.cloudformation.calling import open_client
from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic.reference import reference_features
from running_stack import RunningStack
from waiting import eventually

pytestmark = pytest.mark.servers

MODEL = "wine_quality_model"
DAY = timedelta(days=1)
DAYS = 60
ROWS = 150
CHANGED = 3
"""So many of the last days have another unit."""
TRAINED = 35
"""So many days the version with times was trained on."""
END = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def a_day(
    features: pd.DataFrame,
    day: int,
    version: str,
    factor: float = 1.0,
    swing: float = 1.0,
    shuffled: str = "",
) -> list[Record]:
    """Return predictions of a day: alcohol and ash follow the season, and the weather."""
    rng = np.random.default_rng(day)
    rows = features.sample(ROWS, replace=True, random_state=day)
    season = swing * (np.sin(day / 40) + rng.normal(0, 0.3))
    for name in ("alcohol", "ash"):
        rows[name] += season * features[name].std()
    rows["magnesium"] *= factor
    if shuffled:
        rows[shuffled] = rng.permutation(rows[shuffled])
    start = END - (DAYS - day) * DAY
    # the three wines are as frequent as in the reference: what the model predicts does not drift
    predictions = rng.choice(3, ROWS, p=[59 / 178, 71 / 178, 48 / 178]).tolist()
    return [
        Record(
            event_id=new_event_id(int(start.timestamp() * 1000) + place),
            captured_at=start + timedelta(hours=12, seconds=place),
            model_name=MODEL,
            model_version=version,
            variant="production",
            features={name: float(value) for name, value in row.items()},
            prediction=predictions[place],
        )
        for place, row in enumerate(rows.to_dict("records"))
    ]


@pytest.fixture
def by_day(stack: RunningStack) -> Iterator[RunningStack]:
    """A stack that analyzes days, too: only of lengths that are scheduled it learns the past.

    Its rule does not fire meanwhile: the runs of the schedule are those of the test.
    """
    changed = {
        "ANALYSIS_WINDOWS": "P1D/P1D",
        "ANALYSIS_SCHEDULE": "rate(1 day)",
        "ANALYSIS_VERDICT_RULE": "any",
        "ANALYSIS_STALE": "P2D",  # the newest record is of noon yesterday, whatever the hour is
    }
    by_day = replace(stack, environ={**stack.environ, **changed})
    # before the versions of the test are there: a run of the old rule would see last night's window
    stack.know_model()
    by_day.json("deploy")
    yield by_day
    stack.json("deploy")


def parts_of(stack: RunningStack) -> tuple[Any, S3RecordStore, pd.DataFrame]:
    """Return what analyzes, what captures, and the features of the served version."""
    variables = stack.json("env")
    with pytest.MonkeyPatch.context() as environ:
        for name, value in variables.items():
            environ.setenv(name, value)
        settings = Settings(variables)
        features = reference_features(settings)
        client = open_client(settings, "analyze")
        store = S3RecordStore(s3_client(settings), settings.capture_bucket)
    return client, store, features


def test_a_season_is_quiet_and_a_change_of_unit_is_found(by_day: RunningStack) -> None:
    stack = by_day
    previous, version = (
        stack.json("train")["registration"]["version"]["version"] for _ in range(2)
    )
    stack.json("deploy")
    client, store, features = parts_of(stack)
    for day in range(DAYS):
        # on the last days magnesium comes in another unit
        is_changed = day >= DAYS - CHANGED
        # and on one day before, a join goes wrong
        shuffled = "flavanoids" if day == DAYS - CHANGED - 3 else ""
        factor = 1.8 if is_changed else 1.0
        store.write(a_day(features, day, version, factor, shuffled=shuffled))

    # the version before it served on the day before the change, and sees no season
    store.write(a_day(features, DAYS - CHANGED - 1, previous, swing=0))

    def verdict(end: datetime) -> Any:
        return analyzed(client, version, end)

    before_it = END - CHANGED * DAY
    first = quiet = verdict(before_it)
    while quiet.past_days < DAYS - CHANGED - 8:
        # a run reads a week
        before, quiet = quiet.past_days, verdict(before_it)
        assert quiet.past_days > before
    assert (quiet.status, quiet.drifted_features, quiet.learning) == ("ok", (), "")
    seasonal = {each.feature for each in quiet.features if each.critical_from == "past windows"}
    assert {"alcohol", "ash"} <= seasonal

    broken = verdict(before_it - 2 * DAY)
    assert {"flavanoids", "total_phenols"} <= set(broken.drifted_features)
    assert {each.name for found in broken.features for each in found.changes} == {"relation"}

    changed = verdict(before_it + DAY)
    assert changed.drifted_features == ("magnesium",)
    (magnesium,) = (each for each in changed.features if each.feature == "magnesium")
    assert magnesium.score >= magnesium.critical_score
    assert {each.name for each in magnesium.changes} >= {"shift", "spread"}
    for result in (first, quiet, broken, changed):
        outcome = stack.run("replay", result.name)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    shown = stack.run("analyze", "--window", "P2D", "--min-rows", "100").stdout
    assert "critical" in shown
    listen_for_drifts(stack)
    _open_an_episode(stack, version, before_it)
    _roll_back(stack, version, previous)
    _follow_its_episode(stack, version, before_it, verdict)


def episodes_of(stack: RunningStack, version: str) -> list[Any]:
    found: list[Any] = stack.json("episodes", "list")["episodes"]
    return [each for each in found if each["model_version"] == version]


def _open_an_episode(stack: RunningStack, version: str, before_it: datetime) -> None:
    assert episodes_of(stack, version) == []  # what someone asks for opens none
    run_schedule(stack, before_it)
    assert episodes_of(stack, version) == []
    for end in (before_it + DAY, before_it + DAY, END):  # twice, and two days caught up
        run_schedule(stack, end)
        (episode,) = episodes_of(stack, version)
        assert episode["id"] == f"{version}-{before_it + DAY:%Y%m%dT%H%M%SZ}"
    assert (episode["status"], set(episode["features"])) == ("open", {"magnesium"})
    (length,) = episode["lengths"]
    assert (length["length"], datetime.fromisoformat(length["last"])) == ("P1D", END)


def _follow_its_episode(
    stack: RunningStack, version: str, before_it: datetime, verdict: Callable[[datetime], Any]
) -> None:
    (episode,) = episodes_of(stack, version)
    name = episode["id"]
    story = stack.text("episodes", "show", name)
    assert "magnesium" in story
    assert "(shift " in story  # the words of the result
    refused = stack.run("episodes", "acknowledge", name, "--note", "a\nb")
    assert (refused.returncode, "--note" in refused.stderr) == (1, True)
    note = ("--who", "ada", "--note", "a [/red] note")
    acknowledged = stack.json("episodes", "acknowledge", name, *note)
    assert acknowledged["status"] == "acknowledged"
    assert "a [/red] note" in stack.text("episodes", "show", name)

    until = f"{datetime.now(UTC) + DAY:%Y-%m-%dT%H:%M}"
    time = ("--since", before_it.isoformat(), "--until", until, "--reason", "labels in mg/l")
    declared = stack.json("episodes", "expect", *time, "--feature", "magnesium")
    assert [each["status"] for each in episodes_of(stack, version)] == ["expected"]
    assert "labels in mg/l" in stack.text("episodes", "list")
    stack.text("episodes", "withdraw", str(declared["id"]))
    assert stack.json("episodes", "list")["expected"] == []

    accepted = stack.json("baseline", "accept", name, "--note", "it stays")
    assert (accepted["episode"]["status"], accepted["episode"]["reason"]) == ("closed", "accepted")
    assert accepted["baseline"]["rows"] == (CHANGED - 1) * ROWS
    in_use = stack.json("baseline", "list")["in_use_for_versions"]
    assert in_use == {version: accepted["baseline"]["name"]}
    assert verdict(END).status == "unknown"  # the reference is the window's own
    assert verdict(before_it).drifted_features[:1] == ("magnesium",)  # the old unit is far now
    reverted = stack.json("baseline", "revert", name)
    assert reverted["accepted"]["reverted_by"]
    assert verdict(END).drifted_features == ("magnesium",)
    assert [each["reason"] for each in episodes_of(stack, version)] == ["accepted"]


QUEUE = "modelwatch-local-drifts"


def listen_for_drifts(stack: RunningStack) -> None:
    """Deploy the example's rule and queue."""
    template = Path(__file__).parents[2] / "examples" / "on-drift" / "rollback.yaml"
    client = stack.client("cloudformation")
    client.create_stack(
        StackName="on-drift",
        TemplateBody=template.read_text(),
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": "local"}],
    )
    client.get_waiter("stack_create_complete").wait(
        StackName="on-drift", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def _roll_back(stack: RunningStack, version: str, previous: str) -> None:
    """The one event of the drift that opened moves the alias, once."""

    def message() -> Any:
        found = client.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=5)
        return found.get("Messages")

    def handle(*options: str) -> Any:
        outcome = stack.run("rollback-on-drift", *options, "--within", "P90D", "--json")
        assert outcome.returncode == 0, outcome.stderr
        (line,) = map(json.loads, outcome.stdout.splitlines())
        return line

    client = stack.client("sqs")
    url = client.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    (found,) = eventually(message)
    event = json.loads(found["Body"])
    assert (event["source"], event["detail-type"]) == ("modelwatch", "modelwatch.verdict")
    assert [each["name"] for each in event["detail"]["features"]] == ["magnesium"]
    assert event["detail"]["episode"] == episodes_of(stack, version)[0]["id"]
    file = stack.home / "drift.json"
    file.write_text(found["Body"])
    assert handle("--event", str(file), "--dry-run")["to"] == previous
    assert handle("--queue", QUEUE, "--once")["to"] == previous
    assert message() is None, "several runs of the schedule, one event"
    (model,) = [m for m in stack.json("models", "list") if m["name"] == MODEL]
    assert model["aliases"]["production"] == previous
    assert "serves, not" in handle("--event", str(file))["reason"]
    stack.json("promote", version)


TIMED = f"""
import pandas as pd
from modelwatch import register_model
from modelwatch_training.wine import train_wine_model

wine = train_wine_model()
days = pd.date_range(end="{END - (DAYS + 1) * DAY:%Y-%m-%d}", periods={TRAINED}, tz="UTC")
rows = pd.concat([wine.train] * len(days), ignore_index=True)
hours = pd.to_timedelta(rows.index % len(wine.train) % 24, unit="h")
done = register_model(
    wine.model, name="wine_quality_model", train=rows, test=wine.test,
    timestamps=days.repeat(len(wine.train)) + hours,
)
print(done.version.version, (done.trained_until - done.trained_from).days)
"""


def test_training_rows_with_times_are_a_past_from_the_first_analysis(by_day: RunningStack) -> None:
    stack = by_day
    done = subprocess.run(
        [sys.executable, "-c", TIMED],
        env={**os.environ, **stack.json("env")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    version, days = done.stdout.split()[-2:]
    assert int(days) == TRAINED - 1
    stack.json("deploy")
    client, store, features = parts_of(stack)
    store.write(a_day(features, DAYS - 1, version))
    result = analyzed(client, version, END)
    assert (result.trained_days, result.past_days, result.learning) == (TRAINED, TRAINED, "")
    outcome = stack.run("replay", result.name)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def run_schedule(stack: RunningStack, end: datetime) -> None:
    """Invoke the function as the rule does a while after the day's end."""
    payload = stack.run_planned("analyze", end + timedelta(minutes=10))
    assert not [each for each in payload["failures"] if each.startswith(MODEL)], payload


def analyzed(client: Any, version: str, end: datetime) -> Any:
    """Return the result of a version's day; other models on the stack have the same versions."""
    found = client.analyze(model_name=MODEL, window_seconds=86_400, window_end=end)
    assert found.failures == {}
    (result,) = (each for each in found.results if each.model_version == version)
    return result
