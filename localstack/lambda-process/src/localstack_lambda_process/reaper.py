"""Kills functions' process groups when LocalStack ends in any way.

`guardian` starts it as a script in a new session. It reads ``+PID`` and ``-PID`` lines from a pipe
to which only LocalStack writes. When LocalStack ends, even by SIGKILL, the kernel closes the pipe.
Then the script kills every group on the list.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Follow the list until LocalStack ends, then kill the groups on it."""
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
