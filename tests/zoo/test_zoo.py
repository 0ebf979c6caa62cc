"""Every kind of model is registered and served rightly, or refused with a reason.

By default each of scikit-learn's models is tried with one of its targets; with ZOO=all, as `make
test-long` sets it, with all of them.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import zlib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from table import outcome_of, rows_of_document

from zoo import Case, everything

pytestmark = pytest.mark.zoo

CASES = {case.name: case for case in everything()}


def chosen(case: Case) -> list[str]:
    titles = case.titles()
    if os.environ.get("ZOO") == "all" or len(titles) < 3:
        return titles
    return [titles[zlib.crc32(case.name.encode()) % len(titles)]]


@pytest.mark.parametrize(
    ("name", "title"), [(case.name, title) for case in CASES.values() for title in chosen(case)]
)
def test_a_model_is_served_rightly_or_refused_as_the_table_says(name, title):
    found = outcome_of(CASES[name], title)
    recorded = rows_of_document()[name][title]
    if recorded == "?":
        assert found.word != "error", found.reason
        page = "docs/reference/models.md"
        pytest.skip(f"{page} does not say: it is '{found.word}'; run `make zoo-table`")
    assert found.word == recorded, found.reason


def test_the_table_has_every_model():
    missing = [
        name
        for name in ("lightgbm", "onnxmltools", "xgboost", "catboost")
        if not importlib.util.find_spec(name)
    ]
    if missing:
        reason = f"{', '.join(missing)} not installed: `make setup zoo`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    assert list(rows_of_document()) == list(CASES)
