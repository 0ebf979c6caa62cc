"""The rows with the smallest hashes of their event ids: a uniform sample, and always the same."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from modelwatch.adapters.captures.arrow_profiles import hash_events
from modelwatch.domain.profiles.hashes import Hashes


class Smallest:
    """So many rows of tables that come one after another, with few others held meanwhile.

    Attributes
    ----------
    hashes
        The smallest ones so far, rising: each event once.
    bound
        A row with a larger hash is not among them.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._tables: list[pa.Table] = []
        self.hashes: Hashes = np.empty(0, np.uint64)
        self.bound = np.uint64(2**64 - 1)

    def take(self, hashes: Hashes) -> None:
        """Take the hashes of rows that may be added later, or not at all."""
        # the same event has the same hash wherever it is
        self.hashes = np.unique(np.concatenate([self.hashes, hashes]))[: self._rows]
        if len(self.hashes) == self._rows:
            self.bound = self.hashes[-1]

    def add(self, table: pa.Table) -> None:
        """Take rows."""
        self.take(hash_events(table))
        self._tables.append(self.of(table))

    def of(self, table: pa.Table) -> pa.Table:
        """Return those rows of a table that may be among the smallest."""
        return table.filter(hash_events(table) <= self.bound)

    def tables(self) -> list[pa.Table]:
        """Return the smallest rows; an event may be in several tables."""
        return [self.of(table) for table in self._tables]
