"""The logs of the parts: files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from modelwatch.errors import NotFoundError
from modelwatch_cli.stack.home import Home

_FOLLOW_SECONDS = 0.3


def read_part_log(home: Home, part: str, lines: int, follow: bool) -> Iterator[str]:
    """Yield the last ``lines`` lines of a part's log, and then, if asked to, new ones for ever.

    Raises NotFoundError when the part was never started.
    """
    log = home.log(part)
    if not log.exists():
        raise NotFoundError(f"{part} has no log yet: {log} is not there")
    # the start of new lines is fixed before the old ones are read
    end = log.stat().st_size
    yield from home.log_end(part, lines) if lines else []
    if follow:
        yield from _new_lines(log, end)


def _new_lines(log: Path, position: int) -> Iterator[str]:
    with log.open(errors="replace") as file:
        file.seek(position)
        begun = ""
        while True:
            begun += file.readline()
            if begun.endswith("\n"):
                yield begun.rstrip("\n")
                begun = ""
            else:
                time.sleep(_FOLLOW_SECONDS)
