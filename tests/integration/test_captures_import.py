"""A table of a user's own, imported into the running stack by the command."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch_cli.buckets import ensure_buckets
from modelwatch_cli.settings import Settings

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
    outcome = run(stack, str(bad), "--dry-run")
    assert outcome.returncode == 1
    assert "1 of 61 rows cannot be used, so nothing would be imported" in outcome.stderr

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
    bucket = "modelwatch-nightly-job"
    ensure_buckets(stack.client("s3"), [bucket])
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
    assert done["records"] == {"stored": 5, "known": 20, "changed": 1, "left_out": 0}


def test_a_past_of_tables_is_backfilled_to_results_with_performance(
    stack: Any, tmp_path: Path
) -> None:
    """Three days of a nightly table with labels; the third day is another world."""
    model = ("--model", "backfilled")

    def run_json(*arguments: str) -> Any:
        outcome = stack.run(*arguments, *model, "--json")
        assert outcome.returncode == 0, outcome.stderr
        return json.loads(outcome.stdout)

    folder = tmp_path / "scores"
    for day in (20, 21, 22):
        part = folder / f"date=2026-01-{day}" / "part-0.csv"
        part.parent.mkdir(parents=True)
        lines = ["timestamp,age,prediction,label"]
        for n in range(300):
            age = 20 + n % 40 + (30 if day == 22 else 0)
            lines.append(f"2026-01-{day}T02:{n // 60:02}:{n % 60:02}Z,{age},yes,yes")
        part.write_text("\n".join(lines))
    imported = run_json("captures", "import", str(folder), "--version", "1", "--ignore", "date")
    assert (imported["records"]["stored"], imported["labels"]["stored"]) == (900, 900)
    made = stack.run(
        "baseline", "create", "first-day", "--model", "backfilled", "--version", "1",
        "--since", "2026-01-20", "--until", "2026-01-21",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    monitor = tmp_path / "backfilled.toml"
    monitor.write_text('baseline = "first-day"\n[rules]\nanalysis_windows = "P1D/P1D"\n')
    assert stack.run("monitors", "apply", str(monitor)).returncode == 0
    span = ("--since", "2026-01-21", "--until", "2026-01-24")
    first = run_json("backfill", *span)
    assert first["windows"]["severities"] == {"ok": 1, "drift": 1}
    again = run_json("backfill", *span)
    assert (again["windows"]["known"], again["windows"]["due"], again["hours"]["due"]) == (2, 0, 0)
    store = S3ReportStore(stack.client("s3"), Settings({}).report_bucket)
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in (22, 23)]
    results = [store.result(name) for name in store.names("backfilled", *days)]
    assert [each.status for each in results] == ["ok", "drift"]
    assert all(each.performance and each.performance.labelled >= 300 for each in results)
    stack.run("monitors", "remove", "backfilled")
