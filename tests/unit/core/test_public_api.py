"""What `import modelwatch` offers, and what it costs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import modelwatch
from modelwatch.errors import InvalidInputError

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "api.md"


def test_every_public_name_is_there_and_documented():
    page = PAGE.read_text()
    for name in modelwatch.__all__:
        assert getattr(modelwatch, name).__doc__, name
        assert name.startswith("_") or f"`{name}`" in page or f"modelwatch.{name}" in page, name
    assert set(modelwatch.__all__) == set(dir(modelwatch))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = modelwatch.nothing


def test_the_import_takes_nothing_heavy():
    code = (
        "import sys; before = set(sys.modules); import modelwatch; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert found - sys.stdlib_module_names == {"modelwatch"}
    assert len(found) < 20


def test_a_table_of_pandas_is_profiled_and_compared():
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"ash": draw.normal(size=500), "colour": draw.choice(["red", "white"], 500), 3: 1}
    )
    trained = modelwatch.profile(frame)
    assert trained.rows == 500
    assert list(trained.features) == ["ash", "colour", "3"]
    same = modelwatch.compare(modelwatch.profile(frame.tail(300)), trained)
    assert same.status == "ok"
    moved = frame.assign(ash=frame["ash"] + 3, colour="red")
    found = modelwatch.compare(modelwatch.profile(moved), trained)
    assert found.status == "drift"
    assert set(found.drifted_features) == {"ash", "colour"}
    few = modelwatch.compare(modelwatch.profile(frame.head(3)), trained)
    assert few.status == "unknown"
    lenient = modelwatch.DriftPolicy(numerical_threshold=99.0, categorical_threshold=0.99)
    assert modelwatch.compare(modelwatch.profile(moved), trained, policy=lenient).status == "ok"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ([1, 2], "expected a pandas or Arrow table"),
        (pd.DataFrame({"a": [1, "x"]}), "cannot be read"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "table"),
        (pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}), "cannot be read: Sparse"),
    ],
)
def test_what_is_no_table_is_refused(table, said):
    with pytest.raises(InvalidInputError, match=said):
        modelwatch.profile(table)


def test_a_table_that_gives_itself_to_arrow_is_one():
    class Frame:  # as of polars
        columns = ("a",)

        def to_arrow(self) -> pa.Table:
            return pa.table({"a": [1, 2, None]})

    assert modelwatch.profile(Frame()).features["a"].nulls == 1


@pytest.mark.parametrize("level", [0, -1, 2, float("nan")])
def test_a_level_is_a_probability(level):
    empty = modelwatch.profile(pd.DataFrame({"a": []}))
    with pytest.raises(InvalidInputError, match="level"):
        modelwatch.compare(empty, empty, level=level)
