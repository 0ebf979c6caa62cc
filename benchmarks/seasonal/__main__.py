"""How quiet verdicts are on a real year of which nothing changed, and what they find.

    make bench-seasonal

Weeks with an even number are known: their rows are the reference, their windows are the past. The
others are watched, by days, hours (of 30 flights and more) and weeks, without and with changes that
last a whole week. Beside it on the same windows: the verdict of independent draws, Evidently's
defaults, and NannyML's rule. The method was fixed by the first half of the watched weeks; the
second half is reported apart. Prints a table, and JSON as the last line.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from benchmarks.seasonal.flights import WEEKS, hours, rows_of
from benchmarks.seasonal.measures import measure
from rich.console import Console
from rich.progress import track
from rich.table import Table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(".envs/flights"), help="of the data")
    parser.add_argument("--weeks", type=int, default=WEEKS, help="of the year, from its first on")
    arguments = parser.parse_args()
    began = time.perf_counter()
    console = Console(width=160, stderr=True)
    total = arguments.weeks * 7 * 19  # hours of a day that have flights
    found = list(
        track(
            hours(rows_of(arguments.folder), arguments.weeks),
            "profiles",
            total=total,
            console=console,
        )
    )
    summary = measure(found, lambda each, what: track(each, what, console=console))
    table = Table("", "value", title="flights of 2013", title_justify="left")
    for name, value in summary.items():
        table.add_row(name, f"{value:.4f}")
    Console(width=160).print(table)
    summary["seconds"] = round(time.perf_counter() - began, 1)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
