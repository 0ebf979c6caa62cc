"""Declared capture rules and segments: what a deployment refuses before it begins."""

import json

import pytest

from modelwatch.domain.schemas import Column, Schema
from modelwatch.errors import NoModelError, SettingError
from modelwatch_cli.deployment.declared import check_capture, check_segments
from modelwatch_cli.settings import Settings

CUSTOMERS = Schema((Column("email", "string"), Column("age", "long")))
WINES = Schema((Column("colour", "string"), Column("alcohol", "double")))
UNCHECKED = "{} is not checked against the model's features: wine has no alias 'production'"


def said_of(check, schemas, environ) -> list[str]:
    def served() -> list[Schema]:
        if not schemas:
            raise NoModelError("wine has no alias 'production'")
        return list(schemas)

    said: list[str] = []
    check(Settings(environ), said.append, served)
    return said


def of_capture(schemas=(CUSTOMERS,), **environ: str) -> list[str]:
    return said_of(check_capture, schemas, environ)


def of_segments(declared: str, schemas=(WINES,), **environ: str) -> list[str]:
    return said_of(check_segments, schemas, {"ANALYSIS_SEGMENTS": declared, **environ})


def test_without_a_policy_no_model_is_asked_for():
    assert of_capture(schemas=()) == []


def test_a_policy_for_features_of_the_model_is_taken():
    assert of_capture(CAPTURE_POLICY='{"email": "drop", "age": {"bucket": 10}, "*": "drop"}') == []
    other = Schema((Column("colour", "string"),))
    assert of_capture((CUSTOMERS, other), CAPTURE_POLICY='{"colour": "drop", "age": "drop"}') == []


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"CAPTURE_SAMPLE_RATE": "2"}, "CAPTURE_SAMPLE_RATE: '2' is not a share"),
        ({"CAPTURE_POLICY": "email"}, "CAPTURE_POLICY: is not JSON"),
        ({"CAPTURE_POLICY": '{"email": "hash"}'}, "CAPTURE_HASH_KEY: is not set"),
        ({"CAPTURE_POLICY": '{"emial": "drop"}'}, "'emial' is no feature of the model"),
        ({"CAPTURE_POLICY": '{"email": {"bucket": 1}}'}, "only numbers have buckets"),
    ],
)
def test_wrong_capture_settings_are_refused(environ, said):
    with pytest.raises(SettingError, match=said):
        of_capture(**environ)


def test_a_policy_before_the_first_model_is_said_not_to_be_checked():
    said = of_capture(schemas=(), CAPTURE_POLICY=json.dumps({"emial": "drop"}))
    assert said == [UNCHECKED.format("CAPTURE_POLICY")]


def test_without_segments_no_model_is_asked_for():
    assert of_segments("", schemas=()) == []


def test_segments_of_the_models_features_are_taken():
    assert of_segments('colour; strong: alcohol > 13 and colour == "red"') == []


@pytest.mark.parametrize(
    ("declared", "policy", "said"),
    [
        ("alcohol >", "", "ANALYSIS_SEGMENTS: 'alcohol >'"),
        ("color", "", "'color' is no feature of the model; its features are colour, alcohol"),
        ("colour", '{"colour": "drop"}', "CAPTURE_POLICY does not let 'colour' be captured"),
        ("strong: alcohol > 3", '{"*": "drop"}', "does not let 'alcohol' be captured"),
    ],
)
def test_wrong_segments_are_refused(declared, policy, said):
    with pytest.raises(SettingError, match=said):
        of_segments(declared, CAPTURE_POLICY=policy)


def test_segments_before_the_first_model_are_said_not_to_be_checked():
    assert of_segments("color", schemas=()) == [UNCHECKED.format("ANALYSIS_SEGMENTS")]
