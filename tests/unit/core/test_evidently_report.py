"""Evidently itself beside our verdicts: the same methods, the same numbers, one page."""

import re

import numpy as np
import pyarrow as pa
import pytest

from modelwatch.adapters.captures.arrow_profiles import profile_table
from modelwatch.adapters.results.evidently_report import EvidentlyReporter, run_preset, scores_of
from modelwatch.adapters.results.pictures import picture
from modelwatch.domain.profiles import QuantileSketch, merge_profiles
from modelwatch.domain.statistics.distances import METHODS, Method
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.statistics.homogeneity import cell_chances
from modelwatch.domain.verdict.features import evaluate_columns
from modelwatch.domain.verdict.results import FeatureDrift, WindowVerdict
from modelwatch.domain.verdict.rules import DriftPolicy

RNG = np.random.default_rng(7)
COLOURS = np.array(["red", "white", "rosé"])


def table(**columns: object) -> pa.Table:
    return pa.table({f"feature_{name}": values for name, values in columns.items()})


def rows(count: int, shift: float) -> pa.Table:
    return table(
        same=RNG.normal(10, 2, count),
        moved=RNG.normal(10 + shift, 2, count),
        wide=RNG.lognormal(0, 1 + shift / 5, count),
        colour=COLOURS[RNG.choice(3, count, p=[0.6 - shift / 10, 0.2 + shift / 10, 0.2])],
        organic=RNG.random(count) < 0.3,
    )


def evaluate(
    reference: pa.Table, windows: list[pa.Table], policy: DriftPolicy
) -> dict[str, FeatureDrift]:
    window = merge_profiles([profile_table(each) for each in windows])
    sides = [
        {name: Distribution.of_column(column) for name, column in profile.features.items()}
        for profile in (profile_table(reference), window)
    ]
    return {each.feature: each for each in evaluate_columns(*sides, policy, level=0.05)}


def verdict_of(features: dict[str, FeatureDrift], policy: DriftPolicy) -> WindowVerdict:
    return WindowVerdict(
        status="drift",
        reason="1 < 2",
        rows=300,
        reference="training data",
        reference_rows=200,
        features=tuple(features.values()),
        drifted_features=tuple(name for name, each in features.items() if each.status == "drift"),
        policy=policy,
        past_days=40,
    )


@pytest.mark.parametrize(
    ("numerical", "categorical"),
    [
        ("wasserstein", "jensenshannon"),
        ("jensenshannon", "psi"),
        ("psi", "chisquare"),
        ("ks", "hellinger"),
        ("kl_div", "z"),
    ],
)
def test_where_evidently_sees_all_rows_its_scores_are_ours(numerical, categorical):
    policy = DriftPolicy(numerical_method=numerical, categorical_method=categorical, mode="classic")
    skip = {"colour"} if categorical == "z" else set()
    for count, shift in ((150, 0.0), (200, 1.0)):
        reference, window = rows(200, 0.0), rows(count, shift)
        ours = evaluate(reference, [window], policy)
        theirs = scores_of(
            run_preset(reference, window, [ours[name] for name in ours if name not in skip], policy)
        )
        assert theirs.keys() == ours.keys() - skip
        for name, score in theirs.items():
            # all values are in the sketches still
            assert ours[name].score == pytest.approx(score, rel=1e-6, abs=1e-9), name


def test_on_sketches_the_distance_is_within_their_error_and_the_decision_is_the_same():
    policy = DriftPolicy(mode="classic", numerical_threshold=0.2)
    reference = rows(20_000, 0.0)
    parts = [rows(1_000, 2.0) for _ in range(40)]
    ours = evaluate(reference, parts, policy)
    features = list(ours.values())
    theirs = scores_of(run_preset(reference, pa.concat_tables(parts), features, policy))
    for name, score in theirs.items():
        assert (score >= policy.threshold(ours[name].kind)) == (ours[name].status == "drift"), name
    for name in ("same", "moved"):
        # an error of a rank is at most the spread of the values times it, on both sides
        spread = 8 * 2 / 2
        assert ours[name].score == pytest.approx(
            theirs[name], abs=2 * QuantileSketch.RANK_ERROR * spread
        )


@pytest.fixture(scope="module")
def verdicts() -> dict[str, FeatureDrift]:
    numbers = np.linspace(5, 15, 300)
    reference = table(
        same=numbers, moved=numbers, empty=[1.0] * 300, constant=[5.0] * 300, gone=numbers,
        mixed=numbers,
    )  # fmt: skip
    window = table(
        same=numbers[::2], moved=numbers[::2] + 3, empty=pa.array([None] * 150, pa.float64()),
        constant=[5.0] * 150, new=numbers[::2], mixed=["x"] * 150,
    )  # fmt: skip
    policy = DriftPolicy()
    found = evaluate(reference, [window], policy)
    page = EvidentlyReporter().html(
        reference, window, verdict_of(found, policy), "wine version 1",
        notes=["changed: moved since 10 < 12"],
        profiles=(profile_table(reference), profile_table(window)),
    )  # fmt: skip
    return {"page": page, **found}


def test_every_feature_has_its_own_verdict(verdicts):
    statuses = {name: each.status for name, each in verdicts.items() if name != "page"}
    assert statuses == {
        "same": "ok",
        "moved": "drift",
        "empty": "unknown",
        "constant": "ok",
        "gone": "unknown",
        "new": "unknown",
        "mixed": "unknown",
    }
    assert verdicts["empty"].reason == "the window has no value in it"
    assert verdicts["empty"].missing_ratio == 1.0
    assert verdicts["gone"].reason == "the window has no such column"


def test_the_report_is_one_page_of_what_could_be_compared(verdicts):
    assert b"<html" in verdicts["page"]
    assert b"moved" in verdicts["page"]
    _, _, evidently = verdicts["page"].partition(b"</section>")
    assert b"mixed" not in evidently


def test_the_page_says_whose_it_is_and_why_each_feature_has_its_status(verdicts):
    heading = verdicts["page"].partition(b"</section>")[0].partition(b"<body>")[2].decode()
    assert "<h1>wine version 1: drift</h1>" in heading
    assert "1 &lt; 2. 300 rows, compared with training data (200 rows)" in heading
    assert "Critical scores are from past windows of 40 days" in heading
    assert "a sample of 150 rows" in heading
    moved = verdicts["moved"]
    assert f"<td>{moved.score:.3g}</td><td>{moved.critical_score:.3g}</td>" in heading
    assert "numbers on one side, other values on the other" in heading
    assert "<p>changed: moved since 10 &lt; 12.</p>" in heading


def test_the_page_has_a_picture_of_each_drifted_feature(verdicts):
    heading = verdicts["page"].partition(b"</section>")[0].decode()
    pictures = re.findall(r"<figure>.*?</figure>", heading)
    assert len(pictures) == 1
    assert 'aria-label="moved: reference beside window"' in pictures[0]
    shares = {
        side: [float(share) for share in re.findall(rf"<title>{side}: ([\d.]+)%", pictures[0])]
        for side in ("reference", "window")
    }
    for side in shares.values():
        assert sum(side) == pytest.approx(100, abs=0.1 * len(side))
    middles = {
        side: sum(place * share for place, share in enumerate(each))
        for side, each in shares.items()
    }
    assert middles["window"] > middles["reference"]


def test_a_picture_of_texts_has_the_most_frequent_ones_and_escapes_them():
    reference = Distribution.of_counts({"<b>": 60, "red": 40})
    window = Distribution.of_counts({"red": 20, **{f"new {place}": 1 for place in range(80)}})
    drawn = picture("a<b", reference, window)
    assert drawn.count("<text") == 12
    assert "&lt;b&gt;</text>" in drawn
    assert "<b>" not in drawn
    assert picture("a", reference, Distribution.of_numbers([1.0])) == ""


def test_a_report_has_a_method_that_evidently_lacks(monkeypatch):
    def moved(reference: Distribution, window: Distribution) -> float:
        if reference.kind == "numerical":
            return abs(reference.minimum - window.minimum)
        return abs(len(reference.counts) - len(window.counts))

    method = Method("moved", ("numerical", "categorical"), moved, cell_chances())
    monkeypatch.setitem(METHODS, method.name, method)
    policy = DriftPolicy(numerical_method="moved", categorical_method="moved", mode="classic")
    reference = table(number=[*range(50)], colour=["red", "white"] * 25)
    window = table(number=[3, *range(3, 52)], colour=["red", "white", "rosé", "red", "red"] * 10)
    ours = evaluate(reference, [window], policy)
    snapshot = run_preset(reference, window, list(ours.values()), policy)
    assert scores_of(snapshot) == {"number": 3.0, "colour": 1.0}
    assert {name: each.score for name, each in ours.items()} == scores_of(snapshot)
    page = EvidentlyReporter().html(reference, window, verdict_of(ours, policy), "wine")
    assert b"moved" in page


@pytest.mark.parametrize("method", ["wasserstein", "ks"])
def test_a_report_of_many_features_has_those_that_drifted_most(method):
    reference, window = rows(200, 0.0), rows(200, 2.0)
    policy = DriftPolicy(numerical_method=method)
    ours = evaluate(reference, [window], policy)
    shown = run_preset(reference, window, [ours["same"], ours["moved"]], policy, most=1)
    assert scores_of(shown).keys() == {"moved"}


def test_nothing_to_compare_is_no_failure():
    policy = DriftPolicy()
    left, right = table(a=[1.0]), table(b=[1.0])
    found = verdict_of(evaluate(left, [right], policy), policy)
    assert b"No feature" in EvidentlyReporter().html(left, right, found, "wine version 1")
