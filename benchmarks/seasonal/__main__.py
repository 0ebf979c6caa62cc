"""How quiet verdicts are on a real year of which nothing changed, and what they find.

    make bench-seasonal

Weeks with an even number are known: their rows are the reference, their windows are the past. The
others are watched, by days, hours (of 30 flights and more) and weeks, without and with changes that
last a whole week. Beside it on the same windows: the verdict of independent draws, Evidently's
defaults, and NannyML's rule. The method was fixed by the first half of the flights' watched weeks;
the second half is reported apart, and so are two other series, as they were found. Prints tables,
and JSON as the last line.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from benchmarks.seasonal.cities import BIKES, WALKERS
from benchmarks.seasonal.flights import FLIGHTS
from benchmarks.seasonal.measures import measure
from benchmarks.seasonal.series import WEEKS, Model, hours
from rich.console import Console
from rich.progress import track
from rich.table import Table

SERIES = {each.name: each for each in (FLIGHTS, BIKES, WALKERS)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(".envs/flights"), help="of the data")
    parser.add_argument("--weeks", type=int, default=WEEKS, help="of the year, from its first on")
    parser.add_argument("--series", choices=SERIES, nargs="*", default=list(SERIES))
    arguments = parser.parse_args()
    began = time.perf_counter()
    console = Console(width=160, stderr=True)
    summary: dict[str, float] = {}
    for name in arguments.series:
        series = SERIES[name]
        rows = series.read(arguments.folder)
        model = Model(series, rows) if series.label else None
        found = list(
            track(
                hours(rows, series, arguments.weeks, model),
                f"{name}: profiles",
                total=rows[rows.week < arguments.weeks]["at"].nunique(),
                console=console,
            )
        )
        figures = measure(
            found, series, model, lambda each, what: track(each, what, console=console)
        )
        table = Table("", "value", title=name, title_justify="left")
        for key, value in figures.items():
            table.add_row(key, f"{value:.4f}")
        Console(width=160).print(table)
        # the method was fixed by the flights, whose keys have no name before them
        before = "" if series is FLIGHTS else f"{name}__"
        summary |= {f"{before}{key}": value for key, value in figures.items()}
    summary["seconds"] = round(time.perf_counter() - began, 1)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
