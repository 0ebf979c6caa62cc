"""What can go wrong with the stack."""

from __future__ import annotations

from pathlib import Path

from modelwatch.errors import ModelwatchError


class StackError(ModelwatchError):
    """The stack cannot be started, stopped or looked at."""


class StackDownError(StackError):
    """A server that a command needs does not respond."""


class PartCrashedError(StackError):
    """A part ended, or did not become ready, while it was starting.

    Parameters
    ----------
    what
        What happened, such as ``ended with exit code 1``.
    """

    def __init__(self, part: str, what: str, log: Path, log_end: list[str]) -> None:
        self.part = part
        self.log = log
        shown = "".join(f"\n    {line}" for line in log_end) or "\n    (nothing)"
        super().__init__(f"{part} {what}; the end of its log, {log}:{shown}")


class PortTakenError(StackError):
    """Another process listens on the port of a part."""

    def __init__(self, conflicts: list[str]) -> None:
        super().__init__("; ".join(conflicts))
