"""Named baselines: what they are called, when they are refused, and how they are kept."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.domain.baselines import (
    TRAINING,
    Baseline,
    CapturedWindow,
    RollingWindow,
    TrainingData,
    check_name,
    refusal,
)
from modelwatch.domain.constraints import Constraints, learn_constraints
from modelwatch.domain.profiles import Profile, encode_profile, number_column
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, NotFoundError, StoreError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(NOON - HOUR, NOON)
PROFILE = Profile(rows=500, features={"a": number_column(np.arange(500.0))})


def baseline(name: str = "spring", **changes) -> Baseline:
    given = {"origin": TrainingData("3"), "model_name": "wine: red/white", "rows": 500}
    return Baseline(name=name, made_at=NOON, **(given | changes))


@pytest.fixture
def s3() -> InMemoryS3:
    return InMemoryS3()


@pytest.fixture
def store(s3) -> S3BaselineStore:
    return S3BaselineStore(s3, "reports")


@pytest.mark.parametrize(
    "origin", [TrainingData("3"), CapturedWindow("3", NOON - HOUR, NOON), RollingWindow("P7D")]
)
def test_a_baseline_is_kept_whole(store, origin):
    constraints = learn_constraints(PROFILE)
    made = store.create(baseline(origin=origin, model_version="3"), PROFILE, constraints)
    found = store.baseline(made.model_name, "spring")
    assert (found, found.origin) == (made, origin)
    assert encode_profile(store.profile(found)) == encode_profile(PROFILE)
    assert store.constraints(found) == constraints
    assert store.baselines(made.model_name) == [made]
    assert store.baselines("wine") == []


def test_a_name_is_taken_once(store):
    store.create(baseline(), PROFILE, Constraints(columns={}))
    with pytest.raises(InvalidInputError, match="has a baseline 'spring' already"):
        store.create(baseline(rows=3), PROFILE, learn_constraints(PROFILE))
    kept = store.baseline(baseline().model_name, "spring")
    assert (kept.rows, store.constraints(kept).columns) == (500, {})


@pytest.mark.parametrize("name", ["", "training", "a/b", ".in-use", "-a", "a" * 65, "ä"])
def test_names_that_are_refused(store, name):
    with pytest.raises(InvalidInputError, match=r"^name: "):
        store.create(baseline(name), PROFILE, Constraints(columns={}))


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True))
def test_other_names_are_taken(name):
    assert name == TRAINING or check_name(name) == name


def test_the_newest_constraints_hold(store, s3):
    made = store.create(baseline(), PROFILE, learn_constraints(PROFILE))
    for rows in range(1, 12):
        store.replace_constraints(made, Constraints(columns={}, reference_rows=rows))
    assert store.constraints(made).reference_rows == 11
    assert sum("constraints-" in key for key in s3.objects) == 12  # the older ones are kept


def test_what_is_in_use(store):
    made = store.create(baseline(), PROFILE, Constraints(columns={}))
    model = made.model_name
    assert store.in_use(model) == TRAINING
    store.use(model, "spring")
    assert store.in_use(model) == "spring"
    assert store.in_use("another") == TRAINING
    assert [each.name for each in store.baselines(model)] == ["spring"]
    with pytest.raises(InvalidInputError, match="'spring' is in use"):
        store.delete(model, "spring")
    store.use(model, TRAINING)
    store.delete(model, "spring")
    with pytest.raises(NotFoundError, match="has no baseline 'spring'"):
        store.baseline(model, "spring")
    with pytest.raises(NotFoundError):
        store.use(model, "spring")
    with pytest.raises(NotFoundError):
        store.delete(model, "spring")


def test_a_deletion_that_was_cut_off_leaves_nothing_that_holds(store, s3):
    model = baseline().model_name
    made = store.create(baseline(), PROFILE, Constraints(columns={}, reference_rows=1))
    store.replace_constraints(made, Constraints(columns={}, reference_rows=2))
    s3.calls.clear()
    s3.fail_at = 4  # the list of the rest of its objects
    with pytest.raises(StoreError):
        store.delete(model, "spring")
    s3.fail_at = None
    assert store.baselines(model) == []
    again = store.create(baseline(), PROFILE, Constraints(columns={}, reference_rows=3))
    assert store.constraints(again).reference_rows == 3


def test_two_changes_at_once_are_seen(store, s3):
    made = store.create(baseline(), PROFILE, Constraints(columns={}))

    class Late(InMemoryS3):
        """Lists what was there before."""

        def paginate(self, **options):
            pages = list(super().paginate(**options))
            yield {"Contents": pages[0].get("Contents", [])[:1]}

    other = S3BaselineStore(Late(objects=s3.objects), "reports")
    store.replace_constraints(made, Constraints(columns={}, reference_rows=1))
    with pytest.raises(StoreError, match="someone else"):
        other.replace_constraints(made, Constraints(columns={}, reference_rows=2))
    assert store.constraints(made).reference_rows == 1


def test_a_baseline_of_another_format_is_not_guessed_at(store, s3):
    made = store.create(baseline(), PROFILE, Constraints(columns={}))
    (key,) = [key for key in s3.objects if key.endswith("baseline.json")]
    s3.objects[key] = s3.objects[key].replace(b'"format":1', b'"format":2')
    with pytest.raises(StoreError, match="has format 2; this code reads 1"):
        store.baseline(made.model_name, "spring")
    store.create(baseline("summer"), PROFILE, Constraints(columns={}))
    assert [each.name for each in store.baselines(made.model_name)] == ["summer"]


def test_a_rolling_window_ends_where_the_analyzed_one_starts():
    before = RollingWindow("P7D").before(WINDOW)
    assert (before.end, before.end - before.start) == (WINDOW.start, timedelta(days=7))
    assert refusal(reference_rows=500, min_rows=1, window=WINDOW, reference_window=before) == ""


def test_which_versions_a_baseline_is_for():
    assert baseline().applies_to("7")
    assert not baseline(model_version="3").applies_to("7")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"reference_rows": 99}, "the reference has 99 rows; 100 are needed"),
        ({"reference_window": WINDOW}, "the reference is the window itself"),
        ({"reference_window": Window(NOON - 3 * HOUR, NOON - HOUR / 2)},
         "the reference has the window's rows of 2026-11-23 11:00 to 2026-11-23 11:30 UTC"),
        ({"reference_window": Window(NOON - 3 * HOUR, NOON - HOUR)}, ""),
        ({"reference_window": WINDOW, "same_version": False}, ""),
        ({"objects": ["a", "b"], "reference_objects": ["b", "a"]},
         "the reference is made of the same objects as the window"),
        ({"objects": ["a", "b"], "reference_objects": ["a"]}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_references_that_are_refused(given, reason):
    usual = {"reference_rows": 500, "min_rows": 100, "window": WINDOW}
    assert refusal(**(usual | given)) == reason
