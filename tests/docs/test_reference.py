"""The generated pages of docs/reference say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.pages import PAGES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    committed = (REFERENCE / name).read_text("utf-8")
    assert committed == PAGES[name](), f"docs/reference/{name} is not current: run `make reference`"


def test_no_schema_is_left_over() -> None:
    files = {f"schemas/{file.name}" for file in (REFERENCE / "schemas").iterdir()}
    assert files == {name for name in PAGES if name.startswith("schemas/")}
