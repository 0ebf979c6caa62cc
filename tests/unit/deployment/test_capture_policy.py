"""Settings of capture: what a deployment refuses before it begins."""

import json

import pytest

from modelwatch.domain.schemas import Column, Schema
from modelwatch.errors import NoModelError, SettingError
from modelwatch_cli.deployment.declared import check_capture
from modelwatch_cli.settings import Settings

SCHEMA = Schema((Column("email", "string"), Column("age", "long")))


def check(schemas=(SCHEMA,), **environ: str) -> list[str]:
    """Return what was said."""

    def served() -> list[Schema]:
        if not schemas:
            raise NoModelError("wine has no alias 'production'")
        return list(schemas)

    said: list[str] = []
    check_capture(Settings(environ), said.append, served)
    return said


def test_without_a_policy_no_model_is_asked_for():
    assert check(schemas=()) == []


def test_a_policy_for_features_of_the_model_is_taken():
    assert check(CAPTURE_POLICY='{"email": "drop", "age": {"bucket": 10}, "*": "drop"}') == []
    other = Schema((Column("colour", "string"),))
    assert check((SCHEMA, other), CAPTURE_POLICY='{"colour": "drop", "age": "drop"}') == []


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
def test_what_is_wrong_is_refused(environ, said):
    with pytest.raises(SettingError, match=said):
        check(**environ)


def test_a_policy_before_the_first_model_is_said_not_to_be_checked():
    said = check(schemas=(), CAPTURE_POLICY=json.dumps({"emial": "drop"}))
    assert said == [
        "CAPTURE_POLICY is not checked against the model's features: wine has no alias 'production'"
    ]
