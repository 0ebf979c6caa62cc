"""Segments: what is declared, what is refused, and which rows belong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwatch.domain.segments import (
    MOST_SEGMENTS,
    OTHER,
    SegmentKey,
    parse_segments,
    read_segments,
)
from modelwatch.domain.segments.columns import Bools
from modelwatch.domain.segments.expressions import Expression
from modelwatch.domain.segments.keys import LONGEST_NAME
from modelwatch.errors import InvalidInputError, SettingError

COLUMNS = {
    "alcohol": np.array([12.0, 13.5, np.nan, 14.0, -1.0]),
    "ash": np.array([12.0, 1.0, 2.0, np.nan, 3.0]),
    "colour": np.array(["red", "white", "red", None, "rosé"], dtype=object),
    "sweet": np.array([True, False, None, True, False], dtype=object),
    "dry": np.array([False, True, True, False, True]),
    "od280/od315": np.array([1, 2, 3, 4, 5]),
    "empty": np.array([None] * 5, dtype=object),
}


def named(found: dict[SegmentKey, Bools]) -> dict[str, Bools]:
    """Return rows by the segments' names."""
    return {key.name: rows for key, rows in found.items()}


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("alcohol > 13", [1, 3]),
        ("13 < alcohol <= 13.5", [1]),
        ("not alcohol > 13", [0, 4]),
        ("alcohol == -1", [4]),
        ("alcohol == ash", [0]),
        ("alcohol > ash", [1]),
        ("alcohol is None", [2]),
        ("alcohol is not None and ash is not None", [0, 1, 4]),
        ("colour == 'red'", [0, 2]),
        ('colour != "red"', [1, 4]),
        ("colour in ('red', 'rosé')", [0, 2, 4]),
        ("colour not in ['red']", [1, 4]),
        ("colour > 'red'", [1, 4]),
        ("colour == 3", []),
        ("colour != 3", [0, 1, 2, 4]),
        ("colour > 3", []),
        ("sweet", [0, 3]),
        ("not sweet", [1, 4]),
        ("sweet == False", [1, 4]),
        ("sweet or dry", [0, 1, 2, 3, 4]),
        ("sweet and dry", []),
        ("alcohol > 13 or colour == 'red'", [0, 1, 2, 3]),
        ("alcohol < 13 and colour == 'red'", [0]),
        ("`od280/od315` >= 4", [3, 4]),
        ("absent > 1", []),
        ("absent is None", [0, 1, 2, 3, 4]),
        ("not absent > 1", []),
        ("empty == 'x' or not empty == 'x'", []),
        ("True", [0, 1, 2, 3, 4]),
        ("colour == 'a ; `b`'", []),
    ],
)
def test_expressions(expression, rows):
    assert np.flatnonzero(Expression(expression).rows(COLUMNS, 5)).tolist() == rows


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("__import__('os').system('true')", "is no condition"),
        ("open('x') == 1", "is no column, number or string"),
        ("alcohol + 1 > 2", "is no column, number or string"),
        ("alcohol.real > 1", "is no column, number or string"),
        ("[a for a in b]", "is no condition"),
        ("(lambda: 1)()", "is no condition"),
        ("a if b else c", "is no condition"),
        ("alcohol > f'{x}'", "is no column, number or string"),
        ("alcohol in colour", "'in' needs a list in brackets"),
        ("alcohol in (1, ash)", "is no column, number or string"),
        ("alcohol == None", "compare with 'is None'"),
        ("alcohol is 3", "'is' is for None alone"),
        ("1 < 2", "compares no column"),
        ("1 is None", "compares no column"),
        ("alcohol >", "invalid syntax"),
        ("alcohol > 1j", "is no column, number or string"),
        ("-alcohol > 1", "is no column, number or string"),
        ("3", "is no condition"),
        ("`` > 1", "has no column's name between its backticks"),
        ("(" * 400 + "a" + ")" * 400, "too many nested parentheses"),
        ("not " * 240 + "a > b(1)", ""),
        ("a" * 1001, "is longer than 1000 characters"),
    ],
)
def test_what_is_no_expression_is_refused(expression, problem):
    with pytest.raises(InvalidInputError, match="SEGMENTS") as raised:
        Expression(expression, "SEGMENTS")
    assert problem in str(raised.value)


def test_an_error_names_columns_as_they_were_written():
    with pytest.raises(InvalidInputError, match=r"'`price/l` \+ 1'"):
        Expression("`price/l` + 1 > 2")


@given(st.text(alphabet="ab <>=!()'\"`;:,.[]0123456789andornotis", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        segments = parse_segments(text)
    except InvalidInputError:
        return
    segments.rows({name: np.array([1.0, np.nan]) for name in segments.columns}, 2)


numbers = st.lists(st.none() | st.floats(-3, 3).map(round), min_size=1, max_size=20)


@settings(deadline=None)
@given(numbers, st.integers(-3, 3), st.integers(-3, 3))
def test_logic_is_that_of_python_where_nothing_is_missing(values, low, high):
    column = np.array([np.nan if value is None else float(value) for value in values])
    text = f"not (a < {low} or a > {high}) and a != 0"
    expected = [v is not None and not (v < low or v > high) and v != 0 for v in values]
    assert Expression(text).rows({"a": column}, len(values)).tolist() == expected


def test_segments_of_a_column():
    found = parse_segments("colour; sweet; `od280/od315`").rows(COLUMNS, 5)
    assert {key.name: np.flatnonzero(rows).tolist() for key, rows in found.items()} == {
        "colour=red": [0, 2],
        "colour=rosé": [4],
        "colour=white": [1],
        "sweet=false": [1, 4],
        "sweet=true": [0, 3],
        "od280/od315=1": [0],
        "od280/od315=2": [1],
        "od280/od315=3": [2],
        "od280/od315=4": [3],
        "od280/od315=5": [4],
    }


def test_the_rare_values_of_a_column_are_one_segment():
    values = np.array([f"v{i}" for i in range(100)] + ["v7"] * 3 + ["v99"] * 2, dtype=object)
    found = named(parse_segments("c").rows({"c": values}, len(values)))
    assert len(found) == MOST_SEGMENTS + 1
    assert found["c=v7"].sum() == 4
    assert found["c=v99"].sum() == 3
    assert sum(rows.sum() for rows in found.values()) == len(values)
    assert found[f"c={OTHER}"].sum() == 100 - MOST_SEGMENTS


def test_each_number_is_a_segment_with_all_its_digits():
    values = np.array([1000001, 1000002, 1000002, 0.1, 1 / 3, 1e300])
    found = named(parse_segments("c").rows({"c": values}, 6))
    assert {name: int(rows.sum()) for name, rows in found.items()} == {
        "c=1000001": 1,
        "c=1000002": 2,
        "c=0.1": 1,
        "c=0.3333333333333333": 1,
        "c=1e+300": 1,
    }


def test_values_that_read_the_same_are_one_segment():
    values = np.array(["a" * 200 + end for end in "xyx"] + ["b"], dtype=object)
    found = named(parse_segments("c").rows({"c": values}, 4))
    assert sorted(rows.sum() for rows in found.values()) == [1, 3]
    assert max(map(len, found)) == len("c=") + LONGEST_NAME


def test_a_segment_that_is_declared_anew_is_another():
    before, now = parse_segments("a: ash < 2; colour"), parse_segments("a: ash < 3; colour")
    kept = [key for key in before.rows(COLUMNS, 5) if now.declares(key)]
    assert [key.name for key in kept] == ["colour=red", "colour=rosé", "colour=white"]
    assert [key.name for key in now.in_order([*reversed(kept), *now.named])] == [
        "a",
        *(key.name for key in kept),
    ]


def test_a_setting_that_cannot_be_read_is_named():
    with pytest.raises(SettingError, match="setting ANALYSIS_SEGMENTS: 'alcohol >'"):
        read_segments("alcohol >")


def test_declarations():
    segments = parse_segments(' colour ; strong red: alcohol > 13 and colour == "a;b: c";ash<2;')
    assert [getattr(part, "name", None) or part.column for part in segments.parts] == [
        "colour",
        "strong red",
        "ash<2",
    ]
    assert segments.columns == {"colour", "alcohol", "ash"}
    assert parse_segments("").rows(COLUMNS, 5) == {}
    assert parse_segments("colour; ash < 2").rows({}, 5) == {}
    assert parse_segments("colour; ash < 2").rows({"colour": np.empty(0, object)}, 0) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("colour; colour", "'colour' is there twice"),
        ("a: x > 1; a: x > 2", "'a' is there twice"),
        (";".join(f"c{i}" for i in range(21)), "declares 21 segments; at most 20 are watched"),
        ('colour == "red', "has a quote that is not closed"),
        ("strong: ", "is no condition"),
        (" or ".join(["a == 'something'"] * 9), "is long: give it a name"),
    ],
)
def test_declarations_that_are_refused(text, problem):
    with pytest.raises(InvalidInputError) as raised:
        parse_segments(text)
    assert problem in str(raised.value) or "invalid syntax" in str(raised.value)
