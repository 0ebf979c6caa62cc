"""Profiles: what merging keeps, how far sketches may be off, and how they are written down."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from examples import examples
from modelwatch.domain.profiles import (
    FREQUENT_TEXTS,
    Profile,
    QuantileSketch,
    Slice,
    decode_profile,
    decode_slices,
    encode_profile,
    encode_slices,
    merge_columns,
    merge_profiles,
    merge_slices,
    number_column,
    number_columns,
    text_column,
)
from modelwatch.domain.profiles.distinct import RELATIVE_ERROR
from modelwatch.errors import ProfileFormatError

numbers = arrays.arrays(
    np.float64, st.integers(0, 3000), elements=st.floats(-1e100, 1e100), fill=st.floats(-5, 5)
)
columns = arrays.arrays(np.float64, st.integers(0, 400), elements=st.floats(width=64))


def rank_error(sketch: QuantileSketch, values: np.ndarray) -> float:
    ordered = np.sort(values)
    true = np.searchsorted(ordered, ordered, side="right") / len(ordered)
    return float(np.max(np.abs(sketch.cdf(ordered) - true)))


@given(numbers)
def test_a_sketch_stands_for_every_value(values: np.ndarray) -> None:
    sketch = QuantileSketch.from_values(values)
    held, weights = sketch.weighted()
    assert sketch.n == len(values) == weights.sum()
    assert np.all(np.diff(held) >= 0)
    if len(values):
        assert (sketch.minimum, sketch.maximum) == (values.min(), values.max())
        assert rank_error(sketch, values) <= QuantileSketch.RANK_ERROR
        assert sketch.quantile(0.0) == values.min()
        assert sketch.quantile(1.0) == values.max()
    if sketch.exact:
        np.testing.assert_array_equal(held, np.sort(values))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", ["normal", "lognormal", "ties", "ascending"])
def test_merged_sketches_keep_the_bound(seed: int, shape: str) -> None:
    generator = np.random.default_rng(seed)
    values = {
        "normal": generator.normal(size=60_000),
        "lognormal": generator.lognormal(sigma=3, size=60_000),
        "ties": generator.integers(0, 7, size=60_000).astype(float),
        "ascending": np.arange(60_000.0),
    }[shape]
    ends = np.sort(generator.choice(np.arange(1, len(values)), 100, replace=False))
    parts = [QuantileSketch.from_values(part) for part in np.split(values, ends)]
    together = QuantileSketch.merge(parts)
    one_by_one = parts[0]
    for part in parts[1:]:
        one_by_one = QuantileSketch.merge([one_by_one, part])
    for sketch in (together, one_by_one):
        assert sketch.n == len(values)
        assert sketch.size < 700
        assert rank_error(sketch, values) <= QuantileSketch.RANK_ERROR


def test_an_empty_sketch_gives_nan() -> None:
    empty = QuantileSketch.merge([])
    assert empty.n == 0
    assert math.isnan(empty.quantile(0.5))
    assert math.isnan(empty.cdf(0.0))


@given(st.lists(columns, min_size=1, max_size=3))
def test_columns_merge_as_if_profiled_at_once(parts: list[np.ndarray]) -> None:
    values = np.concatenate(parts)
    merged = merge_columns([number_column(part) for part in parts], len(values))
    whole = number_column(values)
    for name in ("rows", "nulls", "numbers", "infinities", "minimum", "maximum", "kind"):
        assert getattr(merged, name) == getattr(whole, name), name
    np.testing.assert_array_equal(merged.registers, whole.registers)
    assert merged.sketch.n == whole.sketch.n
    finite = values[np.isfinite(values)]
    if len(finite) and np.abs(finite).max() < 1e150:
        scale = float(np.abs(finite).max())
        assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9 * scale)
        assert merged.deviation == pytest.approx(whole.deviation, rel=1e-6, abs=1e-6 * scale)
        assert whole.mean == pytest.approx(finite.mean(), rel=1e-9, abs=1e-9 * scale)


@given(
    st.lists(
        st.dictionaries(st.text(max_size=3), st.integers(1, 50), max_size=20),
        min_size=1,
        max_size=5,
    )
)
def test_few_texts_are_counted_exactly(parts: list[dict[str, int]]) -> None:
    columns = [text_column(part, nulls=1) for part in parts]
    merged = merge_columns(columns, sum(column.rows for column in columns) + 2)
    true: dict[str, int] = {}
    for part in parts:
        for text, count in part.items():
            true[text] = true.get(text, 0) + count
    assert dict(merged.counts) == true
    assert (merged.rest, merged.undercount) == (0, 0)
    assert merged.nulls == len(parts) + 2
    assert merged.strings == sum(true.values())


def test_many_texts_are_counted_within_the_stated_bound() -> None:
    generator = np.random.default_rng(3)
    true: dict[str, int] = {}
    parts = []
    for _ in range(6):
        drawn = generator.zipf(1.3, size=5_000)
        names, counts = np.unique(np.minimum(drawn, 10**6), return_counts=True)
        part = {f"t{name}": int(count) for name, count in zip(names, counts, strict=True)}
        parts.append(text_column(part, nulls=0))
        for text, count in part.items():
            true[text] = true.get(text, 0) + count
    merged = merge_columns(parts, 30_000)
    assert len(merged.counts) == FREQUENT_TEXTS < len(true)
    assert sum(merged.counts.values()) + merged.rest == 30_000
    for text, count in true.items():
        assert merged.counts.get(text, 0) <= count
        assert count <= merged.counts.get(text, 0) + merged.undercount
    assert merged.distinct == pytest.approx(len(true), rel=4 * RELATIVE_ERROR)


@pytest.mark.parametrize("n", [0, 1, 2, 50, 1_000, 3_000, 20_000, 300_000])
def test_distinct_values_are_estimated_within_four_deviations(n: int) -> None:
    column = number_column(np.repeat(np.arange(n) / 7, 2))
    assert column.distinct == pytest.approx(n, rel=4 * RELATIVE_ERROR, abs=0.5)


def test_zero_and_minus_zero_are_one_value() -> None:
    assert round(number_column(np.array([0.0, -0.0])).distinct) == 1


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (number_column(np.array([np.nan, np.nan])), "empty"),
        (number_column(np.array([np.inf, -np.inf])), "numerical"),
        (text_column({}, nulls=3), "empty"),
        (text_column({"true": 2}, nulls=0, boolean=True), "categorical"),
        (merge_columns([number_column(np.ones(3)), text_column({"a": 2}, 0)], 5), "numerical"),
        (merge_columns([number_column(np.ones(2)), text_column({"a": 3}, 0)], 5), "categorical"),
    ],
)
def test_a_column_says_what_it_mostly_holds(column, kind: str) -> None:
    assert column.kind == kind
    assert column.rows == column.nulls + column.numbers + column.booleans + column.strings
    assert decode_profile(encode_profile(profile(a=column))).features["a"].kind == kind


def test_large_numbers_do_not_overflow() -> None:
    column = number_column(np.array([1.7e308, 1.7e308, -1.7e308]))
    assert column.mean == pytest.approx(1.7e308 / 3)
    assert column.deviation == pytest.approx(1.7e308 / 3 * math.sqrt(8))


@pytest.mark.parametrize("unit", [1e-320, 1e-200, 1e153, 1e154, 1e200, 1e307])
def test_moments_are_right_in_every_unit(unit: float) -> None:
    values = np.arange(1.0, 17.0) * unit
    parts = [values[:3], values[3:], np.array([])]
    for column in (
        number_column(values),
        merge_columns([number_column(part) for part in parts], 16),
        decode_profile(encode_profile(profile(a=number_column(values)))).features["a"],
    ):
        assert column.mean == pytest.approx(8.5 * unit, rel=1e-3)
        assert column.deviation == pytest.approx(np.std(np.arange(16.0)) * unit, rel=1e-3)


def test_numbers_of_any_size_merge_with_others() -> None:
    parts = [number_column(np.array(each)) for each in ([1.0, 3.0], [1e200], [-1e-300])]
    merged = merge_columns(parts, 4)
    assert merged.mean == pytest.approx(2.5e199)
    assert merged.deviation == pytest.approx(np.std([0, 0, 1, 0]) * 1e200)


matrices = st.integers(1, 3).flatmap(
    lambda rows: st.lists(
        st.lists(st.floats(width=64), min_size=rows, max_size=rows), min_size=1, max_size=4
    )
)


@given(
    matrices | st.integers(300, 3000).map(lambda n: np.random.default_rng(n).normal(size=(3, n)))
)
def test_many_columns_at_once_are_the_same_to_the_bit(rows) -> None:
    matrix = np.array(rows, np.float64)
    for column, values in zip(number_columns(matrix), matrix, strict=True):
        one = profile(a=column, rows=9999)
        assert encode_profile(one) == encode_profile(profile(a=number_column(values), rows=9999))


@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False)
        | st.decimals(-(10**6), 10**6, places=3).map(float),
        min_size=1,
        max_size=50,
    )
)
def test_numbers_come_back_to_the_bit(values: list[float]) -> None:
    column = number_column(np.array(values))
    again = decode_profile(encode_profile(profile(a=column))).features["a"]
    for one, other in zip(column.sketch.levels, again.sketch.levels, strict=True):
        assert one.tobytes() == other.tobytes()


def profile(rows: int | None = None, **features) -> Profile:
    rows = rows or max(column.rows for column in features.values())
    return Profile(rows=rows, estimated_rows=rows * 2.0, first_ms=10, last_ms=20, features=features)


def test_a_column_that_a_part_lacks_is_missing_there() -> None:
    merged = merge_profiles(
        [profile(a=number_column(np.ones(3))), Profile(), profile(b=text_column({"x": 2}, nulls=0))]
    )
    assert merged.rows == 5
    assert merged.estimated_rows == 10
    assert (merged.features["a"].rows, merged.features["a"].nulls) == (5, 2)
    assert (merged.features["b"].rows, merged.features["b"].nulls) == (5, 3)


def test_no_profiles_merge_to_an_empty_one() -> None:
    assert merge_profiles([]) == Profile()


@settings(max_examples=examples(30))
@given(numbers, st.dictionaries(st.text(max_size=5), st.integers(1, 9), max_size=8))
def test_what_is_written_is_read_again_to_the_bit(values: np.ndarray, texts) -> None:
    slices = [
        Slice("champion", 60_000, profile(a=number_column(values), b=text_column(texts, 1))),
        Slice("", 0, profile(rows=1, c=number_column(np.array([np.nan])))),
    ]
    written = encode_slices(slices)
    again = decode_slices(written)
    assert encode_slices(again) == written
    assert again[0].profile.features["a"].sketch.n == len(values)
    assert dict(again[0].profile.features["b"].counts) == texts


@settings(max_examples=examples(20))
@given(st.lists(numbers, min_size=1, max_size=4))
def test_merging_is_repeatable_to_the_bit(parts: list[np.ndarray]) -> None:
    def merged() -> bytes:
        return encode_profile(merge_profiles([profile(9999, a=number_column(p)) for p in parts]))

    assert merged() == merged()


def test_slices_merge_by_variant_and_minute() -> None:
    one = profile(a=number_column(np.ones(1)))
    merged = merge_slices([Slice("b", 60_000, one), Slice("a", 0, one), Slice("b", 60_000, one)])
    assert [(each.variant, each.minute_ms, each.profile.rows) for each in merged] == [
        ("a", 0, 1),
        ("b", 60_000, 2),
    ]


@pytest.mark.parametrize(
    "data", [b"", b"no", b"\x92\x02\x90", encode_slices([])[:-1], encode_slices([])]
)
def test_what_is_no_profile_is_refused(data: bytes) -> None:
    with pytest.raises(ProfileFormatError):
        decode_profile(data)
