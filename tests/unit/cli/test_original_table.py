"""The table of what the original offers names tests that exist, one at least a row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "reference" / "original.md"


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row != ["there", "here", "test"]]


def functions_of(file: Path) -> set[str]:
    return {
        node.name for node in ast.walk(ast.parse(file.read_text())) if type(node) is ast.FunctionDef
    }


def test_every_row_names_tests_that_exist() -> None:
    assert len(rows()) > 50
    for row in rows():
        assert len(row) == 3, row
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row[2])
        assert named, row
        for file, function in named:
            assert function in functions_of(TESTS / file), f"{file}::{function}"


def test_alerts_of_this_project_that_it_names_are_there() -> None:
    rules = (TESTS.parent / "templates" / "prometheus" / "rules" / "alerts.yml").read_text()
    alerts = set(re.findall(r"alert: (\w+)", rules))
    section = PAGE.read_text().split("## Alerts")[1].split("## Left out")[0]
    for line in section.splitlines():
        if line.startswith("| `"):
            there, here = line.split("|")[1:3]
            names = there if here.strip() == "the same names" else here
            assert set(re.findall(r"`([A-Z]\w+)`", names)) <= alerts, line
