"""How every command prints: tables and progress for people, JSON for scripts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from modelwatch.domain.numbers import rounded

_UNLIMITED_COLUMNS = 10_000
_LINE_SECONDS = 10
"""Off a terminal, long work says so often how far it is."""

_STEERING = {
    code: f"\\u{code:04x}"  # as JSON has them, which stays JSON
    for code in (
        *range(9),
        *range(11, 32),
        *range(127, 160),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    )
}
"""Control characters but tabs and line breaks, and those that turn the direction of writing."""


def shown(text: str) -> str:
    r"""Return ``text`` so that it does not steer a terminal, whoever made it up.

    >>> print(shown("wine\x1b[2J"))
    wine\u001b[2J
    """
    return text.translate(_STEERING)


class _Console(Console):
    """What names of models, errors of servers and lines of files are printed on."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, with texts as `shown` has them."""
        super().print(
            *(shown(each) if isinstance(each, str) else each for each in objects), **options
        )


# off a terminal no line is cut
console = _Console(
    highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _UNLIMITED_COLUMNS
)
"""Standard output: the results."""

error_console = _Console(stderr=True, highlight=False, soft_wrap=True)
"""Standard error: errors, and progress of commands that print JSON."""


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> count_of(1, "row"), count_of(0, "row")
    ('1 row', '0 rows')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_json(value: Any) -> None:
    """Print ``value`` as JSON, indented."""
    console.print(msgspec.json.format(msgspec.json.encode(value)).decode(), markup=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Print ``rows`` under ``columns``; a column of numbers is right-aligned."""
    cells = [list(row) for row in rows]
    table = Table(title=shown(title) or None, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = cells and all(isinstance(row[index], int | float) for row in cells)
        # a truncated address is useless
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        # names and notes are text, not rich's markup
        table.add_row(*(Text(_cell(cell)) for cell in row))
    console.print(table)


def progress() -> Progress:
    """Return a progress bar with a count and the time that has passed.

    It is drawn only on a terminal; elsewhere the command prints lines.
    """
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=error_console,
        transient=True,
        disable=not error_console.is_terminal,
    )


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how much of long work is done: a bar, or off a terminal a line now and then.

    It gives what is called with how much is done, and how much there is.
    """
    said = time.monotonic()
    with progress() as bar:
        task = bar.add_task(what, total=None)

        def count(done: int, total: int) -> None:
            nonlocal said
            bar.update(task, completed=done, total=total)
            if not error_console.is_terminal and time.monotonic() - said >= _LINE_SECONDS:
                said = time.monotonic()
                error_console.print(f"  {done} of {total} {what}", markup=False)

        yield count


@contextmanager
def steps(out: Console) -> Iterator[Callable[[str], None]]:
    """Show the progress of long work: the current step, and a line for each finished one.

    If there is an error, it happened in the step after the last line.
    """
    title, began = "", 0.0

    def finish() -> None:
        if title:
            out.print(f"  {title} ({time.perf_counter() - began:.1f} s)", markup=False)

    with out.status("starting") as status:

        def step(text: str) -> None:
            nonlocal title, began
            finish()
            title, began = text, time.perf_counter()
            status.update(text)

        yield step
        finish()


def _cell(value: object) -> str:
    if isinstance(value, float):
        return rounded(value, 4)
    return "" if value is None else shown(str(value))
