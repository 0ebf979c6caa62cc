"""What a scrape gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from modelwatch_bridge.counting.collector import (
    OPENMETRICS,
    TEXT,
    Page,
    TotalsCollector,
    content_type_for,
)
from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.lines.events import LogEvent

Emf = Callable[..., str]
Samples = dict[tuple[str, frozenset[str]], float]
MODEL = {"model_name": "m", "model_version": "1"}


@pytest.fixture
def page(ledger: Ledger) -> Page:
    return Page(TotalsCollector(ledger.totals), ledger.totals)


def put(ledger: Ledger, at_ms: int, *messages: str) -> None:
    events = [LogEvent(at_ms, "s", f"{at_ms}{n}", text) for n, text in enumerate(messages)]
    ledger.record("g", "f", events)


def samples(page: Page, content_type: str = TEXT) -> Samples:
    parse: Callable[[str], Iterator[object]] = (
        parse_text if content_type == TEXT else parse_openmetrics
    )
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in parse(page.rendered(content_type).decode())
        for sample in family.samples
    }


def test_counters_gauges_and_histograms_in_both_formats(ledger, page, emf):
    put(
        ledger,
        1,
        emf("api_requests_total", 2, method="GET", endpoint='/"\\\n', status="200"),
        emf("evidently_drift_score", 0.25, **MODEL),
        emf("api_request_latency_seconds", [0.001, 0.02, 99], method="GET", endpoint="/"),
    )
    page.refresh({"bridge_lag_seconds": {(): 1.5}})

    for content_type in (TEXT, OPENMETRICS):
        found = samples(page, content_type)
        assert found["api_requests_total", frozenset(("GET", '/"\\\n', "200"))] == 2
        assert found["evidently_drift_score", frozenset(("m", "1"))] == 0.25
        assert found["api_request_latency_seconds_bucket", frozenset(("GET", "/", "0.001"))] == 1
        assert found["api_request_latency_seconds_bucket", frozenset(("GET", "/", "0.025"))] == 2
        assert found["api_request_latency_seconds_bucket", frozenset(("GET", "/", "+Inf"))] == 3
        assert found["api_request_latency_seconds_count", frozenset(("GET", "/"))] == 3
        assert found["api_request_latency_seconds_sum", frozenset(("GET", "/"))] == pytest.approx(
            99.021
        )
        assert found["bridge_lag_seconds", frozenset(())] == 1.5


def test_the_page_is_what_the_collector_gives(ledger: Ledger, page: Page, emf: Emf) -> None:
    for number in range(4):
        put(ledger, number, emf("capture_records_total", 1, outcome=f"o{number % 2}"))
        put(ledger, 50 + number, emf("evidently_drift_status", number % 3, **MODEL))
        page.refresh({})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(TotalsCollector(ledger.totals))

    assert page.rendered(TEXT) == generate_latest(registry)


def test_unknown_takes_the_verdict_away_and_a_verdict_brings_it_back(ledger, page, emf):
    feature = {**MODEL, "feature": "alcohol"}
    other = {"model_name": "m", "model_version": "2"}
    put(
        ledger,
        1000,
        emf("evidently_drift_status", 1, **MODEL),
        emf("evidently_data_drift_detected", 1, **MODEL),
        emf("evidently_feature_drift_detected", 1, **feature),
        emf("evidently_missing_values_ratio", 0.5, **feature),
        emf("evidently_data_drift_detected", 1, **other),
    )
    put(ledger, 2000, emf("evidently_drift_status", 2, **MODEL))
    page.refresh({})

    shown = samples(page)
    assert shown["evidently_drift_status", frozenset(("m", "1"))] == 2
    assert ("evidently_data_drift_detected", frozenset(("m", "1"))) not in shown
    assert ("evidently_feature_drift_detected", frozenset(("m", "1", "alcohol"))) not in shown
    assert shown["evidently_missing_values_ratio", frozenset(("m", "1", "alcohol"))] == 0.5
    assert shown["evidently_data_drift_detected", frozenset(("m", "2"))] == 1

    # a result that comes late does not bring the verdict back, a new one does
    put(ledger, 1500, emf("evidently_data_drift_detected", 1, **MODEL))
    page.refresh({})
    assert ("evidently_data_drift_detected", frozenset(("m", "1"))) not in samples(page)
    put(
        ledger,
        3000,
        emf("evidently_drift_status", 0, **MODEL),
        emf("evidently_data_drift_detected", 0, **MODEL),
    )
    page.refresh({})
    assert samples(page)["evidently_data_drift_detected", frozenset(("m", "1"))] == 0


def test_only_the_version_that_was_loaded_last_shows_1(ledger, page, emf):
    for at_ms, version in ((3000, "2"), (1000, "1")):
        put(ledger, at_ms, emf("model_version_info", 1, model_name="m", version=version))
    page.refresh({})
    assert samples(page)["model_version_info", frozenset(("m", "1"))] == 0
    assert samples(page)["model_version_info", frozenset(("m", "2"))] == 1

    put(ledger, 5000, emf("model_version_info", 1, model_name="m", version="1"))
    page.refresh({})
    assert samples(page)["model_version_info", frozenset(("m", "1"))] == 1
    assert samples(page)["model_version_info", frozenset(("m", "2"))] == 0


def test_versions_that_are_served_side_by_side_all_show_1(ledger, page, emf):
    for at_ms, version in ((3000, "1"), (9000, "2"), (9002, "3")):
        put(ledger, at_ms, emf("model_version_info", 1, model_name="m", version=version))
    page.refresh({})

    shown = samples(page)
    found = [shown["model_version_info", frozenset(("m", version))] for version in "123"]
    assert found == [0, 1, 1]


def test_a_removed_series_leaves_the_page(ledger: Ledger, page: Page, emf: Emf) -> None:
    put(ledger, 1, emf("model_load_time_seconds", 1, model_name="m"))
    page.refresh({"queue_messages": {("q", "visible"): 3.0}})
    assert ("model_load_time_seconds", frozenset(("m",))) in samples(page)

    ledger.remove([("model_load_time_seconds", ("m",))])
    page.refresh({})

    assert ("model_load_time_seconds", frozenset(("m",))) not in samples(page)
    assert ("queue_messages", frozenset(("q", "visible"))) not in samples(page)


def test_counters_whose_labels_are_known_begin_at_0(ledger: Ledger, page: Page, emf: Emf) -> None:
    page.refresh({})
    assert samples(page)["capture_records_total", frozenset(("lost",))] == 0
    assert samples(page)["bridge_parse_errors_total", frozenset()] == 0

    put(ledger, 1, emf("capture_records_total", 2, outcome="lost"))
    page.refresh({})
    assert samples(page)["capture_records_total", frozenset(("lost",))] == 2


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4", TEXT),
    ],
)
def test_the_format_is_negotiated(accept: str, expected: str) -> None:
    assert content_type_for(accept) == expected
