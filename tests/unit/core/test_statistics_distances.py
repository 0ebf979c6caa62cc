"""Our distances beside Evidently's own functions on the same rows, and on sketches of them."""

import contextlib
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import examples
from modelwatch.domain.profiles import number_column, text_column
from modelwatch.domain.statistics.cells import few_decide
from modelwatch.domain.statistics.distances import METHODS, Method
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.statistics.significance import PValue
from modelwatch.domain.statistics.transport import core_deviation, smallest_deviation
from modelwatch.domain.verdict.features import evaluate_columns
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.settings.kinds import distance

NUMERICAL = [name for name, method in METHODS.items() if "numerical" in method.kinds]
CATEGORICAL = [
    name for name, method in METHODS.items() if "categorical" in method.kinds and name != "TVD"
]


def evidently(name: str, kind: str, reference: list, window: list) -> float:
    """Return Evidently's score, by its own function; raises RuntimeWarning when it is not exact."""
    # every worker of a run collects every module, and this import takes seconds
    from evidently.legacy.calculations.stattests.registry import get_registered_stattest
    from evidently.legacy.core import ColumnType

    column_type = ColumnType.Numerical if kind == "numerical" else ColumnType.Categorical
    test = get_registered_stattest(name, column_type)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "ks_2samp: Exact calculation unsuccessful")
        return float(test(pd.Series(reference), pd.Series(window), column_type, None).drift_score)


def numbers_of(values: list) -> Distribution:
    return Distribution.of_numbers(values)


def texts_of(values: list) -> Distribution:
    return Distribution.of_counts(pd.Series(values).value_counts().to_dict())


def assert_same(name: str, kind: str, reference: list, window: list) -> None:
    count = numbers_of if kind == "numerical" else texts_of
    ours = METHODS[name].score(count(reference), count(window))
    theirs = evidently(name, kind, list(reference), list(window))
    # a root magnifies what float noise leaves of a difference that is none
    noise = 1e-7 if name in ("jensenshannon", "hellinger") else 1e-9
    assert ours == pytest.approx(theirs, rel=1e-6, abs=noise)


def shifted(kind: str, size: int, shift: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    draws = {
        "normal": lambda: generator.normal(shift, 1, size),
        "tiny": lambda: generator.normal(shift, 1, size) * 1e-5,
        "lognormal": lambda: generator.lognormal(shift, 1, size),
        "heavy": lambda: generator.standard_t(3, size) + shift,
        "few values": lambda: generator.integers(0, 12, size) + np.round(shift),
        "many ties": lambda: np.round(generator.normal(shift, 1, size), 1),
        "constant": lambda: np.full(size, 4.2),
    }
    return draws[kind]()


@pytest.mark.parametrize("name", NUMERICAL)
@pytest.mark.parametrize("shift", [0.0, 0.15, 2.0])
@pytest.mark.parametrize("sizes", [(142, 50), (300, 300), (3_000, 1_234), (12_000, 3_000)])
@pytest.mark.parametrize(
    "kind", ["normal", "tiny", "lognormal", "heavy", "few values", "many ties", "constant"]
)
def test_numbers_have_evidentlys_scores(name, shift, sizes, kind):
    sides = shifted(kind, sizes[0], 0, 1), shifted(kind, sizes[1], shift, 2)
    if (name, kind) == ("wasserstein", "tiny"):
        # Evidently sees no change of numbers with a deviation far below 0.001
        ours = METHODS[name].score(*map(numbers_of, sides))
        assert ours == pytest.approx(evidently(name, "numerical", *(1e5 * each for each in sides)))
    else:
        assert_same(name, "numerical", *sides)


@settings(max_examples=examples(150), deadline=None)
@given(
    name=st.sampled_from(NUMERICAL),
    reference=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    window=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
)
def test_any_numbers_have_evidentlys_scores(name, reference, window):
    sides = numbers_of(reference), numbers_of(window)
    both = np.concatenate([reference, window])
    deviations = sides[0].deviation, core_deviation(sides[0])
    least = smallest_deviation(sides[0])
    by_deviation = max(deviations[0], least) >= 3 * max(deviations[1], least)
    # numbers below 1 that hardly differ
    by_deviation |= deviations[0] < 0.001 and least < 0.001
    by_cells = few_decide(*sides, (both.max() - both.min()) / 2)
    if name == "wasserstein" and by_deviation:
        # what a few far values make Evidently not see
        theirs = evidently(name, "numerical", reference, window)
        assert METHODS[name].score(*sides) >= theirs * (1 - 1e-6)
    elif name == "ks":
        with contextlib.suppress(RuntimeWarning):  # Evidently then has an approximation
            assert_same(name, "numerical", reference, window)
    elif name == "wasserstein" or not by_cells:
        assert_same(name, "numerical", reference, window)


@settings(max_examples=examples(200), deadline=None)
@given(
    name=st.sampled_from(CATEGORICAL),
    reference=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=80),
    window=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=80),
)
def test_any_categories_have_evidentlys_scores(name, reference, window):
    if name in ("chisquare", "z") and len({*reference, *window}) == 1:
        assert METHODS[name].score(texts_of(reference), texts_of(window)) == 1.0
        return
    assert_same(name, "categorical", reference, window)


def test_total_variation_is_evidentlys_up_to_the_permutations():
    generator = np.random.default_rng(5)
    reference = list(generator.choice(list("abc"), 120, p=[0.5, 0.3, 0.2]))
    window = list(generator.choice(list("abc"), 60, p=[0.4, 0.3, 0.3]))
    theirs = evidently("TVD", "categorical", reference, window)
    ours = METHODS["TVD"].score(texts_of(reference), texts_of(window))
    assert ours == pytest.approx(theirs, abs=4 * math.sqrt(2 * 0.25 / 1000))


@pytest.mark.parametrize("kind", ["normal", "lognormal", "heavy", "many ties"])
@pytest.mark.parametrize("shift", [0.0, 0.15, 0.5])
def test_sketches_give_the_scores_within_their_bound(kind, shift):
    old, new = shifted(kind, 50_000, 0, 3), shifted(kind, 200_000, shift, 4)
    exact = numbers_of(old), numbers_of(new)
    sketched = tuple(Distribution.of_column(number_column(values)) for values in (old, new))
    assert sketched[0].error == 0.0133
    both = exact[0].error + sketched[0].error + sketched[1].error

    def difference(name: str) -> float:
        return abs(METHODS[name].score(*sketched) - METHODS[name].score(*exact))

    # the middle 99 % of the values, and the mean of what is left: a sketch's rank error is over
    # a width; in the tails, where the width is, few values are
    width = np.subtract(*np.quantile(np.concatenate([old, new]), [0.995, 0.005])) / np.std(old)
    assert difference("wasserstein") < both * width / 2
    # a share of a cell is a difference of two ranks
    assert difference("jensenshannon") < math.sqrt(both)
    assert difference("hellinger") < math.sqrt(2 * both)
    assert difference("psi") < 0.1


def test_a_sketch_of_few_values_has_the_exact_scores():
    old, new = shifted("normal", 142, 0, 1), shifted("normal", 150, 0.3, 2)
    sketched = [Distribution.of_column(number_column(values)) for values in (old, new)]
    assert [side.error for side in sketched] == [0, 0]
    for name in NUMERICAL:
        ours = METHODS[name].score(sketched[0], sketched[1])
        assert ours == pytest.approx(METHODS[name].score(numbers_of(old), numbers_of(new)))


def test_uncounted_categories_make_distances_smaller_not_larger():
    counts = {f"c{number:04d}": 1500 - number for number in range(1500)}
    moved = {f"c{number:04d}": 1 + number for number in range(1500)}
    cut = [Distribution.of_column(text_column(side, nulls=0)) for side in (counts, moved)]
    whole = [Distribution.of_counts(side) for side in (counts, moved)]
    assert all(side.rest for side in cut)
    for name in ("jensenshannon", "hellinger"):
        score = METHODS[name].score(cut[0], cut[1])
        assert 0.05 < score <= METHODS[name].score(whole[0], whole[1])


@pytest.mark.parametrize("name", NUMERICAL)
@pytest.mark.parametrize(
    ("reference", "window"),
    [
        ([1.0] * 5, [1.0] * 9),
        ([1.0] * 5, [2.0] * 9),
        ([1.0], [2.0]),
        ([0.0, 1e308, -1e308], [5.0, 1e308]),
        (list(range(50)), [math.inf, math.nan, 3.0]),
        ([5e-324] * 3, [0.0] * 3),
    ],
)
def test_odd_columns_have_a_score(name, reference, window):
    score = METHODS[name].score(numbers_of(reference), numbers_of(window))
    assert not math.isnan(score)
    assert score >= 0


def test_missing_and_infinite_values_do_not_count():
    assert numbers_of([math.nan, math.inf, -math.inf]).kind == "empty"
    assert numbers_of([]).kind == "empty"
    assert Distribution.of_counts({}, missing=4).missing_ratio == 1.0
    column = number_column(np.array([1.0, np.nan, np.inf, 3.0]))
    assert Distribution.of_column(column).size == 2


def test_a_method_is_one_object_in_one_place(monkeypatch):
    """Settings take a new one, and verdicts are made by it: no other table has to know it."""

    def moved(reference: Distribution, window: Distribution) -> float:
        return abs(reference.minimum - window.minimum)

    new = Method("moved", ("numerical",), moved, lambda pairs: [PValue(0.001) for _ in pairs], 2.0)
    monkeypatch.setitem(METHODS, new.name, new)
    assert distance("numerical")("moved") == "moved"
    with pytest.raises(ValueError, match="moved"):
        distance("categorical")("moved")
    policy = DriftPolicy(numerical_method="moved", numerical_threshold=new.threshold)
    sides = [{"a": numbers_of([first, *range(20, 40)])} for first in (0, 3)]
    (found,) = evaluate_columns(*sides, policy, level=0.01)
    assert (found.method, found.status, found.score) == ("moved", "drift", 3.0)
    assert (found.p_value, found.critical_score) == (0.001, 2.0)


def many_categories(draw, rows, seed):
    texts, counts = np.unique(draw(np.random.default_rng(seed), rows), return_counts=True)
    named = {f"c{text}": int(count) for text, count in zip(texts, counts, strict=True)}
    return Distribution.of_column(text_column(named, nulls=0))


@pytest.mark.parametrize("sizes", [(8400, 1050), (300, 150), (40_000, 3000)])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, rows: rng.integers(0, 900, rows),
        lambda rng, rows: rng.integers(0, 3000, rows),
        lambda rng, rows: rng.zipf(1.3, rows) % 100_000,
    ],
    ids=["900 alike", "3000 alike", "many rare"],
)
def test_many_categories_alone_are_no_news(draw, sizes):
    """Neither their order nor which of them are counted may depend on one side's luck."""
    pairs = [
        (many_categories(draw, sizes[0], seed), many_categories(draw, sizes[1], seed + 100))
        for seed in range(20)
    ]
    p_values = np.array([each.p_value for each in METHODS["jensenshannon"].chances(pairs)])
    assert p_values.min() > 1e-4
    assert (p_values < 0.05).mean() <= 0.15


def test_many_categories_of_which_some_come_more_often_are_news():
    reference = many_categories(lambda rng, rows: rng.integers(0, 900, rows), 8400, 1)
    window = many_categories(
        lambda rng, rows: np.minimum(rng.integers(0, 900, rows), rng.integers(0, 900, rows)),
        3000, 2,
    )  # fmt: skip
    (chance,) = METHODS["jensenshannon"].chances([(reference, window)])
    assert chance.p_value < 1e-4
