"""From log lines to readings."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from modelwatch.metric_names import CATALOG
from modelwatch_bridge.lines.emf import Findings
from modelwatch_bridge.lines.interpretation import interpret

FUNCTION = "modelwatch-test-predict"
REPORT = (
    "REPORT RequestId: 8f5e7a4c-0000-4000-8000-000000000000\tDuration: 1.50 ms\t"
    "Billed Duration: 2 ms\tMemory Size: 512 MB\tMax Memory Used: 80 MB\t"
)


def read(message: str) -> Findings:
    return interpret(message, FUNCTION, CATALOG)


def readings(message: str) -> dict[tuple[str, tuple[str, ...]], tuple[float, ...]]:
    return {(found.metric.name, found.labels): found.values for found in read(message).readings}


def test_one_line_may_carry_several_directives() -> None:
    line = json.dumps(
        {
            "_aws": {
                "Timestamp": 1,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "modelwatch",
                        "Dimensions": [["status", "method", "endpoint"]],
                        "Metrics": [{"Name": "api_requests_total", "Unit": "Count"}],
                    },
                    {
                        "Namespace": "modelwatch",
                        "Dimensions": [["endpoint", "method"]],
                        "Metrics": [{"Name": "api_request_latency_seconds"}],
                    },
                    {
                        "Namespace": "somebody else's",
                        "Dimensions": [[]],
                        "Metrics": [{"Name": "orders"}],
                    },
                ],
            },
            "method": "POST",
            "endpoint": "/predict",
            "status": "200",
            "api_requests_total": 1,
            "api_request_latency_seconds": [0.0, 2.0, 1.0],
            "orders": 3,
        }
    )
    findings = read(line + "\n")

    assert readings(line) == {
        ("api_requests_total", ("POST", "/predict", "200")): (1,),
        ("api_request_latency_seconds", ("POST", "/predict")): (0.0, 2.0, 1.0),
    }
    assert (findings.unknown_metrics, findings.parse_errors) == (0, 0)


@pytest.mark.parametrize("before", ["analysis failed: x\n", "[WARNING] x\r\n", "{}\n", "a\u2028\n"])
@pytest.mark.parametrize("after", ["", "\nmore"])
def test_a_line_inside_an_event_forges_no_metric(emf, before, after):
    forged = emf("capture_records_total", 1, outcome="sent")
    assert read(f"{before}{forged}{after}") == Findings()
    assert read(f"{before}{REPORT}{after}").readings == []
    assert read(f"{before}[ERROR] ValueError: no{after}").readings == []


def test_what_no_catalog_lists_is_counted_and_not_served(emf: Callable[..., str]) -> None:
    findings = read(emf("my_own_total", 1, shop="a"))

    assert findings.readings == []
    assert findings.unknown_metrics == 1


@pytest.mark.parametrize(
    "value",
    [-1, "1", None, True, [1, None], {"a": 1}, 2**63, 10**400],
    ids=lambda value: repr(value)[:20],
)
def test_values_that_are_no_counts_are_parse_errors(value: object, emf: Callable[..., str]) -> None:
    findings = read(emf("capture_records_total", value, outcome="sent"))

    assert findings.readings == []
    assert findings.parse_errors == 1


@pytest.mark.parametrize(
    "line",
    [
        '{"_aws": ',
        '{"_aws": 3}',
        '{"_aws": {"CloudWatchMetrics": [3]}}',
        '{"_aws": {"CloudWatchMetrics": [], "BridgeMetrics": 3}}',
        '{"_aws": {"CloudWatchMetrics": [], "BridgeMetrics": [[]]}}',
        '{"_aws": {"CloudWatchMetrics": [], "BridgeMetrics": ["api_requests_total"]}}',
        '{"_aws": {"CloudWatchMetrics": [{"Namespace": "modelwatch", "Metrics": 1}]}}',
        '{"_aws": {"CloudWatchMetrics": [{"Namespace": "modelwatch", "Metrics": [{}]}]}}',
        '{"_aws": {"CloudWatchMetrics": [{"Namespace": "modelwatch", "Metrics": ['
        '{"Name": "capture_records_total"}]}]}, "capture_records_total": NaN}',
    ],
)
def test_broken_lines_are_parse_errors_and_nothing_else(line: str) -> None:
    findings = read(line)

    assert findings.readings == []
    assert findings.parse_errors == 1


def test_dimensions_must_be_the_catalogs_labels(emf: Callable[..., str]) -> None:
    assert read(emf("capture_records_total", 1)).parse_errors == 1
    assert read(emf("capture_records_total", 1, outcome="a", request="b")).parse_errors == 1
    assert read(emf("capture_records_total", 1, outcome=None)).parse_errors == 1


def test_label_values_are_bounded_and_valid(emf: Callable[..., str]) -> None:
    (long,) = read(emf("capture_records_total", 1, outcome="x" * 5000)).readings
    (number,) = read(emf("capture_records_total", 1, outcome=200)).readings
    (accent,) = read(emf("capture_records_total", 1, outcome="é" * 100)).readings

    assert len(long.labels[0]) == 128
    assert number.labels == ("200",)
    assert accent.labels == ("é" * 100,)


def test_other_lines_say_nothing() -> None:
    for line in ("hello", "", "{}", '{"level": "INFO"}', "START RequestId: 1 Version: $LATEST"):
        assert read(line) == Findings()


def test_a_warm_invocation() -> None:
    assert readings(REPORT) == {
        ("faas_invoke_duration_seconds", (FUNCTION,)): (0.0015,),
        ("faas_billed_gb_seconds_total", (FUNCTION,)): (0.001,),
        ("faas_max_memory_bytes", (FUNCTION,)): (80 * 1024 * 1024,),
    }


def test_a_cold_invocation() -> None:
    found = readings(REPORT + "Init Duration: 200.00 ms\t\n")

    assert found["faas_init_duration_seconds", (FUNCTION,)] == (0.2,)
    assert found["faas_coldstarts_total", (FUNCTION,)] == (1,)


@pytest.mark.parametrize("line", ["REPORT RequestId: 1", REPORT.replace("1.50 ms", "soon")])
def test_a_report_that_cannot_be_read(line: str) -> None:
    assert read(line).parse_errors == 1
    assert read(line).readings == []


def test_a_handlers_exception_is_one_failure() -> None:
    found = readings("[ERROR] ValueError: no\nTraceback (most recent call last):\n  File …")
    assert found == {("faas_errors_total", (FUNCTION,)): (1,)}
    assert readings("[ERROR] chalicelib.errors.OwnError\n") == found


def test_a_logged_error_is_no_failure() -> None:
    assert read("[ERROR]\t2026-11-23T09:00:00.000Z\t8f5e7a4c\tit went wrong") == Findings()
    assert read("[ERROR] Runtime.ImportModuleError: Unable to import module 'app'") == Findings()


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-23T09:00:00.000Z 8f5e7a4c-0000-4000-8000-000000000000 Task timed out after 3.00 seconds",  # noqa: E501
        "RequestId: 8f5e7a4c-0000-4000-8000-000000000000 Error: Runtime exited with error: exit status 1",  # noqa: E501
        REPORT + "Status: timeout",
        REPORT + "Status: error\tError Type: Runtime.ExitError",
    ],
)
def test_lines_that_name_a_failed_request(line: str) -> None:
    assert read(line).failed_requests == ["8f5e7a4c-0000-4000-8000-000000000000"]
