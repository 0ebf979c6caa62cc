"""Baselines and constraints from the command line, on the stack's own S3 and registry."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record
from modelwatch_cli.settings import Settings
from running_stack import RunningStack

pytestmark = pytest.mark.servers

MODEL = "wine_quality_model"
ROWS = 300


def refusal(stack: RunningStack, *command: str) -> str:
    outcome = stack.run(*command)
    assert outcome.returncode == 1
    return outcome.stderr.strip()


@pytest.fixture(scope="module")
def version(stack: RunningStack) -> str:
    """Train a version, and capture predictions of it in the hour before this one."""
    version = stack.json("train")["registration"]["version"]["version"]
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    draw = random.Random(3)
    records = [
        Record(
            event_id=new_event_id(int(start.timestamp() * 1000) + index),
            captured_at=start + timedelta(seconds=index * 10),
            model_name=MODEL,
            model_version=version,
            features={"alcohol": draw.gauss(13, 0.8), "colour": draw.choice(["red", "white"])},
            prediction=1,
        )
        for index in range(ROWS)
    ]
    settings, client = of_stack(stack)
    S3RecordStore(client, settings.capture_bucket).write(records)
    return str(version)


def of_stack(stack: RunningStack) -> tuple[Settings, Any]:
    """Return the stack's settings, and a client of its S3."""
    variables = stack.json("env")
    with pytest.MonkeyPatch.context() as environ:
        for name, value in variables.items():
            environ.setenv(name, value)
        return Settings(variables), s3_client(Settings(variables))


def test_a_version_says_how_much_it_leans_on_each_feature(stack, version):
    settings, client = of_stack(stack)
    registered = registry_of(settings).version(MODEL, version)
    importance = artifacts_of(settings, client).importance(registered)
    assert importance is not None
    assert (len(importance.features), importance.measure) == (13, "total variation")
    assert importance.features["flavanoids"] > importance.features["ash"] > 0


def test_a_baseline_is_made_used_and_deleted(stack: RunningStack, version: str) -> None:
    made = stack.json("baseline", "create", "trained")
    assert (made["origin"], made["rows"]) == ({"type": "training", "version": version}, 142)
    assert "already" in refusal(stack, "baseline", "create", "trained")
    assert stack.json("baseline", "list")["in_use"] == "training"
    assert stack.json("baseline", "use", "trained")["before"] == "training"
    shown = stack.json("baseline", "show", "trained")
    assert shown["in_use"]
    assert {column["feature"]: column["kind"] for column in shown["columns"]}["alcohol"] == (
        "numerical"
    )
    assert "is in use" in refusal(stack, "baseline", "delete", "trained")
    stack.json("baseline", "use", "training")
    stack.json("baseline", "delete", "trained")
    assert stack.json("baseline", "list")["baselines"] == []
    assert "has no baseline 'trained'" in refusal(stack, "baseline", "use", "trained")


def test_a_baseline_of_captures(stack: RunningStack, version: str) -> None:
    since = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    made = stack.json("baseline", "create", "captured", "--since", since)
    assert (made["rows"], made["origin"]["version"]) == (ROWS, version)
    made = stack.json("baseline", "create", "week", "--rolling", "P7D", "--only-version", version)
    assert made["origin"] == {"type": "rolling", "length": "P7D"}
    assert [each["name"] for each in stack.json("baseline", "list")["baselines"]] == [
        "captured",
        "week",
    ]
    table = stack.run("baseline", "list").stdout
    assert table.startswith("Baselines of ")
    assert "the P7D before the window" in table
    problem = refusal(stack, "baseline", "create", "old", "--until", "2020-01-02")
    assert "has 0 rows; a baseline needs 100" in problem
    assert "years or months" in refusal(stack, "baseline", "create", "m", "--rolling", "P1M")
    assert "give one of" in refusal(
        stack, "baseline", "create", "m", "--rolling", "P1D", "--from-training", version
    )


def test_constraints_are_written_changed_and_read(stack, version, tmp_path):
    assert version
    stack.json("baseline", "create", "edited")
    file = tmp_path / "constraints.json"
    outcome = stack.run("baseline", "constraints", "edited", "--output", str(file))
    assert outcome.returncode == 0, outcome.stderr
    document = json.loads(file.read_text())
    assert document["columns"]["alcohol"]["range"]["non_negative"]
    # those of the training data are the same: it is the same reference
    printed = stack.run("baseline", "constraints")
    assert json.loads(printed.stdout) == document

    document["columns"]["alcohol"]["range"] |= {"maximum": 14.0, "allowed_share": 0}
    file.write_text(json.dumps(document))
    changed = stack.json("baseline", "constraints", "edited", "--input", str(file))
    assert [sentence.split(":")[0] for sentence in changed["broken_by_the_baseline"]] == ["alcohol"]
    assert json.loads(stack.run("baseline", "constraints", "edited").stdout) == document

    document["columns"]["alcohol"]["range"]["top"] = 1
    file.write_text(json.dumps(document))
    problem = refusal(stack, "baseline", "constraints", "edited", "--input", str(file))
    assert "columns.alcohol.range: Object contains unknown field 'top'; its fields are" in problem
    problem = refusal(stack, "baseline", "constraints", "--input", str(file))
    assert "unknown field 'top'" in problem
