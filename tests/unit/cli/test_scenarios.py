"""Simulated rows: what each scenario changes, and what it leaves alone."""

import itertools

import numpy as np
import pandas as pd
import pytest

from modelwatch.domain.segments import parse_segments
from modelwatch.errors import InvalidInputError
from modelwatch_cli.traffic.commands import ScenarioName
from modelwatch_cli.traffic.scenarios import (
    CHUNK_ROWS,
    ENDLESS_ROWS,
    MISTYPED,
    MISTYPED_SHARE,
    OUT_OF_RANGE_SHARE,
    SCENARIOS,
    UNSEEN,
    UNSEEN_SHARE,
    draw_rows,
    segment_of,
    simulate_rows,
)

ROWS = 4000


@pytest.fixture
def numbers():
    generator = np.random.default_rng(1)
    return pd.DataFrame({name: generator.normal(10, 2, 3000) for name in ("a", "b", "c", "d")})


@pytest.fixture
def mixed(numbers):
    colours = np.random.default_rng(2).choice(["red", "white", "rose"], 3000, p=[0.6, 0.3, 0.1])
    return numbers.assign(colour=colours, dry=np.arange(3000) % 2 == 0)


def simulated(name: str, reference: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(simulate_rows(SCENARIOS[name], reference, ROWS, seed=3))


def shifts(rows: pd.DataFrame, reference: pd.DataFrame) -> np.ndarray:
    """Return how far the means moved, in standard deviations of the reference."""
    names = ["a", "b", "c", "d"]
    return ((rows[names].mean() - reference[names].mean()) / reference[names].std()).to_numpy()


def test_the_command_offers_every_scenario():
    assert [name.value for name in ScenarioName] == list(SCENARIOS)


def test_the_same_seed_gives_the_same_rows(mixed):
    assert simulated("segment_drift", mixed).equals(simulated("segment_drift", mixed))


@pytest.mark.parametrize("kind", ["numbers", "mixed"])
def test_one_segment_drifts_and_the_others_do_not(kind, request):
    reference = request.getfixturevalue(kind)
    segment = segment_of(reference)
    rows = simulated("segment_drift", reference)
    inside, others = segment.of(rows), segment.of(reference)
    assert 0.05 < inside.mean() < 0.15
    free = slice(0, 3 if kind == "numbers" else 4)  # of the segment's own column the rest is moved
    assert shifts(rows[inside], reference[others])[free] == pytest.approx(1, abs=0.3)
    assert shifts(rows[~inside], reference[~others]) == pytest.approx(0, abs=0.1)
    assert shifts(rows, reference)[free] == pytest.approx(0.1, abs=0.1)


def test_the_segment_of_a_model_of_numbers_is_its_last_feature_s_top(numbers):
    segment = segment_of(numbers)
    assert (segment.column, segment.category) == ("d", None)
    assert segment.at_least == pytest.approx(numbers["d"].quantile(0.9))


def test_the_segment_of_a_model_with_categories_is_the_rarest_one(mixed):
    assert (segment_of(mixed).column, segment_of(mixed).category) == ("colour", "rose")


@pytest.mark.parametrize("kind", ["numbers", "mixed"])
def test_the_segment_can_be_declared_as_one_that_is_watched(kind, request):
    reference = request.getfixturevalue(kind)
    segment = segment_of(reference)
    columns = {name: reference[name].to_numpy() for name in reference}
    (rows,) = parse_segments(segment.expression).rows(columns, len(reference)).values()
    assert rows.tolist() == segment.of(reference).tolist()


def test_missing_values_are_in_some_numbers_only(mixed):
    rows = simulated("missing_values", mixed)
    missing = rows.isna().mean()
    assert missing[["a", "b"]].to_numpy() == pytest.approx(0.35, abs=0.05)
    assert missing[["c", "d", "colour", "dry"]].sum() == 0


def test_unseen_categories_are_in_every_column_of_categories(mixed):
    rows = simulated("unseen_categories", mixed)
    assert (rows["colour"] == UNSEEN).mean() == pytest.approx(UNSEEN_SHARE, abs=0.03)
    assert rows["dry"].map(type).eq(bool).all()
    assert shifts(rows, mixed) == pytest.approx(0, abs=0.1)


def test_a_model_without_categories_has_none_that_are_unseen(numbers):
    with pytest.raises(InvalidInputError, match="the model has no categories"):
        simulated("unseen_categories", numbers)


def test_whole_numbers_stay_whole(numbers):
    whole = np.arange(3000) % 7
    reference = numbers.assign(rooms=whole, grams=whole * 100.0)
    for name in ("normal", "gradual_drift", "data_quality"):
        rows = simulate_rows(SCENARIOS[name], reference, 50, seed=1)
        assert {type(row["rooms"]) for row in rows} == {int}
        assert {type(row["grams"]) for row in rows} == {float}
        assert all(row["grams"].is_integer() for row in rows)
        assert not all(row["c"].is_integer() for row in rows)


def test_a_missing_whole_number_is_null_as_any_other(numbers):
    reference = pd.DataFrame({"grams": np.arange(100) * 1.0}).join(numbers[:100])
    for name in ("missing_values", "data_quality"):
        values = [row["grams"] for row in simulate_rows(SCENARIOS[name], reference, 90, seed=1)]
        assert values.count(None) > 20
        assert all(value is None or value == value for value in values)


def test_data_quality_has_missing_mistyped_and_out_of_range_values(mixed):
    rows = simulated("data_quality", mixed)
    mistyped = rows["a"].eq(MISTYPED)
    assert mistyped.mean() == pytest.approx(MISTYPED_SHARE, abs=0.02)
    assert rows["b"].isna().mean() == pytest.approx(0.35, abs=0.05)
    beyond = rows["d"] > mixed["d"].max() + 3
    assert beyond.mean() == pytest.approx(OUT_OF_RANGE_SHARE, abs=0.03)
    assert SCENARIOS["data_quality"].statuses == {"200", "400"}
    assert SCENARIOS["normal"].statuses == {"200"}


@pytest.mark.parametrize(
    ("name", "size", "features"),
    [("slight_drift", 0.8, 1), ("moderate_drift", 1.5, 2), ("severe_drift", 2, 4)],
)
def test_a_drift_all_along_moves_its_share_of_the_features(numbers, name, size, features):
    moved = shifts(simulated(name, numbers), numbers)
    assert moved == pytest.approx([size] * features + [0] * (4 - features), abs=0.1)


def test_without_an_end_a_scenario_unfolds_and_stays(numbers):
    endless = draw_rows(SCENARIOS["sudden_shift"], numbers, None, seed=1)
    rows = pd.DataFrame(itertools.islice(endless, CHUNK_ROWS + 500))
    half = ENDLESS_ROWS // 2
    assert shifts(rows[:half], numbers) == pytest.approx(0, abs=0.2)
    assert shifts(rows[half:], numbers) == pytest.approx(3, abs=0.1)
    # rows are drawn anew, not said again
    assert not rows[:500].equals(rows[CHUNK_ROWS:].reset_index(drop=True))


def test_many_rows_are_drawn_part_by_part_as_one(numbers):
    count = CHUNK_ROWS * 2 + 10
    rows = pd.DataFrame(draw_rows(SCENARIOS["sudden_shift"], numbers, count, seed=1))
    assert len(rows) == count
    assert shifts(rows[: count // 2], numbers) == pytest.approx(0, abs=0.1)
    assert shifts(rows[count // 2 :], numbers) == pytest.approx(3, abs=0.1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "unseen_categories"])
def test_numbers_of_any_size_stay_numbers_that_a_request_can_have(name):
    generator = np.random.default_rng(4)
    reference = pd.DataFrame(
        {
            "tiny": generator.normal(0, 1e-300, 500),
            "huge": generator.normal(0, 1e300, 500),
            "largest": generator.choice([-1.7e308, 1.7e308], 500),
            "id": 2**63 - 1 - generator.integers(0, 2**20, 500),
            "byte": generator.integers(-128, 128, 500).astype("int8"),
            "zero": -0.0,
        }
    )
    rows = simulate_rows(SCENARIOS[name], reference, 300, 1)
    for column in reference:
        sent = [row[column] for row in rows if row[column] not in (None, MISTYPED)]
        assert np.isfinite(np.array(sent, float)).all()
        if column in ("id", "byte"):
            bounds = np.iinfo(reference[column].dtype)
            assert all(isinstance(each, int) and bounds.min <= each <= bounds.max for each in sent)


def test_rows_like_the_reference_stay_so_where_numbers_are_tiny_or_huge():
    generator = np.random.default_rng(4)
    reference = pd.DataFrame(
        {"tiny": generator.normal(0, 1e-300, 500), "huge": generator.normal(0, 1e300, 500)}
    )
    rows = simulated("normal", reference)
    for name, size in (("tiny", 1e-300), ("huge", 1e300)):
        sizes = [(frame[name] / size).std() for frame in (rows, reference)]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.1)
