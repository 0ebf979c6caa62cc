"""Declared segments: what a deployment refuses before it begins."""

import pytest

from modelwatch.domain.schemas import Column, Schema
from modelwatch.errors import NoModelError, SettingError
from modelwatch_cli.deployment.declared import check_segments
from modelwatch_cli.settings import Settings

SCHEMA = Schema((Column("colour", "string"), Column("alcohol", "double")))


def check(declared: str, schemas=(SCHEMA,), **environ: str) -> list[str]:
    """Return what was said."""

    def served() -> list[Schema]:
        if not schemas:
            raise NoModelError("wine has no alias 'production'")
        return list(schemas)

    said: list[str] = []
    check_segments(Settings({"ANALYSIS_SEGMENTS": declared, **environ}), said.append, served)
    return said


def test_without_segments_no_model_is_asked_for():
    assert check("", schemas=()) == []


def test_segments_of_the_models_features_are_taken():
    assert check('colour; strong: alcohol > 13 and colour == "red"') == []


@pytest.mark.parametrize(
    ("declared", "policy", "said"),
    [
        ("alcohol >", "", "ANALYSIS_SEGMENTS: 'alcohol >'"),
        ("color", "", "'color' is no feature of the model; its features are colour, alcohol"),
        ("colour", '{"colour": "drop"}', "CAPTURE_POLICY does not let 'colour' be captured"),
        ("strong: alcohol > 3", '{"*": "drop"}', "does not let 'alcohol' be captured"),
    ],
)
def test_what_is_wrong_is_refused(declared, policy, said):
    with pytest.raises(SettingError, match=said):
        check(declared, CAPTURE_POLICY=policy)


def test_segments_before_the_first_model_are_said_not_to_be_checked():
    assert check("color", schemas=()) == [
        "ANALYSIS_SEGMENTS is not checked against the model's features: "
        "wine has no alias 'production'"
    ]
