"""Followed files of EMF lines, for functions that run under `chalice local`.

A file is read once, in order; the ledger keeps the position, in the same transaction as the totals.
A file that was replaced (another inode) or truncated is read from its beginning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.lines.events import Clock, LogEvent
from modelwatch_bridge.sources.ports import SourceError

_CHUNK_BYTES = 1024 * 1024


class FileFollower:
    """Brings the lines of some files into the ledger.

    Parameters
    ----------
    paths
        The files; one that does not exist yet is waited for.
    clock
        The time that events get: when they were read, in milliseconds since 1970.
    """

    def __init__(self, paths: Sequence[Path], ledger: Ledger, clock: Clock) -> None:
        self._paths = paths
        self._ledger = ledger
        self._clock = clock

    def poll(self) -> None:
        """Read what was added to the files.

        Raises
        ------
        SourceError
            When a file cannot be read; the others were.
        LedgerError
            When events cannot be stored.
        """
        failures: list[str] = []
        for path in self._paths:
            try:
                while self._read_chunk(path):
                    pass
            except FileNotFoundError:
                continue
            except OSError as error:
                failures.append(f"{path}: {error}")
        if failures:
            raise SourceError("; ".join(failures))

    def _read_chunk(self, path: Path) -> bool:
        """Count the whole lines of the next chunk; return whether there may be more."""
        source = f"file:{path.absolute()}"
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            inode = state.st_ino
            offset = self._offset(source, inode, state.st_size)
            file.seek(offset)
            chunk = file.read(_CHUNK_BYTES)
        complete = chunk.rfind(b"\n") + 1
        if complete == 0:
            if len(chunk) < _CHUNK_BYTES:
                return False
            complete = len(chunk)  # no line is that long: skip it in pieces
        now_ms = self._clock()
        events: list[LogEvent] = []
        at = offset
        for line in chunk[:complete].splitlines(keepends=True):
            text = line.decode("utf-8", "replace")
            events.append(LogEvent(now_ms, str(inode), f"{at:020d}", text))
            at += len(line)
        position = json.dumps([inode, offset + complete])
        self._ledger.record(source, path.stem, events, position=position, repeatable=False)
        return len(chunk) == _CHUNK_BYTES

    def _offset(self, source: str, inode: int, size: int) -> int:
        recorded = self._ledger.position(source)
        if recorded is None:
            return 0
        recorded_inode, offset = json.loads(recorded)
        return int(offset) if recorded_inode == inode and offset <= size else 0
