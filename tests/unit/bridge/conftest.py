"""Fixtures of the bridge's tests: clock, source, ledger and EMF lines."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge_in_memory import InMemoryLogSource, ManualClock
from modelwatch_bridge.counting.ledger import Ledger


def _emf(name: str, value: object, **labels: object) -> str:
    directive = {
        "Namespace": "modelwatch",
        "Dimensions": [list(labels)],
        "Metrics": [{"Name": name, "Unit": "None"}],
    }
    return json.dumps(
        {
            "_aws": {"Timestamp": 1_800_000_000_000, "CloudWatchMetrics": [directive]},
            **labels,
            name: value,
        }
    )


def _values(ledger: Ledger, name: str) -> dict[tuple[str, ...], float]:
    return {labels: sample.value for labels, sample in ledger.totals.of(name).items()}


def _fast(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


@pytest.fixture(scope="session")
def emf() -> Callable[..., str]:
    """Make an EMF line with one metric: name, value, labels."""
    return _emf


@pytest.fixture(scope="session")
def values() -> Callable[[Ledger, str], dict[tuple[str, ...], float]]:
    """Give the values of a metric's series: ledger, name."""
    return _values


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def source(clock: ManualClock) -> InMemoryLogSource:
    return InMemoryLogSource(clock)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "bridge.sqlite", connect=_fast)
    yield ledger
    ledger.close()
