"""A table of a user's own, imported into the running stack by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.servers

COLUMNS = (
    "--model", "imported", "--version", "1",
    "--timestamp", "when", "--prediction", "said", "--label", "truth",
)  # fmt: skip
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
