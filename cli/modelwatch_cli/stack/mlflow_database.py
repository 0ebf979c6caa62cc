"""Checks MLflow's SQLite file before MLflow starts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def discard_if_unfinished(database: Path) -> bool:
    """Delete the file of an MLflow that was interrupted at its first start; return whether.

    MLflow makes its tables in some fifty steps, and cannot continue an interrupted start. The
    last step makes the first experiment, without which there are no runs: a file with
    MLflow's tables and no experiment holds no data yet. Any other file is kept.
    """
    if not database.exists() or not _is_unfinished(database):
        return False
    for suffix in ("", "-journal", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    return True


def _is_unfinished(database: Path) -> bool:
    try:
        with closing(sqlite3.connect(database)) as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in found}
            if not tables:
                return True
            if "experiments" not in tables:
                return "alembic_version" in tables
            return connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is None
    except sqlite3.DatabaseError:
        return False
