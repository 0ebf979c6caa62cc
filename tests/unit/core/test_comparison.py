"""Two variants side by side: the interval of a difference, and what is said of it."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from in_memory import InMemoryReferences, InMemoryRegistry
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.outcomes import S3OutcomeStore
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.adapters.results.performance import S3PerformanceStore
from modelwatch.domain.comparison import difference, labels_needed
from modelwatch.domain.labels import Label
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.monitors import Monitored
from modelwatch.domain.performance.estimates import mean_of, wilson
from modelwatch.domain.performance.results import PerformancePolicy
from modelwatch.domain.verdict.rules import AnalysisRules, DriftPolicy
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, NotFoundError
from modelwatch.services.comparison import Comparer
from modelwatch.services.performance import PerformanceMonitor
from modelwatch.services.references import References
from wine_records import wine_record

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(hours=1))


class Stage:
    """Captures and labels of `wine` in memory; champion is version 1, challenger version 2."""

    def __init__(self):
        s3 = InMemoryS3()
        self.records = S3RecordStore(s3, "bucket")
        self.labels = S3LabelStore(s3, "bucket")
        self.registry = InMemoryRegistry(
            {
                ("wine", "champion"): ModelVersion("wine", "1", "m"),
                ("wine", "challenger"): ModelVersion("wine", "2", "m"),
            }
        )
        self.draw = np.random.default_rng(5)
        profiles = S3ProfileStore(s3, "bucket")
        self.comparer = Comparer(
            registry=self.registry,
            profiles=profiles,
            references=References(
                registry=self.registry,
                training=InMemoryReferences(),
                profiles=profiles,
                baselines=S3BaselineStore(s3, "bucket"),
            ),
            performance=PerformanceMonitor(
                outcomes=S3OutcomeStore(s3, "bucket"),
                profiles=S3PerformanceStore(s3, "bucket"),
                refresh_seconds=0,
                clock=lambda: (START + timedelta(hours=3)).timestamp(),
            ),
            monitored=lambda name: self.monitored[name],
        )
        rules = AnalysisRules(plans=(), policy=DriftPolicy(mode="classic"), min_rows=100)
        policy = PerformancePolicy(min_labels=50)
        self.monitored = {"wine": Monitored(rules=rules, performance=policy)}

    def predict(
        self, version, variant, count=400, right=0.8, mean=13.0, regression=False, labelled=1
    ):
        """Capture predictions, of which a share is right; label a share of them."""
        records, labels = [], []
        for number in range(count):
            at = START + timedelta(seconds=3500 * number / count)
            truth = self.draw.normal(5, 2) if regression else float(self.draw.integers(2))
            if regression:
                value = float(truth + self.draw.normal(0, 1 - right))
            else:
                value = truth if self.draw.random() < right else 1 - truth
            record = wine_record(
                captured_at=at,
                model_version=version,
                variant=variant,
                features={"alcohol": float(self.draw.normal(mean, 1)), "hue": float(number % 7)},
                prediction=value if regression else int(value),
                latency_ms=float(self.draw.exponential(10 if version == "1" else 20)),
            )
            records.append(record)
            if self.draw.random() < labelled:
                labels.append(
                    Label(
                        event_id=record.event_id,
                        label=truth if regression else int(truth),
                        labelled_at=at,
                        predicted_at=at,
                    )
                )
        self.records.write(records)
        if labels:
            self.labels.write(labels)

    def compare(self, a="champion", b="challenger", **options):
        return self.comparer.compare("wine", a, b, WINDOW, **options)


@pytest.fixture
def stage():
    return Stage()


def test_the_better_one_is_named_with_the_interval(stage):
    stage.predict("1", "champion", right=0.7)
    stage.predict("2", "challenger", right=0.9)
    found = stage.compare()
    assert found.outcome == "b better"
    assert found.sentence.startswith("challenger is better: accuracy 0.")
    accuracy = found.performance["accuracy"]
    assert 0 < accuracy.difference.low < 0.2 < accuracy.difference.high < 0.35
    assert accuracy.difference.method == "newcombe"
    assert found.performance["f1"].difference.method == "mover"
    assert stage.compare("challenger", "champion").outcome == "a better"
    assert {each.status for each in found.inputs} == {"ok"}
    assert found.a.latency_ms[0] < found.b.latency_ms[0]
    assert (found.a.rows, found.a.labelled, found.a.records) == (400, 400, 400)
    assert found.labels_needed is None


def test_what_is_not_shown_says_how_many_labels_would(stage):
    stage.predict("1", "champion", right=0.80)
    stage.predict("2", "challenger", right=0.82)
    found = stage.compare()
    assert found.outcome == "no difference shown"
    assert found.labels_needed > 400
    assert f"about {found.labels_needed} more labels would show it" in found.sentence


def test_other_inputs_are_not_comparable_whatever_the_labels_say(stage):
    stage.predict("1", "champion", right=0.7)
    stage.predict("2", "challenger", right=0.95, mean=14.0)
    found = stage.compare()
    assert (found.outcome, found.sentence) == ("not comparable", "the inputs differ, in alcohol")
    assert found.performance["accuracy"].difference.low > 0


def test_other_predictions_are_shown(stage):
    stage.predict("1", "champion", regression=True)
    stage.predict("2", "challenger", regression=True, right=-1.5)
    found = stage.compare()
    assert {each.feature: each.status for each in found.outputs}["prediction"] == "drift"
    assert (found.metric, found.outcome) == ("mae", "a better")
    assert stage.compare(metric="rmse").outcome == "a better"
    assert stage.compare(metric="f1").sentence == "there is no f1 of both"


def test_too_little_is_unknown_and_never_no_difference(stage):
    stage.predict("1", "champion")
    assert stage.compare().sentence == "0 predictions by challenger; 100 are needed"
    stage.predict("2", "challenger", labelled=0)
    found = stage.compare()
    assert found.outcome == "unknown"
    assert found.sentence == (
        "labels do not show yet how good challenger is: 0 labelled predictions; 50 are needed"
    )
    assert found.inputs


def test_the_models_own_monitor_says_what_it_takes(stage):
    stage.predict("1", "champion", right=0.9)
    stage.predict("2", "challenger", right=0.6)
    assert stage.compare().outcome == "a better"
    theirs = stage.monitored["wine"]
    rules = replace(theirs.rules, min_rows=500)
    stage.monitored["wine"] = replace(theirs, rules=rules)
    assert "500 are needed" in stage.compare().sentence
    stage.monitored["wine"] = replace(theirs, performance=PerformancePolicy(min_labels=500))
    assert stage.compare().outcome == "unknown"


def test_variants_of_one_version_and_versions_as_a_whole(stage):
    stage.registry.aliases["wine", "shadow"] = ModelVersion("wine", "1", "m")
    stage.predict("1", "champion")
    stage.predict("1", "shadow")
    stage.predict("2", "challenger")
    assert stage.compare("champion", "shadow").outcome == "no difference shown"
    found = stage.compare("1", "2")
    assert (found.a.rows, found.a.variant, found.b.rows) == (800, "", 400)
    for a, b in [("1", "shadow"), ("champion", "champion"), ("2", "2")]:
        with pytest.raises(InvalidInputError, match="have predictions in common"):
            stage.compare(a, b)
    with pytest.raises(NotFoundError):
        stage.compare("champion", "nobody")
    with pytest.raises(InvalidInputError, match="is none of accuracy, f1"):
        stage.compare(metric="speed")


def test_an_alias_that_moved_leaves_its_old_version_out_and_says_so(stage):
    stage.predict("1", "champion")
    stage.predict("2", "champion", count=120)
    stage.predict("2", "challenger")
    found = stage.compare()
    assert found.notes == (
        "120 predictions as 'champion' by version 2 are left out: the alias is at version 1",
    )
    assert found.a.rows == 400


shares = st.tuples(st.integers(1, 400), st.floats(0, 1)).map(
    lambda each: wilson(round(each[0] * each[1]) / each[0], each[0])
)


@given(shares, shares)
def test_a_difference_and_its_reverse_are_mirrors(a, b):
    one, other = difference(a, b), difference(b, a)
    assert one.low <= one.value <= one.high
    assert math.isclose(one.low, -other.high, abs_tol=1e-12)
    assert math.isclose(one.high, -other.low, abs_tol=1e-12)
    assert one.low >= -1
    assert one.high <= 1


@pytest.mark.parametrize(
    ("n", "p"), [((30, 60), (0.9, 0.8)), ((200, 50), (0.5, 0.6)), ((80, 80), (0.97, 0.97))]
)
def test_the_interval_of_shares_covers_as_often_as_it_says(n, p):
    weights = np.outer(*(stats.binom.pmf(range(m + 1), m, q) for m, q in zip(n, p, strict=True)))
    ends = [[wilson(k / m, m) for k in range(m + 1)] for m in n]
    covered = sum(
        weights[i, j]
        for i, a in enumerate(ends[0])
        for j, b in enumerate(ends[1])
        if (found := difference(a, b)).low <= p[1] - p[0] <= found.high
    )
    assert 0.935 < covered < 0.985


def test_the_interval_of_means_covers_as_often_as_it_says():
    draw = np.random.default_rng(3)
    covered = 0
    for _ in range(2000):
        a, b = draw.exponential(1.0, 150), draw.exponential(1.3, 80)
        found = difference(*(mean_of(len(x), x.sum(), (x**2).sum()) for x in (a, b)))
        covered += found.low <= 0.3 <= found.high
    assert 0.93 < covered / 2000 < 0.965


def test_as_many_labels_as_are_needed_do_show_it():
    a, b = 0.80, 0.82
    seen = difference(wilson(a, 400), wilson(b, 400))
    more = labels_needed(seen, 800)
    rows = (800 + more) / 2
    low = difference(wilson(a, rows * 1.02), wilson(b, rows * 1.02)).low
    assert 0 < low < 0.002
    assert labels_needed(difference(wilson(a, 400), wilson(a, 400)), 800) is None
