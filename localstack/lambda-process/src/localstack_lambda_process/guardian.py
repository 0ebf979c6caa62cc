"""Ends functions' processes when LocalStack ends, through one small process (`reaper`).

It is a process for these reasons. `PR_SET_PDEATHSIG` exists only on Linux, does not reach
grandchildren, and sends its signal when the *thread* that forked ends. A thread in the function's
process that reads a pipe would change what `fork` does there.
"""

import atexit
import os
import subprocess
import sys
import threading
from pathlib import Path


class Guardian:
    """Has the list of process groups; the reaper starts with the first entry. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reaper: subprocess.Popen[bytes] | None = None

    def watch(self, process_group_id: int) -> None:
        """Put the group on the list: it is killed if LocalStack ends before `forget`."""
        self._tell(f"+{process_group_id}\n")

    def forget(self, process_group_id: int) -> None:
        """Remove the group from the list. Call it before its leader is reaped: the id is reused."""
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
