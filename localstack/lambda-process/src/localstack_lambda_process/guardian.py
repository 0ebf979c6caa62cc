"""Ties functions' processes to LocalStack's life, through one small process (`reaper`).

Why a process: `PR_SET_PDEATHSIG` is Linux's only, reaches no grandchildren, and fires when the
*thread* that forked ends; a thread in the function's process that watches a pipe would change what
`fork` does there. One helper with a list of process groups has none of that.
"""

import atexit
import os
import subprocess
import sys
import threading
from pathlib import Path


class Guardian:
    """Keeps the reaper's list. Thread-safe; the reaper starts with the first entry."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reaper: subprocess.Popen[bytes] | None = None

    def watch(self, process_group_id: int) -> None:
        """Have the group killed should LocalStack end before `forget`."""
        self._tell(f"+{process_group_id}\n")

    def forget(self, process_group_id: int) -> None:
        """Take the group off the list. Call it before its leader is reaped: the id is reused."""
        self._tell(f"-{process_group_id}\n")

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._reaper is None:
                self._reaper = self._start()
            assert self._reaper.stdin is not None
            os.write(self._reaper.stdin.fileno(), line.encode())

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("reaper.py")
        reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-u", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            bufsize=0,
            # Its own session: a kill of LocalStack's process group must not hit it too.
            start_new_session=True,
        )
        assert reaper.stdin is not None
        atexit.register(reaper.stdin.close)
        return reaper


GUARDIAN = Guardian()
