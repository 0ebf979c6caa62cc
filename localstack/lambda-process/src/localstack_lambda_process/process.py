"""One process of a function: starts it, measures it, and kills it with its whole group."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from .guardian import GUARDIAN
from .output import OutputPipe

_KIBIBYTE = 1024


class FunctionProcess:
    """A process in a new session, which its descendants share.

    Parameters
    ----------
    arguments, working_directory, environment
        As for `subprocess.Popen`; `environment` is complete, nothing is inherited.
    on_exit
        Called once, from a thread of its own, with the return code (negative: a signal's number),
        after the whole group was killed.
    """

    def __init__(
        self,
        arguments: list[str],
        working_directory: Path,
        environment: dict[str, str],
        on_exit: Callable[[int], None],
    ) -> None:
        self.output = OutputPipe()
        try:
            self._popen = subprocess.Popen(
                arguments,
                cwd=working_directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self.output.writer,
                stderr=self.output.writer,
                start_new_session=True,
            )
        finally:
            self.output.close_writer()
            self.output.start()
        self.pid = self._popen.pid
        GUARDIAN.watch(self.pid)
        self._on_exit = on_exit
        self._peak_memory_bytes = 0
        self._reap_lock = threading.Lock()
        self._reaped = False
        threading.Thread(target=self._await_exit, name="lambda-process-exit", daemon=True).start()

    def kill(self) -> None:
        """Kill the process and its group. It can be called at any time, and again."""
        with self._reap_lock:
            # Once reaped, the id may belong to another process.
            if not self._reaped:
                self._kill_group()

    def terminate(self) -> None:
        """Ask the process to end. It can be called at any time."""
        with self._reap_lock:
            if not self._reaped:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(self.pid, signal.SIGTERM)

    def peak_memory_bytes(self) -> int:
        """Highest resident memory, in bytes; after the end, the last measured value."""
        with contextlib.suppress(OSError, ValueError):
            self._peak_memory_bytes = max(self._peak_memory_bytes, _peak_memory_bytes(self.pid))
        return self._peak_memory_bytes

    def _await_exit(self) -> None:
        # WNOWAIT leaves a zombie that keeps the id (and so the group's) reserved until the group
        # is killed and off the guardian's list.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._reap_lock:
            self._kill_group()
            GUARDIAN.forget(self.pid)
            return_code = self._popen.wait()
            self._reaped = True
        self._on_exit(return_code)

    def _kill_group(self) -> None:
        # macOS returns EPERM for a group of zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _peak_memory_bytes(process_id: int) -> int:
    if sys.platform == "linux":
        status = Path(f"/proc/{process_id}/status").read_text()
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIBIBYTE
        return 0
    import psutil

    try:
        return int(psutil.Process(process_id).memory_info().rss)
    except psutil.Error:
        return 0
