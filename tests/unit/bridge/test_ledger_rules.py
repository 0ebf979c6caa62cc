"""What counts, what stays and what goes: gauges, failures, limits, retirement."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from modelwatch.metric_names import CATALOG
from modelwatch_bridge.counting.ledger import Ledger, LedgerError
from modelwatch_bridge.counting.retirement import retired_series
from modelwatch_bridge.history.history import Slot
from modelwatch_bridge.history.history_file import HistoryFile
from modelwatch_bridge.lines.events import LogEvent

Emf = Callable[..., str]
Values = Callable[[Ledger, str], dict[tuple[str, ...], float]]

REQUEST = "8f5e7a4c-0000-4000-8000-000000000000"
FUNCTION = "modelwatch-test-predict"


def put(ledger: Ledger, at_ms: int, *messages: str) -> None:
    events = [LogEvent(at_ms, "s", f"{at_ms}{n}", text) for n, text in enumerate(messages)]
    ledger.record("g", FUNCTION, events)


def test_several_lines_about_one_failed_request_count_once(ledger: Ledger, values: Values) -> None:
    report = (
        f"REPORT RequestId: {REQUEST}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\t"
        "Memory Size: 128 MB\tMax Memory Used: 30 MB\tStatus: timeout"
    )
    put(ledger, 1000, report)
    put(ledger, 1003, f"2026-11-23T09:00:00Z {REQUEST} Task timed out after 3.00 seconds")
    put(ledger, 9000, f"RequestId: {REQUEST.replace('8', '9')} Error: Runtime exited")

    assert values(ledger, "faas_errors_total") == {(FUNCTION,): 2}


def test_its_files_need_no_memory_that_processes_share(tmp_path, emf):
    """Which a network file system, such as EFS, does not give."""
    state = tmp_path / "bridge.sqlite"
    ledger = Ledger(state)
    history = HistoryFile(tmp_path / "history.sqlite")
    put(ledger, 1000, emf("model_load_time_seconds", 2.0, model_name="m"))
    history.add_slot(Slot(1000, {}, {}), 0)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"bridge.sqlite-wal", "history.sqlite-wal"} <= names
    assert not [name for name in names if name.endswith("-shm")]
    with pytest.raises(LedgerError, match="another bridge uses it"):
        Ledger(state, connect=partial(sqlite3.connect, isolation_level=None, timeout=0))
    ledger.close()
    history.close()


def test_a_gauge_keeps_its_newest_value_in_any_order(ledger, emf, values):
    for at_ms, seconds in ((2000, 2.0), (1000, 1.0), (3000, 3.0), (2500, 2.5)):
        put(ledger, at_ms, emf("model_load_time_seconds", seconds, model_name="m"))

    assert values(ledger, "model_load_time_seconds") == {("m",): 3.0}


def test_events_of_one_millisecond_are_ordered_by_id(ledger, emf, values):
    def event(event_id: str, seconds: float) -> LogEvent:
        line = emf("model_load_time_seconds", seconds, model_name="m")
        return LogEvent(1000, "s", event_id, line)

    ledger.record("g", "f", [event("10", 10.0), event("9", 9.0)])

    assert values(ledger, "model_load_time_seconds") == {("m",): 10.0}


def test_too_many_series_are_counted_and_not_kept(tmp_path: Path, emf: Emf, values: Values) -> None:
    ledger = Ledger(tmp_path / "small.sqlite", max_series=3)
    for number in range(5):
        put(ledger, number, emf("capture_records_total", 2, outcome=f"o{number}"))
        put(ledger, 100 + number, emf("model_load_time_seconds", 2, model_name=f"m{number}"))

    assert values(ledger, "capture_records_total") == {
        ("o0",): 2,
        ("o1",): 2,
        ("o2",): 2,
        ("_overflow",): 4,
    }
    assert len(values(ledger, "model_load_time_seconds")) == 3
    assert values(ledger, "bridge_overflow_total") == {
        ("capture_records_total",): 2,
        ("model_load_time_seconds",): 2,
    }
    ledger.close()


def test_parse_errors_and_unknown_metrics_are_counted(ledger, emf, values):
    put(ledger, 1, '{"_aws": 1}', emf("no_such_total", 1), "hello")

    assert values(ledger, "bridge_events_total") == {(): 3}
    assert values(ledger, "bridge_parse_errors_total") == {(): 1}
    assert values(ledger, "bridge_unknown_metrics_total") == {(): 1}


def test_a_silent_version_goes_and_a_speaking_one_stays_whole(ledger, emf, tmp_path):
    for version, spoke_ms in (("1", 1_000), ("2", 90_000)):
        put(ledger, 500, emf("model_version_info", 1, model_name="m", version=version))
        put(
            ledger, spoke_ms, emf("evidently_drift_score", 1, model_name="m", model_version=version)
        )
    put(ledger, 600, emf("model_load_time_seconds", 1, model_name="m"))
    put(ledger, 700, emf("api_requests_total", 1, method="GET", endpoint="/", status="200"))
    put(ledger, 800, "[ERROR] ValueError: no")

    gone = retired_series(ledger.totals, CATALOG, 50_000)
    ledger.remove(gone)

    assert sorted(gone) == [
        ("evidently_drift_score", ("m", "1")),
        ("faas_errors_total", (FUNCTION,)),
        ("model_version_info", ("m", "1")),
    ]
    left = {key for key, _ in ledger.totals.series()}
    assert ("model_load_time_seconds", ("m",)) in left
    assert ("model_version_info", ("m", "2")) in left
    ledger.close()
    reopened = Ledger(tmp_path / "bridge.sqlite")
    assert {key for key, _ in reopened.totals.series()} == left
    reopened.close()


def test_changed_buckets_start_a_histogram_anew(tmp_path: Path, emf: Emf, values: Values) -> None:
    from dataclasses import replace

    name = "api_request_latency_seconds"
    path = tmp_path / "b.sqlite"
    ledger = Ledger(path)
    put(ledger, 1, emf(name, 1.0, method="GET", endpoint="/"))
    ledger.close()
    catalog = CATALOG | {name: replace(CATALOG[name], buckets=(1.0, 2.0))}

    ledger = Ledger(path, catalog)
    assert values(ledger, name) == {}
    put(ledger, 2, emf(name, 1.0, method="GET", endpoint="/"))
    assert ledger.totals.of(name)["GET", "/"].counts == [1, 0, 0]
    ledger.close()
