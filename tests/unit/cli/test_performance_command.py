"""What `modelwatch performance` prints."""

from datetime import UTC, datetime, timedelta

import pytest

from modelwatch.domain.performance.profile import PerformanceProfile
from modelwatch.domain.performance.results import (
    PerformancePolicy,
    PerformanceResult,
    evaluate_performance,
)
from modelwatch.domain.performance.rows import outcomes
from modelwatch_cli.monitoring.performance import print_result

START = datetime(2026, 11, 22, 8, tzinfo=UTC)


def result(profile, **changes):
    return PerformanceResult(
        model_name="wine",
        model_version="3",
        window_start=START,
        window_end=START + timedelta(hours=2),
        verdict=evaluate_performance(profile, PerformancePolicy(min_labels=4)),
        **changes,
    )


def test_a_classifier_is_shown_beside_the_constant_and_by_class(capsys):
    rows = outcomes(
        [1, 0, 1, 0, 1],
        [1, 0, 0, 0, None],
        [[0.2, 0.8], [0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.1, 0.9]],
    )
    print_result(result(PerformanceProfile.of(rows), labels=6, unknown_labels=2, pending_hours=1))
    said = capsys.readouterr().out
    assert "wine version 3, 2026-11-22 08:00 to 2026-11-22 10:00 UTC: ok" in said
    assert "2 of 6 labels belong to no prediction" in said
    assert "1 hours are not in the result" in said
    measured, _, expected = said.partition("expected of 5 predictions without labels: ")
    lines = {line.split()[0]: line.split()[1:] for line in measured.splitlines() if line.split()}
    assert lines["metric"][-2:] == ["always", "0"]
    assert (lines["accuracy"][0], lines["accuracy"][-1]) == ("0.75", "0.75")
    assert lines["class"][:2] == ["labels", "predicted"]
    assert lines["1"][:3] == ["1", "2", "0.5"]
    assert expected.startswith("accuracy 0.78")
    assert "  accuracy between 0.3594 and 0.9573\n" in expected
    assert "not calibrated" in said


@pytest.mark.parametrize(
    ("predicted", "actual", "expected", "reason"),
    [
        (
            [1, 1],
            [None, 1],
            "unknown (1 labelled predictions; 4 are needed)",
            "the predictions have no probabilities",
        ),
        ([1.5, 2, 3, 4.5], [1, 2, 3, 4], "mae", "nothing was learned of its errors"),
    ],
)
def test_what_is_not_known_and_what_is_a_number(capsys, predicted, actual, expected, reason):
    print_result(result(PerformanceProfile.of(outcomes(predicted, actual))))
    said = capsys.readouterr().out
    assert expected in said
    assert f"nothing can be estimated without labels: {reason}" in said
