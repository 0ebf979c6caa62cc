"""A table of a user's own, imported into the running stack by the command."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.servers

COLUMNS = (
    "--model", "imported", "--version", "1",
    "--timestamp", "when", "--prediction", "said", "--label", "truth",
)  # fmt: skip
NIGHTLY = """
model = "nightly"
[table]
version = "1"
timestamp = "when"
time_zone = "Europe/Berlin"
prediction = "said"
label = "truth"
id = "call"
ignore = ["note"]
"""
GOOD = "when,age,city,said,truth\n" + "".join(
    f"2026-01-11T17:{minute:02d}:00Z,{20 + minute},Ulm,yes,{'no' if minute % 4 else 'yes'}\n"
    for minute in range(60)
)
BAD = GOOD + "never,1,Ulm,yes,yes\n"


def run(stack: Any, *arguments: str) -> Any:
    return stack.run("captures", "import", *arguments, *COLUMNS)


def test_a_table_is_shown_refused_and_imported_once(stack: Any, tmp_path: Path) -> None:
    good, bad, rejected = tmp_path / "good.csv", tmp_path / "bad.csv", tmp_path / "rejected.jsonl"
    good.write_text(GOOD)
    bad.write_text(BAD)

    shown = run(stack, str(good), "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "whole number" in shown.stdout
    assert "60 rows from 2026-01-11T17:00:00+00:00" in shown.stdout
    assert "stored" not in shown.stdout

    refused = run(stack, str(bad))
    assert refused.returncode == 1
    assert "row 62: when: found 'never', expected a time" in refused.stderr
    assert "1 of 61 rows cannot be used, so nothing was imported" in refused.stderr

    first = json.loads(run(stack, str(bad), "--rejected", str(rejected), "--json").stdout)
    assert (first["records"]["stored"], first["labels"]["stored"]) == (60, 60)
    assert json.loads(rejected.read_text())["values"]["when"] == "never"

    again = json.loads(run(stack, str(good), "--json").stdout)
    assert (again["records"]["stored"], again["records"]["known"]) == (0, 60)


def test_an_option_that_is_missing_is_named(stack: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(GOOD)
    outcome = stack.run("captures", "import", str(tmp_path / "t.csv"), "--prediction", "said")
    assert outcome.returncode == 1
    assert "--model: is missing; give it, as in --model churn" in outcome.stderr


def test_a_folder_of_a_bucket_is_read_as_the_monitor_says(stack: Any, tmp_path: Path) -> None:
    """Partitions by day, one file packed; the second night has what the first had, and a change."""
    bucket = stack.json("env")["REPORT_BUCKET"]
    monitor = tmp_path / "nightly.toml"
    monitor.write_text(NIGHTLY)
    s3 = stack.client("s3")

    def put(day: int, ages: list[int]) -> None:
        rows = [f"{day}-{n},2026-01-{day} 12:{n:02},{age},yes,no,x" for n, age in enumerate(ages)]
        text = "\n".join(["call;when;age;said;truth;note", *rows]).replace(",", ";")
        key = f"scores/nightly/date=2026-01-{day}/part-0.csv.gz"
        s3.put_object(Bucket=bucket, Key=key, Body=gzip.compress(text.encode()))

    def nightly() -> Any:
        source = f"s3://{bucket}/scores/nightly/"
        return stack.run("captures", "import", source, "--monitor", str(monitor), "--json")

    put(12, [30] * 20)
    s3.put_object(Bucket=bucket, Key="scores/nightly/_SUCCESS", Body=b"")
    first = json.loads(nightly().stdout)
    assert (first["records"]["stored"], first["labels"]["stored"]) == (20, 20)
    assert (
        first["columns"] | {"note": "ignored", "date": "feature", "call": "id"} == first["columns"]
    )
    assert first["first"] == "2026-01-12T11:00:00Z"

    put(12, [30] * 19 + [31])
    put(13, [30] * 5)
    second = nightly()
    assert second.returncode == 1
    assert "row 21: differs from what is stored under its id" in second.stderr
    done = json.loads(second.stdout)
    assert done["records"] == {"stored": 5, "known": 20, "changed": 1}
