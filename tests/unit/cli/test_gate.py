"""What a version must have measured before it may serve."""

from __future__ import annotations

import math

import pytest

from modelwatch.errors import InvalidInputError
from modelwatch_cli.serving.gate import GateError, hold_to, parse_limits


@pytest.mark.parametrize("text", ["f1", "f1=", "=0.8", "f1=much", "f1=nan", "f1=inf", ""])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="METRIC=NUMBER"):
        parse_limits("--least", [text])


def test_what_measures_up_passes() -> None:
    hold_to({"f1": 0.8}, None, {"f1": 0.8}, {"f1": 0.02})
    hold_to({"f1": 0.8}, {"f1": 0.82}, {}, {"f1": 0.02 + 1e-9})
    hold_to({"f1": 0.8}, {"accuracy": 0.9}, {}, {"f1": 0.0})  # the other never measured it


@pytest.mark.parametrize(
    ("metrics", "before", "least", "drops", "why"),
    [
        ({"f1": 0.79}, None, {"f1": 0.8}, {}, "f1 is 0.79, less than 0.8"),
        ({"f1": math.nan}, None, {"f1": 0.8}, {}, "f1 is nan, less than 0.8"),
        ({"f1": 0.8}, {"f1": 0.9}, {}, {"f1": 0.02}, "more than 0.02 below the 0.9 of the version"),
        ({"f1": 0.8}, None, {"auc": 0.8}, {}, r"did not measure auc \(it measured f1\)"),
        ({}, None, {}, {"f1": 0.1}, r"did not measure f1 \(it measured nothing\)"),
    ],
)
def test_what_does_not_is_refused_with_the_figures(metrics, before, least, drops, why) -> None:
    with pytest.raises(GateError, match=why):
        hold_to(metrics, before, least, drops)
