"""The output of a function to stdout and stderr, in order, up to an exact moment."""

import contextlib
import os
import select
import threading


class OutputPipe:
    """One pipe for both streams, as on AWS, read by a thread so that it never fills.

    `take` also reads what the thread has not read yet. A function prints before it posts its
    response. So its lines are in the pipe before the post arrives, and a `take` after the response
    has all of them.
    """

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._lock = threading.Lock()
        self._chunks: list[bytes] = []
        self._ended = False

    def start(self) -> None:
        """Begin to read. Call it when the child has the writing end, and it is closed here."""
        threading.Thread(target=self._read_on, name="lambda-process-output", daemon=True).start()

    def close_writer(self) -> None:
        """Close this process's copy of the writing end."""
        os.close(self.writer)

    def take(self) -> str:
        """Return everything written since the last call; bytes that are not UTF-8 replaced."""
        with self._lock:
            self._fetch()
            data = b"".join(self._chunks)
            self._chunks.clear()
        return data.decode("utf-8", errors="replace")

    def _read_on(self) -> None:
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        while True:
            poll.poll()
            with self._lock:
                self._fetch()
                if self._ended:
                    os.close(self._reader)
                    return

    def _fetch(self) -> None:
        if self._ended:
            return
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._reader, 65536):
                self._chunks.append(chunk)
            self._ended = True
