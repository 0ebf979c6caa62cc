"""Training rows of a user's own file, held against a model's columns."""

import pandas as pd
import pytest

from modelwatch.domain.schemas import Column, Schema
from modelwatch.errors import InvalidInputError
from modelwatch_training.rows_files import read_rows, rows_of

SCHEMA = Schema(
    (
        Column("code", "string"),
        Column("alcohol", "double"),
        Column("bottles", "long"),
        Column("organic", "boolean", required=False),
    )
)
CSV = "﻿y,code,alcohol,bottles,organic\nheavy,007,13.5,6,true\nlight,01,,7,\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(CSV)
    return path


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    return rows_of(frame, SCHEMA, "rows.csv")


def test_the_columns_have_the_models_types_in_its_order(file):
    frame = typed(read_rows(file, texts=["code"]))
    assert list(frame.columns) == ["code", "alcohol", "bottles", "organic"]
    assert frame["code"].tolist() == ["007", "01"], "texts keep their zeros"
    assert frame["bottles"].tolist() == [6, 7]
    assert frame["bottles"].dtype == "int64"
    assert frame["alcohol"].isna().tolist() == [False, True]
    assert frame["organic"].tolist() == [True, None]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_values_may_be_separated_otherwise(file, mark):
    expected = read_rows(file, texts=["code"])
    file.write_text(CSV.replace(",", mark))
    pd.testing.assert_frame_equal(read_rows(file, texts=["code"]), expected)


def test_parquet_gives_the_same(file, tmp_path):
    rows = read_rows(file, texts=["code"])
    rows["code"] = rows["code"].astype("category")
    rows.to_parquet(tmp_path / "rows.parquet")
    assert typed(read_rows(tmp_path / "rows.parquet")).equals(typed(read_rows(file, ["code"])))


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("alcohol", ["13", "strong"], "row 2 of column 'alcohol' is 'strong'; expected a number"),
        ("alcohol", [13.0, float("inf")], "row 2 of column 'alcohol' is inf"),
        ("bottles", [6.5, 7], "row 1 of column 'bottles' is 6.5; expected a whole number"),
        ("bottles", [6, None], "row 2 of column 'bottles' is no value; expected a whole number"),
        ("organic", ["yes", None], "row 1 of column 'organic' is 'yes'; expected true or false"),
        ("code", [None, "1"], "row 1 of column 'code' is no value; expected a string"),
        ("code", [7, "1"], "row 1 of column 'code' is 7; expected a string"),
    ],
)
def test_a_value_that_the_model_would_not_take_is_named(file, column, values, said):
    rows = read_rows(file, texts=["code"])
    rows[column] = pd.Series(values, dtype=object)
    with pytest.raises(InvalidInputError, match=said):
        typed(rows)


def test_what_is_no_table_of_the_models_rows_is_refused(tmp_path, file):
    with pytest.raises(InvalidInputError, match=r"nowhere\.csv: cannot be read"):
        read_rows(tmp_path / "nowhere.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("code,alcohol\n")
    with pytest.raises(InvalidInputError, match="has no rows"):
        read_rows(empty)
    no_parquet = tmp_path / "x.parquet"
    no_parquet.write_text("no")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_rows(no_parquet)
    with pytest.raises(InvalidInputError, match="has no column 'bottles'; it has y, code"):
        typed(read_rows(file).drop(columns=["bottles"]))
