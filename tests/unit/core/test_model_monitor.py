"""Model Monitor's documents: in the published form, and obeyed when somebody else wrote them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any_records import records
from modelwatch.adapters.captures.arrow_profiles import profile_table
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.domain.constraints import ColumnConstraints, Constraints, check, learn_constraints
from modelwatch.domain.constraints.document import _RULES
from modelwatch.domain.model_monitor import (
    constraints_document,
    is_constraints_document,
    read_constraints_document,
    statistics_document,
    violations_document,
)
from modelwatch.domain.model_monitor.violations import CHECK_TYPES
from modelwatch.domain.profiles import Profile
from modelwatch.domain.verdict.results import FeatureDrift
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.errors import InvalidInputError

SCHEMAS = Path(__file__).parents[2] / "support" / "model_monitor"


def published(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return ``document`` as a reader of its JSON sees it, if it is in the published form."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    jsonschema_rs.validate(schema, read)
    return read


def profile_of(**features: list[Any]) -> Profile:
    """Return the profile of columns of features."""
    return profile_table(
        pa.table({f"feature_{name}": pa.array(values) for name, values in features.items()})
    )


def wine(rows: int = 1000, **changes: list[Any]) -> Profile:
    """Return a profile of ``rows`` rows, with some columns in place of the usual ones."""
    numbers = np.arange(rows)
    columns: dict[str, list[Any]] = {
        "alcohol": (11 + numbers % 40 / 10).tolist(),
        "bottles": (numbers % 7).tolist(),
        "colour": ["red" if number % 3 else "white" for number in range(rows)],
        "sparkling": [number % 2 == 0 for number in range(rows)],
    }
    return profile_of(**{**columns, **changes})


def test_statistics_of_numbers_are_those_of_the_rows():
    numbers = [*range(100), None, None]
    document = published("statistics", statistics_document(profile_of(bottles=numbers)))
    (feature,) = document["features"]
    assert document["dataset"] == {"item_count": 102}
    assert (feature["name"], feature["inferred_type"]) == ("bottles", "Integral")
    found = feature["numerical_statistics"]
    assert found["common"] == {"num_present": 100, "num_missing": 2}
    assert [found[name] for name in ("mean", "sum", "min", "max")] == [49.5, 4950.0, 0.0, 99.0]
    assert found["std_dev"] == pytest.approx(np.std(range(100)))
    kll = found["distribution"]["kll"]
    assert [bucket["count"] for bucket in kll["buckets"]] == [10] * 10
    assert kll["buckets"][3] == {
        "lower_bound": pytest.approx(29.7),
        "upper_bound": pytest.approx(39.6),
        "count": 10,
    }
    assert kll["sketch"]["data"] == [list(map(float, range(100)))]


def test_statistics_of_many_rows_come_from_a_sketch_that_stands_for_all():
    numbers = np.random.default_rng(1).normal(size=50_000)
    document = published("statistics", statistics_document(profile_of(a=numbers.tolist())))
    kll = document["features"][0]["numerical_statistics"]["distribution"]["kll"]
    counts = [bucket["count"] for bucket in kll["buckets"]]
    exact, _ = np.histogram(numbers, bins=10)
    assert sum(counts) == 50_000
    assert np.abs(np.cumsum(counts) - np.cumsum(exact)).max() < 0.0133 * 50_000
    assert sum(len(level) << height for height, level in enumerate(kll["sketch"]["data"])) == 50_000


def test_statistics_of_other_columns():
    document = published(
        "statistics",
        statistics_document(
            profile_of(
                colour=["red", "red", None, "white"],
                sparkling=[True, False, None, True],
                nothing=[None] * 4,
                alcohol=[1.5, float("inf"), 2.0, None],
                same=[3.0] * 4,
            )
        ),
    )
    found = {feature["name"]: feature for feature in document["features"]}
    types = {name: feature["inferred_type"] for name, feature in found.items()}
    assert types == {
        "colour": "String",
        "sparkling": "String",
        "nothing": "Unknown",
        "alcohol": "Fractional",
        "same": "Integral",
    }
    colour = found["colour"]["string_statistics"]
    assert colour["distinct_count"] == 2
    assert colour["distribution"]["categorical"]["buckets"] == [
        {"value": "red", "count": 2},
        {"value": "white", "count": 1},
    ]
    assert found["nothing"]["string_statistics"]["common"] == {"num_present": 0, "num_missing": 4}
    assert found["alcohol"]["numerical_statistics"]["common"]["num_present"] == 3
    same = found["same"]["numerical_statistics"]["distribution"]["kll"]["buckets"]
    assert [bucket["count"] for bucket in same] == [0] * 9 + [4]


@given(st.lists(records(), min_size=1, max_size=8))
@settings(deadline=None)
def test_any_profile_has_documents_in_the_published_form(given_records):
    profile = profile_table(records_table(given_records))
    published("statistics", statistics_document(profile))
    learned = learn_constraints(profile)
    document = published("constraints", constraints_document(learned))
    read = read_constraints_document(msgspec.json.encode(document))
    assert read.columns.keys() == learned.columns.keys()
    published("constraint_violations", violations_document(check(learned, profile)))


def test_constraints_say_what_was_learned():
    learned = learn_constraints(wine())
    document = published("constraints", constraints_document(learned))
    found = {feature["name"]: feature for feature in document["features"]}
    assert [found[name]["inferred_type"] for name in found] == [
        "Fractional",
        "Integral",
        "String",
        "String",
    ]
    assert found["bottles"]["num_constraints"] == {"is_non_negative": True}
    assert found["colour"]["string_constraints"] == {"domains": ["red", "white"]}
    assert 0.99 < found["colour"]["completeness"] < 1
    config = document["monitoring_config"]
    assert config["datatype_check_threshold"] == 1.0
    assert config["distribution_constraints"]["comparison_threshold"] == 0.1
    policy = DriftPolicy(mode="classic", categorical_method="chisquare", numerical_threshold=0.3)
    config = published("constraints", constraints_document(learned, policy))["monitoring_config"]
    assert config["distribution_constraints"] == {
        "perform_comparison": "Enabled",
        "comparison_threshold": 0.3,
        "comparison_method": "Simple",
        "categorical_comparison_threshold": 0.1,
        "categorical_drift_method": "ChiSquared",
    }


def test_constraints_come_back_as_far_as_the_form_can_say_them():
    learned = learn_constraints(wine())
    read = read_constraints_document(msgspec.json.encode(constraints_document(learned)))
    for name, column in learned.columns.items():
        back = read.columns[name]
        assert (back.kind.kind, back.kind.allowed_share) == (
            column.kind.kind,
            column.kind.allowed_share,
        )
        assert back.missing.allowed_share == column.missing.allowed_share
        assert back.range is None or back.range.non_negative
        assert (back.range is None) == (column.range is None or not column.range.non_negative)
        if column.categories:
            assert back.categories.known == dict.fromkeys(column.categories.known, 0.0)
            assert back.categories.allowed_share == column.categories.allowed_share
    # and what was read is written as it was
    document = constraints_document(read)
    assert (
        constraints_document(read_constraints_document(msgspec.json.encode(document))) == document
    )
    assert check(read, wine()).status == "ok"


BY_HAND: dict[str, Any] = {
    "version": 0.0,
    "features": [
        {
            "name": "alcohol",
            "inferred_type": "Fractional",
            "completeness": 0.9,
            "num_constraints": {"is_non_negative": True},
            "monitoringConfigOverrides": {},
        },
        {"name": "bottles", "inferred_type": "Integral", "completeness": 1.0},
        {
            "name": "colour",
            "inferred_type": "String",
            "completeness": 1.0,
            "string_constraints": {"domains": ["red", "white"]},
        },
        {
            "name": "sparkling",
            "inferred_type": "String",
            "completeness": 1.0,
            "string_constraints": {"domains": ["true", "false"]},
        },
    ],
    "monitoring_config": {
        "evaluate_constraints": "Enabled",
        "emit_metrics": "Enabled",
        "datatype_check_threshold": 1.0,
        "domain_content_threshold": 1.0,
        "distribution_constraints": {
            "perform_comparison": "Enabled",
            "comparison_threshold": 0.1,
            "comparison_method": "Robust",
        },
    },
}


def by_hand(config: dict[str, Any] | None = None, **overrides: dict[str, Any]) -> Constraints:
    """Read `BY_HAND` with another configuration, of the whole and of single features."""
    document = json.loads(json.dumps(BY_HAND))
    document["monitoring_config"].update(config or {})
    for feature in document["features"]:
        feature["monitoringConfigOverrides"] = overrides.get(feature["name"], {})
    return read_constraints_document(json.dumps(document).encode())


def test_good_rows_keep_what_was_written_by_hand():
    assert is_constraints_document(json.dumps(BY_HAND).encode())
    quality = check(by_hand(), wine())
    assert (quality.status, quality.violations, quality.not_evaluated) == ("ok", (), ())


@pytest.mark.parametrize(
    ("changes", "feature", "check_type"),
    [
        ({"bottles": [0.5] * 50 + [1.0] * 950}, "bottles", "data_type_check"),
        ({"colour": [1.5] * 1000}, "colour", "data_type_check"),
        ({"alcohol": ["strong"] * 1000}, "alcohol", "data_type_check"),
        ({"alcohol": [None] * 200 + [12.5] * 800}, "alcohol", "completeness_check"),
        ({"bottles": [None] + [1] * 999}, "bottles", "completeness_check"),
        ({"alcohol": [-0.5] + [12.5] * 999}, "alcohol", "baseline_drift_check"),
        ({"colour": ["blue"] + ["red"] * 999}, "colour", "categorical_values_check"),
        ({"price": [1.5] * 1000}, "price", "extra_column_check"),
    ],
)
def test_what_was_written_by_hand_is_obeyed(changes, feature, check_type):
    quality = check(by_hand(), wine(**changes))
    found = published("constraint_violations", violations_document(quality))["violations"]
    assert (feature, check_type) in {
        (violation["feature_name"], violation["constraint_check_type"]) for violation in found
    }
    assert {violation["feature_name"] for violation in found} == {feature}


def test_a_column_that_is_gone_is_reported():
    rows = wine()
    left = {name: column for name, column in rows.features.items() if name != "colour"}
    quality = check(by_hand(), Profile(rows=rows.rows, features=left))
    (violation,) = violations_document(quality)["violations"]
    assert violation["constraint_check_type"] == "missing_column_check"


@pytest.mark.parametrize("threshold", [0.9, 0.1])
def test_thresholds_are_the_share_that_must_be_right_or_may_be_wrong(threshold):
    few, many = ["blue"] * 50 + ["red"] * 950, ["blue"] * 200 + ["red"] * 800
    whole = by_hand({"domain_content_threshold": threshold})
    one = by_hand(colour={"domain_content_threshold": threshold})
    for constraints in (whole, one):
        assert check(constraints, wine(colour=few)).status == "ok"
        assert check(constraints, wine(colour=many)).status == "violated"
    fractions = [0.5] * 50 + [1.0] * 950
    typed = by_hand({"datatype_check_threshold": threshold})
    assert check(typed, wine(bottles=fractions)).status == "ok"
    assert check(by_hand(), wine(bottles=fractions)).status == "violated"


def test_what_is_not_to_be_evaluated_is_not():
    bad = wine(colour=["blue"] * 1000)
    assert check(by_hand({"evaluate_constraints": "Disabled"}), bad).violations == ()
    assert check(by_hand(colour={"evaluate_constraints": "Disabled"}), bad).violations == ()
    assert check(by_hand(alcohol={"evaluate_constraints": "Disabled"}), bad).status == "violated"


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"{", "truncated"),
        (b'{"version": 0}', "missing required field 'features'"),
        (b'{"features": [{"name": "a", "inferred_type": "Text"}]}', "inferred_type: Invalid enum"),
        (
            b'{"features": [{"name": "a", "inferred_type": "String", "completeness": 2}]}',
            r"features\[0\].completeness",
        ),
        (
            b'{"features": [{"name": "a", "inferred_type": "String"}, '
            b'{"name": "a", "inferred_type": "String"}]}',
            r"features\[1\].name: 'a' is there twice",
        ),
    ],
)
def test_what_is_no_such_document_is_refused(payload, words):
    with pytest.raises(InvalidInputError, match=words):
        read_constraints_document(payload)


def test_every_check_of_ours_has_a_name_of_theirs():
    rules = set(ColumnConstraints.__struct_fields__) - {"categories"}
    assert rules <= CHECK_TYPES.keys()
    assert rules == set(_RULES) - {"categories", "extra_columns", "failed_predictions"}


def test_drift_reads_as_readers_of_violations_expect_it():
    def feature(method: str, status: str, score: float) -> FeatureDrift:
        return FeatureDrift(
            feature=method,
            kind="numerical",
            status=status,
            method=method,
            threshold=0.1,
            score=score,
        )

    features = [feature("wasserstein", "drift", 0.25), feature("ks", "drift", 0.01)]
    features.append(feature("psi", "ok", 0.05))
    document = published("constraint_violations", violations_document(None, features))
    first, second = document["violations"]
    assert first["constraint_check_type"] == "baseline_drift_check"
    found = re.search("distance: (.+) exceeds threshold: (.+)", first["description"])
    assert found
    assert (float(found[1]), float(found[2])) == (0.25, 0.1)
    assert second["description"] == "ks p-value: 0.01 is at most 0.1"
