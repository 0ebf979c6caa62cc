"""Commands that say what went wrong, and steps that say how long they took."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_SHOWN_LINES = 60


class CommandError(Exception):
    """A command failed; the message has the end of what it printed."""


def run(
    command: Sequence[str | Path],
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    timeout_seconds: float = 600,
) -> str:
    """Return what ``command`` printed to standard output.

    Raises
    ------
    CommandError
        When it failed or took too long.
    """
    words = " ".join(str(word) for word in command)
    try:
        outcome = subprocess.run(
            command, env=environ, cwd=directory, timeout=timeout_seconds, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{words}\n  took more than {timeout_seconds:.0f} s") from error
    if outcome.returncode:
        lines = (outcome.stdout + outcome.stderr).splitlines()[-_SHOWN_LINES:]
        raise CommandError(
            "\n  ".join([f"{words}\n  exited with {outcome.returncode} and printed:", *lines])
        )
    return outcome.stdout


class Steps:
    """What was done, each with its time. A step that fails ends the run."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.passed = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Do one step; print a line when it begins, and one when it is over."""
        began = time.monotonic()
        print(f"…            {title}", flush=True)
        try:
            yield
        except BaseException:
            self._print("✗", began, title)
            raise
        self.passed += 1
        self._print("✓", began, title)

    def note(self, text: str) -> None:
        """Print a line that belongs to no step."""
        print(f"            {text}", flush=True)

    def finish(self, failed: int) -> None:
        """Print the sum."""
        print(f"\ntest-compose took {time.monotonic() - self._began:.0f} s")
        print(f"{self.passed} passed, {failed} failed", flush=True)

    @staticmethod
    def _print(mark: str, began: float, title: str) -> None:
        print(f"{mark} {time.monotonic() - began:7.1f} s  {title}", flush=True)
