"""Keys hold every valid name and hour, and give them back; their text never changes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import examples
from modelwatch.adapters.captures.layout import CaptureObject, capture_key
from modelwatch.adapters.results.reports import version_prefix
from modelwatch.domain.keys import (
    HIVE,
    PLANS,
    RESULTS,
    dotless,
    escape,
    hour_place,
    parse_hour,
    parse_version,
    unescape,
    version_folder,
)
from modelwatch.domain.names import check_model_name, check_model_version
from modelwatch.domain.verdict.results import ResultName
from modelwatch.errors import InvalidInputError

names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/:="), min_size=1
).filter(lambda name: len(name) <= 250)
hours = st.datetimes(datetime(1971, 1, 1), datetime(9998, 12, 31)).map(
    lambda time: time.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
)


@pytest.mark.parametrize(
    ("letter", "most"), [("a", 250), (" ", 250), (".", 56), ("%", 56), ("ü", 46), ("😀", 23)]
)
def test_keys_of_the_longest_names_fit_s3(letter, most):
    name, longer = letter * (most - 1) + "x", letter * (most + 1)
    check_model_name(name)
    check_model_version(name)
    with pytest.raises(InvalidInputError, match="characters"):
        check_model_name(longer)
    ending = ResultName(name, name, datetime(2026, 1, 2, tzinfo=UTC), "PT168H", name, "12345678")
    keys = [
        capture_key(name, name, 1_800_000_000_000, 1_800_000_000_001, ["an id"]),
        f"{version_prefix(name, name)}{ending.ending}/reference-{'0' * 50}.profile",
    ]
    assert max(len(key.encode()) for key in keys) <= 1_024


@given(names)
@settings(max_examples=examples(200))
def test_a_name_is_read_back(name):
    for safe in (HIVE, RESULTS, PLANS):
        assert unescape(escape(name, safe)) == name
        assert "/" not in escape(name, safe)
    assert unescape(dotless(name)) == name
    assert "." not in dotless(name)


@given(names, names, hours)
@settings(max_examples=examples(200))
def test_model_version_and_hour_are_read_back_from_a_key(model, version, hour):
    first_ms = int(hour.timestamp() * 1000)
    key = capture_key(model, version, first_ms, first_ms + 1, ["an id"])
    assert parse_version(key) == (model, version)
    assert parse_hour(key) == hour
    found = CaptureObject.parse(key)
    assert found is not None
    assert (found.hour, found.first_ms) == (hour, first_ms)
    assert found.partition == f"{version_folder(model, version)}{hour_place(hour)}/"


@given(names, names, names, hours, st.sampled_from(["", "1f", "00a1b2c3"]))
@settings(max_examples=examples(200))
def test_a_results_name_is_read_back(model, version, variant, end, ad_hoc):
    name = ResultName(model, version, end, "PT1H", variant, ad_hoc)
    assert ResultName.parse(str(name)) == name


@pytest.mark.parametrize(
    ("name", "in_captures", "in_results"),
    [
        ("wine", "wine", "wine"),
        ("1.5", "1.5", "1.5"),
        ("my wine (new), v+1", "my wine (new), v+1", "my wine %28new%29%2C v%2B1"),
        ("vin_é%", "vin_%C3%A9%25", "vin_%C3%A9%25"),
    ],
)
def test_the_text_of_keys_is_as_it_was(name, in_captures, in_results):
    assert version_folder(name, "1") == f"model_name={in_captures}/model_version=1/"
    assert version_prefix(name, "1") == f"analyses/{in_results}/1/"


@pytest.mark.parametrize(
    "key", ["", "last.json", "date=2026-03-01/", "date=2026-3-1/hour=1/x", "model_name=m/x"]
)
def test_what_has_no_version_and_hour_gives_none(key):
    assert parse_version(key) is None
    assert parse_hour(key) is None
