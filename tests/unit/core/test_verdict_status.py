"""Which drifts make a drift of the version, which a warning, and what old readers see of it."""

import itertools

import msgspec
import pytest

from analysis_stage import AnalysisStage, records
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.domain.importance import Importance
from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift, WindowVerdict
from modelwatch.domain.verdict.rules import DriftPolicy, FeatureRule
from modelwatch.domain.verdict.status import drifted_outputs, features_status
from modelwatch.metric_names import STATUS_VALUES

NAMES = "abcdefgh"
RULES = ("share", "important", "any")
KNOWN = Importance(
    features=dict(zip(NAMES, (8.0, 2.0, 0.5, 0.3, 0.1, 0.1, 0.0, 0.0), strict=True)),
    rows=100,
    repetitions=5,
    measure="",
)


def feature(name, status="drift"):
    return FeatureDrift(
        feature=name, kind="numerical", status=status, method="wasserstein", threshold=0.1
    )


def status(drifted, rule, importance=KNOWN, unknown=""):
    features = [
        feature(name, "drift" if name in drifted else "unknown" if name in unknown else "ok")
        for name in NAMES
    ]
    return features_status(features, importance, DriftPolicy(rule=rule))


def test_the_important_features_are_the_fewest_that_make_nine_tenths():
    assert KNOWN.important == {"a", "b"}
    even = msgspec.structs.replace(KNOWN, features=dict.fromkeys(NAMES, 0.2))
    assert even.important == set(NAMES)
    assert msgspec.structs.replace(KNOWN, features=dict.fromkeys(NAMES, 0.0)).important == set()
    assert msgspec.structs.replace(KNOWN, features={}).important == set()


@pytest.mark.parametrize(
    ("drifted", "by_share", "by_importance", "by_any"),
    [
        ("", "ok", "ok", "ok"),
        ("b", "ok", "drift", "drift"),
        ("c", "ok", "ok", "drift"),
        ("cde", "ok", "ok", "drift"),
        ("cdef", "drift", "drift", "drift"),
    ],
)
def test_each_rule_follows_what_matters_to_it(drifted, by_share, by_importance, by_any):
    assert [status(drifted, rule)[0] for rule in RULES] == [by_share, by_importance, by_any]


def test_each_rule_has_the_drifts_of_the_quieter_one_and_knowing_less_is_no_louder():
    drifts = itertools.chain.from_iterable(
        itertools.combinations(NAMES, size) for size in range(len(NAMES) + 1)
    )
    for drifted in drifts:
        rules = [status(drifted, rule)[0] == "drift" for rule in RULES]
        assert rules == sorted(rules)
        unimportant = status(drifted, "important", None)[0] == "drift"
        assert unimportant <= rules[1]


def test_the_reason_says_what_the_rule_asks_for():
    assert status("bc", "share")[2] == "2 of 8 features drifted; drift from a share of 0.5"
    assert status("bc", "any")[2] == "2 of 8 features drifted; drift from one"
    assert status("bc", "important")[2] == (
        "2 of 8 features drifted, 1 of 2 important ones; drift from an important one "
        "or a share of 0.5"
    )
    assert status("bc", "important", None)[2] == (
        "2 of 8 features drifted, of unknown importance; drift from a share of 0.5"
    )


def test_a_monitor_says_which_features_are_important():
    def said(drifted, importance, **features):
        rules = {name: FeatureRule(important=given) for name, given in features.items()}
        drifts = [feature(name, "drift" if name in drifted else "ok") for name in NAMES]
        policy = DriftPolicy(rule="important", features=rules)
        return features_status(drifts, importance, policy)[0]

    assert said("c", KNOWN) == "ok"
    assert said("c", KNOWN, c=True) == "drift"
    assert said("a", KNOWN) == "drift"
    assert said("a", KNOWN, a=False) == "ok"
    assert said("b", KNOWN, a=False) == "drift"
    # a model that no registry knows has no importance
    assert said("c", None, c=True) == "drift"
    assert said("d", None, c=True) == "ok"


def test_where_no_important_feature_can_be_compared_nothing_is_ok():
    said, _, reason = status("c", "important", unknown="ab")
    assert (said, reason) == (
        "unknown",
        "1 of 6 features drifted; no important feature can be compared",
    )
    assert status("cde", "important", unknown="ab")[0] == "drift"
    assert status("c", "important", unknown="a")[0] == "ok"


def test_outputs_count_by_all_rules_but_the_share():
    outputs = [feature("prediction"), feature("probability_0", "ok")]
    counted = [drifted_outputs(outputs, DriftPolicy(rule=rule)) for rule in RULES]
    assert counted == [(), ("prediction",), ("prediction",)]


def verdict(**said):
    return WindowVerdict(**{"status": "ok", "reason": "", "rows": 9, **said})


def test_what_drifted_and_is_no_drift_of_the_version_is_a_warning():
    assert verdict().severity == "ok"
    assert verdict(drifted_features=("c",)).severity == "warning"
    assert verdict(outputs=(feature("prediction"),)).severity == "warning"
    assert verdict(outputs=(feature("prediction", "unknown"),)).severity == "ok"
    for said in ("drift", "unknown"):
        assert verdict(status=said, drifted_features=("c",)).severity == said


def watched(rule, window, predictions=(0, 0)):
    """Return the stage after one run, with a reference of 50 rows of alcohol 1."""
    stage = AnalysisStage(policy=DriftPolicy(rule=rule))
    before, now = predictions
    stage.training.tables["1"] = records_table(
        [msgspec.structs.replace(each, prediction=before) for each in records(50, 1.0)]
    )
    stage.training.importances["1"] = Importance(
        features={"alcohol": 0.0, "colour": 1.0}, rows=50, repetitions=5, measure=""
    )
    stage.store.write(
        [
            msgspec.structs.replace(each, features=window, prediction=now)
            for each in records(50, 1.0)
        ]
    )
    (result,) = stage.analyze().results
    return stage, result


@pytest.mark.parametrize(
    ("rule", "window", "predictions", "said"),
    [
        ("important", {"alcohol": 1.0, "colour": "red"}, (0, 0), "ok"),
        ("important", {"alcohol": 1.0, "colour": "blue"}, (0, 0), "drift"),
        ("any", {"alcohol": 9.0, "colour": "red"}, (0, 0), "drift"),
        ("important", {"alcohol": 1.0, "colour": "red"}, (0, 1), "drift"),
        ("share", {"alcohol": 1.0, "colour": "red"}, (0, 1), "warning"),
    ],
)
def test_a_run_shows_its_severity_and_old_readers_the_status_that_they_know(
    rule, window, predictions, said
):
    stage, result = watched(rule, window, predictions)
    assert result.severity == said
    assert stage.metrics.value("evidently_drift_status") == STATUS_VALUES[said]
    written = msgspec.json.decode(msgspec.json.encode(result))
    assert written["status"] in ("ok", "drift", "unknown")
    assert written["severity"] == said
    del written["severity"]  # as results of before have none
    assert msgspec.convert(written, AnalysisResult).severity == said
    importances = {each.feature: each.importance for each in result.features}
    assert importances == {"alcohol": 0.0, "colour": 1.0}
