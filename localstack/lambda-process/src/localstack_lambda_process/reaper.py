"""Kills functions' process groups when LocalStack is gone, however it went.

Started by `guardian` as a script of its own, in its own session. It reads ``+PID`` and ``-PID``
lines from a pipe only LocalStack writes to. When LocalStack ends, even by SIGKILL, the kernel
closes the pipe: end of file, and every group still on the list is killed.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Follow the list until LocalStack is gone, then kill what is left on it."""
    # Ctrl-C and a polite stop are LocalStack's to handle; this process goes when the pipe closes.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        process_id = int(line[1:])
        if line[0] == "+":
            groups.add(process_id)
        else:
            groups.discard(process_id)
    for process_id in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process_id, signal.SIGKILL)


if __name__ == "__main__":
    main()
