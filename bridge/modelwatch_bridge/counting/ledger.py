"""The read events and their totals, in one SQLite file that changes atomically.

A batch of events is one transaction: it marks the events as seen, changes the totals and moves the
source's position, or it does nothing. The primary key of the table `seen` shows whether an event is
new, inside that transaction. The totals in memory, which scrapes see, include a batch only after
its commit, so a scrape never shows a number that a crash could undo.

The file belongs to one process: SQLite's exclusive lock keeps a second bridge out, and ends with
the process in any case. With that lock SQLite needs no memory that processes share, so the file may
be on a network file system.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from modelwatch.errors import ModelwatchError
from modelwatch.metric_names import CATALOG, Metric
from modelwatch_bridge.counting.totals import Draft, Sample, SeriesKey, Totals
from modelwatch_bridge.lines.emf import Reading
from modelwatch_bridge.lines.events import LogEvent
from modelwatch_bridge.lines.interpretation import interpret
from modelwatch_bridge.lines.runtime_lines import failure

_SCHEMA = """
CREATE TABLE IF NOT EXISTS source (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, position TEXT);
CREATE TABLE IF NOT EXISTS seen (
    source INTEGER NOT NULL, at_ms INTEGER NOT NULL, key INTEGER NOT NULL,
    PRIMARY KEY (source, at_ms, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failed (
    source INTEGER NOT NULL, request TEXT NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (source, request)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS series (
    metric TEXT NOT NULL, labels TEXT NOT NULL, value REAL NOT NULL, at_ms INTEGER NOT NULL,
    event_id TEXT NOT NULL, bounds TEXT, counts TEXT,
    PRIMARY KEY (metric, labels)) WITHOUT ROWID;
"""

_REQUEST_MEMORY_MS = 15 * 60 * 1000
"""How long before the position failed requests are kept: Lambda's longest invocation."""

_EVENTS = Reading(CATALOG["bridge_events_total"], (), (1.0,))
_PARSE_ERRORS = CATALOG["bridge_parse_errors_total"]
_UNKNOWN = CATALOG["bridge_unknown_metrics_total"]


class LedgerError(ModelwatchError):
    """The counts cannot be stored. Nothing of the batch was counted."""


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    connection.execute("PRAGMA synchronous = FULL")  # a commit survives a loss of power, too
    return connection


class Ledger:
    """The totals and the positions of the sources, kept in a file.

    All methods are for one thread at a time; `totals` is read by that thread too.

    Raises LedgerError when the file cannot be used, or another process uses it.

    Parameters
    ----------
    path
        The SQLite file; it and its folder are made when they are missing.
    connect
        Opens the file, in autocommit mode.
    """

    def __init__(
        self,
        path: Path,
        catalog: Mapping[str, Metric] = CATALOG,
        max_series: int = 10_000,
        connect: Callable[[Path], sqlite3.Connection] = _connect,
    ) -> None:
        self._path = path
        self._catalog = catalog
        self._max_series = max_series
        self._sources: dict[str, int] = {}
        self._positions: dict[str, str | None] = {}
        self.totals = Totals()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = connect(path)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_SCHEMA)
            with self._transaction():
                self._load()
        except (sqlite3.Error, OSError) as error:
            busy = getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY"
            reason = "another bridge uses it" if busy else str(error)
            raise LedgerError(f"cannot use {path}: {reason}") from error

    def close(self) -> None:
        """Close the file; nothing more can be recorded."""
        self._db.close()

    def position(self, source: str) -> str | None:
        """Return the position that was recorded last for ``source``; None when it is new."""
        return self._positions.get(source)

    def record(
        self,
        source: str,
        function: str,
        events: Iterable[LogEvent],
        position: str | None = None,
        repeatable: bool = True,
    ) -> int:
        """Count the events that were not counted before; all of it or nothing.

        Raises LedgerError when they cannot be stored; nothing was counted.

        Parameters
        ----------
        source
            Name of the source; an event's identity is unique within it.
        function
            Label of what the Lambda service logged there.
        events
            In any order.
        position
            Where reading continues; None does not change it.
        repeatable
            Whether the source may return an event again. False if its position alone shows what
            was read; its events are then not marked as seen.

        Returns
        -------
        int
            How many events were new.
        """
        draft = Draft(self.totals, self._max_series)
        new = 0
        with self._transaction():
            source_id = self._source_id(source)
            for event in events:
                if repeatable and not self._mark_seen(source_id, event):
                    continue
                new += 1
                self._count(draft, source_id, function, event)
            self._write(draft.changes)
            if position is not None and position != self._positions.get(source):
                self._db.execute(
                    "UPDATE source SET position = ? WHERE id = ?", (position, source_id)
                )
            else:
                position = None
        self._sources[source] = source_id
        if position is not None:
            self._positions[source] = position
        self.totals.take_over(draft.changes)
        return new

    def forget_events(self, source: str, before_ms: int) -> None:
        """Forget which events of before that time were seen. They must not be recorded again.

        Raises LedgerError when the file cannot be changed.
        """
        source_id = self._sources.get(source)
        if source_id is None:
            return
        with self._transaction():
            self._db.execute(
                "DELETE FROM seen WHERE source = ? AND at_ms < ?", (source_id, before_ms)
            )
            self._db.execute(
                "DELETE FROM failed WHERE source = ? AND at_ms < ?",
                (source_id, before_ms - _REQUEST_MEMORY_MS),
            )

    def remove(self, keys: list[SeriesKey]) -> None:
        """Forget series.

        Raises LedgerError when the file cannot be changed.
        """
        with self._transaction():
            self._db.executemany(
                "DELETE FROM series WHERE metric = ? AND labels = ?",
                [(name, json.dumps(labels)) for name, labels in keys],
            )
        self.totals.remove(keys)

    def remembered_events(self) -> int:
        """Return how many events are remembered as seen."""
        count: int = self._db.execute("SELECT count(*) FROM seen").fetchone()[0]
        return count

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise LedgerError(f"cannot store in {self._path}: {error}") from error
            raise

    def _source_id(self, source: str) -> int:
        known = self._sources.get(source)
        if known is None:
            self._db.execute("INSERT OR IGNORE INTO source (name) VALUES (?)", (source,))
            row = self._db.execute("SELECT id FROM source WHERE name = ?", (source,)).fetchone()
            known = int(row[0])
        return known

    def _mark_seen(self, source_id: int, event: LogEvent) -> bool:
        cursor = self._db.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (source_id, event.at_ms, event.key())
        )
        return cursor.rowcount == 1

    def _count(self, draft: Draft, source_id: int, function: str, event: LogEvent) -> None:
        at_ms, event_id = event.at_ms, event.event_id
        draft.add(_EVENTS, at_ms, event_id)
        findings = interpret(event.message, function, self._catalog)
        for reading in findings.readings:
            draft.add(reading, at_ms, event_id)
        for request in findings.failed_requests:
            marked = self._db.execute(
                "INSERT OR IGNORE INTO failed VALUES (?, ?, ?)", (source_id, request, at_ms)
            )
            if marked.rowcount == 1:
                draft.add(failure(function), at_ms, event_id)
        if findings.parse_errors:
            draft.add(Reading(_PARSE_ERRORS, (), (findings.parse_errors,)), at_ms, event_id)
        if findings.unknown_metrics:
            draft.add(Reading(_UNKNOWN, (), (findings.unknown_metrics,)), at_ms, event_id)

    def _write(self, changes: Mapping[SeriesKey, Sample]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    name,
                    json.dumps(labels),
                    sample.value,
                    sample.at_ms,
                    sample.event_id,
                    None if sample.counts is None else json.dumps(self._catalog[name].buckets),
                    None if sample.counts is None else json.dumps(sample.counts),
                )
                for (name, labels), sample in changes.items()
            ],
        )

    def _load(self) -> None:
        for source_id, name, position in self._db.execute("SELECT id, name, position FROM source"):
            self._sources[name] = source_id
            self._positions[name] = position
        samples: dict[SeriesKey, Sample] = {}
        query = "SELECT metric, labels, value, at_ms, event_id, bounds, counts FROM series"
        for name, labels_json, value, at_ms, event_id, bounds, counts in self._db.execute(query):
            labels = tuple(json.loads(labels_json))
            if self._still_fits(name, labels, bounds):
                counted = None if counts is None else json.loads(counts)
                samples[name, labels] = Sample(value, at_ms, event_id, counted)
        self.totals.take_over(samples)

    def _still_fits(self, name: str, labels: tuple[str, ...], bounds: str | None) -> bool:
        """Return whether stored numbers are of the metric as the catalog now has it."""
        metric = self._catalog.get(name)
        if metric is None or len(labels) != len(metric.labels):
            return False
        expected = json.dumps(metric.buckets) if metric.kind == "histogram" else None
        return bounds == expected
