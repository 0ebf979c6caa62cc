"""The ids of a table so far, on disk: memory does not grow with the table."""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from pathlib import Path


class SeenIds:
    """Ids of rows, each with a digest of the row's content, in the file ``path``."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        # the file is temporary: there is nothing to recover
        self._database.execute("pragma journal_mode=off")
        self._database.execute("pragma synchronous=off")
        self._database.execute("begin")
        self._database.execute(
            "create table seen (id blob primary key, content blob, place text) without rowid"
        )

    def close(self) -> None:
        """Close the file; it may be deleted then."""
        self._database.close()

    def first(self, event_id: str, content: bytes, place: str) -> tuple[str, bool]:
        """Return the place of the first row with the id, and whether it has the same content.

        Parameters
        ----------
        place
            Of this row, which is stored if no row had the id.
        """
        key, digest = uuid.UUID(event_id).bytes, hashlib.blake2b(content, digest_size=16).digest()
        added = self._database.execute(
            "insert into seen values (?, ?, ?) on conflict do nothing", (key, digest, place)
        )
        if added.rowcount:
            return place, True
        found = self._database.execute("select place, content from seen where id = ?", (key,))
        first, known = found.fetchone()
        return first, known == digest
