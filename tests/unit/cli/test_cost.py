"""`modelwatch cost`: a month's bill."""

import json

import pytest
from typer.testing import CliRunner

from modelwatch_cli.costs.estimate import Traffic, month
from modelwatch_cli.main import app
from modelwatch_cli.settings import Settings


def bill(per_second: float = 100.0, features: int = 50, models: int = 3, **variables: str):
    traffic = Traffic(per_second, features, models)
    return {item.what: item for item in month(traffic, Settings(variables))}


def usd(items) -> float:
    return sum(item.usd for item in items.values())


def test_requests_are_billed_by_their_number():
    items = bill()
    # 100 a second in 730 hours, at 3.50 USD a million
    assert items["API Gateway: predictions"].count == 262_800_000
    assert items["API Gateway: predictions"].usd == pytest.approx(919.80)
    assert items["Lambda: predictions"].usd == pytest.approx(52.56)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"per_second": 10.0}, {"per_second": 11.0}),
        ({"features": 10}, {"features": 500}),
        ({"models": 1}, {"models": 10}),
        ({"CAPTURE_SAMPLE_RATE": "0.1"}, {"CAPTURE_SAMPLE_RATE": "1"}),
        ({"CAPTURE_RETENTION_DAYS": "1"}, {"CAPTURE_RETENTION_DAYS": "30"}),
        ({"ANALYSIS_SCHEDULE": "rate(1 hour)"}, {"ANALYSIS_SCHEDULE": "rate(1 minute)"}),
        ({"ANALYSIS_WINDOWS": "PT1H"}, {"ANALYSIS_WINDOWS": "PT1H,P1D/P1D"}),
        ({"ANALYSIS_WINDOWS": "PT1H,P1D/P1D"}, {"ANALYSIS_WINDOWS": "PT1H,P1D"}),
        ({"LAMBDA_ARCHITECTURE": "arm64"}, {"LAMBDA_ARCHITECTURE": "x86_64"}),
        ({}, {"ALARM_EMAILS": "ops@acme.example"}),
        ({"METRICS_TRANSPORT": "logs"}, {"METRICS_TRANSPORT": "firehose"}),
        (
            {"METRICS_TRANSPORT": "firehose", "BRIDGE_POLL_SECONDS": "10"},
            {"METRICS_TRANSPORT": "firehose", "BRIDGE_POLL_SECONDS": "2"},
        ),
        ({"METRICS_TO_CLOUDWATCH": "none"}, {"METRICS_TO_CLOUDWATCH": "core"}),
        ({"METRICS_TO_CLOUDWATCH": "core"}, {"METRICS_TO_CLOUDWATCH": "all"}),
        ({"CAPTURE_BATCH_WINDOW_SECONDS": "60"}, {"CAPTURE_BATCH_WINDOW_SECONDS": "0"}),
    ],
)
def test_what_makes_it_dearer(less, more):
    assert usd(bill(**less)) < usd(bill(**more))


def test_a_day_and_a_week_each_night_are_a_cent_a_month():
    more, less = bill(models=1), bill(models=1, ANALYSIS_WINDOWS="PT1H")
    assert 0 < usd(more) - usd(less) < 0.01
    # each night 23 hours beside the newest, and 167
    reads = bill(models=2)["S3: profiles of older hours"]
    assert reads.count == pytest.approx(2 * 2 * (23 + 167) * 730 / 24)


def test_only_all_metrics_grow_with_the_features():
    def series(features: int, choice: str) -> float:
        return bill(features=features, METRICS_TO_CLOUDWATCH=choice)["CloudWatch: metrics"].count

    assert series(10, "none") == 0
    assert series(10, "core") == series(1000, "core") > 0
    # of each of 3 models: four metrics a feature
    assert series(1000, "all") - series(10, "all") == 990 * 3 * 4


def test_firehose_bills_packed_lines_in_steps_of_5_kib():
    # one environment: a record a second, or one for each prediction if there are fewer
    seldom = bill(per_second=0.1, METRICS_TRANSPORT="firehose")["Firehose: log lines"]
    assert seldom.count == pytest.approx(0.1 * 730 * 3600 * 5120 / 1e9)
    often = bill(per_second=100_000.0, METRICS_TRANSPORT="firehose")["Firehose: log lines"]
    assert often.count == pytest.approx(100_000 * 730 * 3600 * 175 / 1e9)
    assert "Firehose: log lines" not in bill()


def test_one_model_needs_no_queue_of_what_is_due():
    queue = "SQS: what is due of several models"
    assert bill(models=1)[queue].count == 0
    twice = [bill(models=3, ANALYSIS_WINDOWS=each)[queue].count for each in ("PT1H", "PT1H,P7D")]
    assert twice[1] == 2 * twice[0] > 0


def test_the_command_says_the_sum():
    done = CliRunner().invoke(app, ["cost", "--rps", "100", "--features", "50", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["usd"] == pytest.approx(sum(item["usd"] for item in said["items"]), abs=0.01)
    assert said["predictions"] == 262_800_000
    printed = CliRunner().invoke(app, ["cost", "--rps", "100", "--features", "50"]).stdout
    assert f"{said['usd']:,.2f} USD for 262.8 million predictions" in printed


def test_traffic_that_cannot_be_is_refused():
    done = CliRunner().invoke(app, ["cost", "--rps", "0"])
    assert done.exit_code == 2
