"""The history in a separate file, so that it survives a restart.

It is a convenience: the totals are in the ledger. So nothing here waits for the disk. If a file
cannot be used, the log says so and a new one is made.
"""

from __future__ import annotations

import json
import logging
import math
import sqlite3
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelwatch.metric_names import DRIFT_OK, DRIFT_WARNING
from modelwatch_bridge.history.analyses import Analysis, Version
from modelwatch_bridge.history.history import Slot

LOG = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS slot (at_ms INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS analysis (
    model TEXT NOT NULL, version TEXT NOT NULL, at_ms INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (model, version, at_ms)) WITHOUT ROWID;
"""


class HistoryFile:
    """Slots and analyses in SQLite, see `HistoryStore`.

    Parameters
    ----------
    path
        The file. A broken one is replaced; if no file can be made, the history is only in
        memory.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = _open(path)
        except sqlite3.Error as error:
            LOG.warning("%s is replaced: %s", path, error)
            try:
                path.unlink(missing_ok=True)
                self._db = _open(path)
            except (sqlite3.Error, OSError) as problem:
                LOG.warning("the page's history is not kept: %s: %s", path, problem)
                self._db = _open(Path(":memory:"))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def slots(self, since_ms: int) -> Iterator[Slot]:
        """Yield the slots from a time on, in order."""
        query = "SELECT at_ms, body FROM slot WHERE at_ms >= ? ORDER BY at_ms"
        for at_ms, body in self._db.execute(query, (since_ms,)):
            added, depths = json.loads(body)
            yield Slot(
                at_ms,
                {
                    (name, tuple(labels)): tuple(value) if isinstance(value, list) else value
                    for name, labels, value in added
                },
                {tuple(labels): depth for labels, depth in depths},
            )

    def analyses(self, limit: int) -> Iterator[tuple[Version, Analysis]]:
        """Yield the newest analyses of each version, the older ones first."""
        query = """
            SELECT model, version, at_ms, body FROM (
                SELECT *, row_number() OVER (PARTITION BY model, version ORDER BY at_ms DESC) AS n
                FROM analysis) WHERE n <= ? ORDER BY at_ms"""
        for model, version, at_ms, body in self._db.execute(query, (limit,)):
            status, share, features, methods, scores, missing, drifted, *more = json.loads(body)
            yield (
                (model, version),
                Analysis(
                    at_ms,
                    # a file of an earlier version has no warnings
                    more[1] if len(more) > 1 else status,
                    _number(share),
                    tuple(features),
                    tuple(methods),
                    array("f", map(_number, scores)),
                    array("f", map(_number, missing)),
                    bytes(drifted),
                    # files of earlier versions have no critical scores
                    array("f", map(_number, more[0] if more else [None] * len(features))),
                ),
            )

    def add_slot(self, slot: Slot, keep_since_ms: int) -> None:
        """Keep a slot, and none of before a time."""
        added = [[name, labels, value] for (name, labels), value in slot.added.items()]
        depths = [[labels, depth] for labels, depth in slot.depths.items()]
        self._change(
            ("INSERT OR REPLACE INTO slot VALUES (?, ?)", (slot.at_ms, _text([added, depths]))),
            ("DELETE FROM slot WHERE at_ms < ?", (keep_since_ms,)),
        )

    def add_analysis(self, version: Version, analysis: Analysis, limit: int) -> None:
        """Keep an analysis, in place of one of the same time; of a version the newest ``limit``."""
        body = [
            # for earlier versions, which know no warning
            DRIFT_OK if analysis.status == DRIFT_WARNING else analysis.status,
            _json_number(analysis.share),
            analysis.features,
            analysis.methods,
            [_json_number(score) for score in analysis.scores],
            [_json_number(ratio) for ratio in analysis.missing],
            list(analysis.drifted),
            [_json_number(score) for score in analysis.critical],
            analysis.status,
        ]
        self._change(
            (
                "INSERT OR REPLACE INTO analysis VALUES (?, ?, ?, ?)",
                (*version, analysis.at_ms, _text(body)),
            ),
            (
                """DELETE FROM analysis WHERE model = ?1 AND version = ?2 AND at_ms <= (
                       SELECT at_ms FROM analysis WHERE model = ?1 AND version = ?2
                       ORDER BY at_ms DESC LIMIT 1 OFFSET ?3)""",
                (*version, limit),
            ),
        )

    def _change(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        try:
            with self._db:
                for statement, values in statements:
                    self._db.execute(statement, values)
        except sqlite3.Error as error:
            LOG.warning("the page's history is not kept: %s", error)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=1)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # as the ledger's
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _text(body: object) -> str:
    return json.dumps(body, separators=(",", ":"))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _json_number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
