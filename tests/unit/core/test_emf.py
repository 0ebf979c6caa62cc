"""EMF lines."""

import io
import json

import pytest

from modelwatch.adapters.aws.emf import EmfMetricSink, emf_lines
from modelwatch.ports.metrics import Sample

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
