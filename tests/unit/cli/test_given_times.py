"""The times of training rows: what is taken, and what is refused with the reason."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from modelwatch.errors import InvalidInputError
from modelwatch_training.given_times import parsed, times_of

FIRST = datetime(2026, 3, 2, 12, tzinfo=UTC)
TIMES = [FIRST, FIRST + timedelta(hours=30), FIRST + timedelta(hours=2)]
TABLE = pd.DataFrame({"alcohol": [11.0, 12.0, 13.0]}, index=[7, 3, 5])
BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    "given",
    [
        TIMES,
        tuple(time.replace(tzinfo=None) for time in TIMES),
        [time.astimezone(BERLIN) for time in TIMES],
        [TIMES[0].astimezone(BERLIN), *TIMES[1:]],
        pd.DatetimeIndex(TIMES),
        pd.Series(TIMES, index=[7, 3, 5]),
        pd.Series(TIMES),
        pd.DataFrame({"at": TIMES}),
        np.array([time.replace(tzinfo=None) for time in TIMES], "datetime64[s]"),
        [np.datetime64(time.replace(tzinfo=None)) for time in TIMES],
    ],
)
def test_times_are_taken_in_the_order_of_the_rows(given):
    assert times_of(given, 3, TABLE.index) == TIMES


def test_they_are_kept_to_the_millisecond_and_a_date_is_its_midnight():
    fine = [FIRST + timedelta(microseconds=1999), FIRST + timedelta(seconds=1)]
    assert times_of(fine, 2)[0] == FIRST + timedelta(milliseconds=1)
    assert times_of([date(2026, 3, 2), date(2026, 3, 3)], 2)[1] == datetime(2026, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([FIRST, None, FIRST], "row 2 has no time"),
        (pd.Series([FIRST, FIRST, pd.NaT]), "row 3 has no time"),
        ([FIRST, float("nan"), FIRST], "row 2 has no time"),
        (TIMES[:2], "has 2 values for 3 training rows"),
        ([*TIMES[:2], TIMES[2].replace(tzinfo=None)], "row 3 has no zone, and row 1 has one"),
        ([TIMES[0].replace(tzinfo=None), *TIMES[1:]], "row 2 has a zone, and row 1 has none"),
        (["2026-03-02", "2026-03-03", "2026-03-04"], "row 1 is a text, '2026-03-02'"),
        (["2026-03-02", "2026-03-03", "2026-03-04"], r"pd\.to_datetime\(…, utc=True\)"),
        ([1772452800, 1772452801, 1772452802], r"row 1 is a int, '1772452800'.*unit='s'"),
        (pd.to_datetime([1772452800, 1772452801, 1772452802]), r"row 1 is of 1970.*unit='s'"),
        ([FIRST, FIRST, FIRST], "are all 2026-03-02 12:00:00"),
        ([FIRST, FIRST, FIRST.replace(year=2226)], "row 3 is in the future"),
        ([FIRST, FIRST, datetime.max.replace(tzinfo=BERLIN)], "row 3 is in the future"),
        ([FIRST, datetime.min.replace(tzinfo=BERLIN), FIRST], "row 2 is of 1;"),
        (pd.Series(TIMES, index=[3, 5, 7]), "index of the training rows in another order"),
        (pd.DataFrame({"a": TIMES, "b": TIMES}), "has 2 columns"),
        (np.array([TIMES, TIMES]), "is a ndarray"),
        (FIRST, "has 1 values for 3"),
        ([[1], [2], [3]], "row 1 is a list"),
    ],
)
def test_what_is_no_time_of_each_row_is_refused(given, problem):
    with pytest.raises(InvalidInputError, match=problem) as error:
        times_of(given, 3, TABLE.index)
    assert str(error.value).startswith("timestamps: ")


def test_a_file_has_times_as_texts():
    texts = pd.Series(["2026-03-02T12:00Z", "2026-03-03 18:00:00+00:00", "2026-03-02 15:00+01:00"])
    assert times_of(parsed(texts, "c"), 3) == TIMES
    with pytest.raises(InvalidInputError, match="c: row 2 is 'yesterday'; expected a time such as"):
        parsed(pd.Series(["2026-03-02", "yesterday"]), "c")
    with pytest.raises(InvalidInputError, match="c: row 2 has no time"):
        times_of(parsed(pd.Series(["2026-03-02", None]), "c"), 2, None, "c")
    numbers = pd.Series([1772452800, 1772452801])
    with pytest.raises(InvalidInputError, match="c: row 1 is a int"):
        times_of(parsed(numbers, "c"), 2, None, "c")
