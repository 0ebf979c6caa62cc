"""EMF lines."""

import io
import json

import pytest

from modelwatch.adapters.aws.emf import CLOUDWATCH, EmfMetricSink, emf_lines
from modelwatch.metric_names import CATALOG, CORE
from modelwatch.ports.metrics import Sample
from modelwatch_bridge.lines.emf import Findings, read_emf

ROUTE = {"method": "GET", "endpoint": "/health"}


def test_samples_of_a_request_share_one_line():
    samples = [
        Sample("api_requests_total", 1, {**ROUTE, "status": "200"}),
        Sample("api_request_latency_seconds", 0.5, ROUTE),
        Sample("model_predictions_total", 1, {"model_name": "wine", "model_version": "3"}),
    ]
    (line,) = emf_lines(samples, 1234)
    document = json.loads(line)
    directives = document["_aws"]["CloudWatchMetrics"]
    assert document["_aws"]["Timestamp"] == 1234
    assert [d["Dimensions"] for d in directives] == [
        [["method", "endpoint", "status"]],
        [["method", "endpoint"]],
        [["model_name", "model_version"]],
    ]
    assert directives[1]["Metrics"] == [{"Name": "api_request_latency_seconds", "Unit": "Seconds"}]
    assert (document["api_request_latency_seconds"], document["status"]) == (0.5, "200")


def test_a_line_holds_one_value_of_a_label_and_of_a_metric():
    labels = [{"outcome": "stored"}, {"outcome": "rejected"}]
    lines = emf_lines([Sample("capture_records_total", 1, each) for each in labels], 0)
    assert [json.loads(line)["outcome"] for line in lines] == ["stored", "rejected"]
    twice = [Sample("api_requests_total", 1, {**ROUTE, "status": "200"})] * 2
    assert len(emf_lines(twice, 0)) == 2


def names(line: str, reader: str) -> list[str]:
    root = json.loads(line)["_aws"]
    if reader == "BridgeMetrics":
        return list(root.get(reader, []))
    return [metric["Name"] for each in root[reader] for metric in each["Metrics"]]


@pytest.mark.parametrize(
    ("setting", "cloudwatch", "bridge"),
    [
        ("none", [], ["evidently_drift_status", "evidently_feature_drift_detected"]),
        ("core", ["evidently_drift_status"], ["evidently_feature_drift_detected"]),
        ("all", ["evidently_drift_status", "evidently_feature_drift_detected"], []),
    ],
)
def test_a_setting_says_what_cloudwatch_shows_and_the_bridge_reads_all(setting, cloudwatch, bridge):
    version = {"model_name": "wine", "model_version": "3"}
    samples = [
        Sample("evidently_drift_status", 1, version),
        Sample("evidently_feature_drift_detected", 1, {**version, "feature": "ash"}),
    ]
    (line,) = emf_lines(samples, 1, CLOUDWATCH[setting])
    assert (names(line, "CloudWatchMetrics"), names(line, "BridgeMetrics")) == (cloudwatch, bridge)
    findings = Findings()
    read_emf(line, CATALOG, findings)
    assert {reading.metric.name for reading in findings.readings} == set(cloudwatch + bridge)


def test_core_metrics_have_no_series_for_each_feature():
    unbounded = {"feature", "output", "segment", "metric", "window", "bound"}
    assert not [name for name in CORE if unbounded & set(CATALOG[name].labels)]


def test_cloudwatch_gets_at_most_a_hundred_values_of_a_metric_in_a_line():
    values = [float(value) for value in range(250)]
    sample = Sample("api_request_latency_seconds", values, ROUTE)
    parts = [json.loads(line)[sample.name] for line in emf_lines([sample], 1)]
    assert [len(part) for part in parts] == [100, 100, 50]
    assert [value for part in parts for value in part] == values
    (line,) = emf_lines([sample], 1, CLOUDWATCH["none"])
    assert json.loads(line)[sample.name] == values


def test_an_empty_label_is_for_the_bridge_alone():
    (line,) = emf_lines([Sample("capture_records_total", 1, {"outcome": " "})], 1)
    assert (names(line, "CloudWatchMetrics"), names(line, "BridgeMetrics")) == (
        [],
        ["capture_records_total"],
    )


def test_a_metric_outside_the_catalog_is_a_mistake():
    with pytest.raises(KeyError):
        emf_lines([Sample("surprise", 1, {})], 0)


def test_the_sink_writes_whole_lines():
    stream = io.StringIO()
    EmfMetricSink(stream, clock=lambda: 1.5).emit(
        [Sample("capture_records_total", 3, {"outcome": "stored"})]
    )
    assert stream.getvalue().endswith("\n")
    assert json.loads(stream.getvalue())["_aws"]["Timestamp"] == 1500
