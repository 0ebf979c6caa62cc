"""Shows parts while they start and stop."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Display:
    """A line with a clock for each part in progress, and a permanent line when it is done.

    Off a terminal only the permanent lines are written.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, tuple[TaskID, float]] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begins(self, title: str, what: str) -> None:
        """Show that a part started, or its progress."""
        if title in self._tasks:
            self._progress.update(self._tasks[title][0], description=f"{title:15} {what}")
        else:
            task = self._progress.add_task(f"{title:15} {what}", total=None)
            self._tasks[title] = (task, time.monotonic())

    def done(self, title: str, what: str) -> None:
        """Write the outcome, and how long it took."""
        task, began = self._tasks.pop(title)
        self._progress.remove_task(task)
        seconds = time.monotonic() - began
        self._console.print(f"  {title:15} {seconds:5.1f} s  {what}", highlight=False)
