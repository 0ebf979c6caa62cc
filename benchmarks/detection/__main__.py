"""How often drift is found where there is none, and how soon where there is, beside Evidently.

    PYTHONPATH=. python -m benchmarks.detection [--repetitions 500] [--brief]

Seeded, and without the network. Ours is the mode `calibrated` with the thresholds 0.1 and the level
of an hourly run at one false alarm a month; Evidently's are its defaults, on the same draws. Prints
tables, and JSON as the last line.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from benchmarks.detection import measures
from benchmarks.detection.rules import check
from rich.console import Console
from rich.table import Table

SIZES = (50, 150, 500, 2_000, 10_000, 100_000)
REFERENCES = (142, 10_000, 100_000)
SKETCHED_SIZES = ((2_000, 10_000), (10_000, 10_000))
POWER_SIZES = ((50, 142), (500, 142), (150, 10_000), (500, 10_000), (2_000, 10_000))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=500, help="runs of each kind")
    parser.add_argument("--seed", type=int, default=1, help="of all random numbers")
    parser.add_argument("--brief", action="store_true", help="fewer sizes, for a quick look")
    arguments = parser.parse_args()
    runs, seed, brief = arguments.repetitions, arguments.seed, arguments.brief
    began = time.perf_counter()
    stands_in = check(np.random.default_rng(seed))

    sizes, references = ((50, 2_000), (142, 10_000)) if brief else (SIZES, REFERENCES)
    alarms = list(measures.false_alarms(sizes, references, runs, seed))
    _show("nothing changed: share of runs with a drifted feature", alarms)
    sketched = list(measures.sketched_false_alarms((10_000,) if brief else (10_000, 100_000),
                                                   max(20, runs // 5), seed))  # fmt: skip
    _show("the same, both sides known from sketches (numbers only)", sketched)
    correlated = measures.correlated_false_alarms(500, 1000, runs, seed)
    _show("the same, 13 features with correlations of 0.9", [correlated])

    powers = list(measures.power(POWER_SIZES[:1] if brief else POWER_SIZES, runs, seed))
    _show("one feature changed: share of runs that see it", powers)
    sketches = list(measures.sketched_power(POWER_SIZES[-1:] if brief else SKETCHED_SIZES,
                                            max(20, runs // 5), seed))  # fmt: skip
    _show("a normal mean moved: what sketches cost", sketches)
    delays = list(measures.delays((0.5,) if brief else (0.3, 0.5, 1.0), runs, seed))
    _show("rows from a change to the first drifted feature", delays)
    scenarios = list(
        measures.scenarios((150,) if brief else (150, 500), runs // 2 if brief else runs, seed)
    )
    _show(
        "the simulator's scenarios, 142 wines: share of windows with drift",
        scenarios,
    )

    every = [*alarms, *sketched, correlated]
    summary = {
        "repetitions": runs,
        "seconds": round(time.perf_counter() - began, 1),
        "difference_of_stand_ins": stands_in,
        "levels": measures.LEVELS,
        "chance_alone": {
            f"{level:.3g}": _summary(every, f"chance alone at {level:.3g}")
            for level in measures.LEVELS
        },
        "false_alarms": {rule: _summary(every, rule) for rule in ("calibrated", "evidently")},
        "power_at_same_false_alarms": {
            "ours": round(float(np.mean([row["ours at 1 %"] for row in powers])), 4),
            "evidently": round(float(np.mean([row["evidently at 1 %"] for row in powers])), 4),
            "largest_loss": round(
                max(row["evidently at 1 %"] - row["ours at 1 %"] for row in powers), 4
            ),
        },
        "rows": {
            "false_alarms": every, "power": powers, "sketched_power": sketches,
            "delays": delays, "scenarios": scenarios,
        },
    }  # fmt: skip
    print(json.dumps(summary))


def _summary(rows: list[dict[str, Any]], name: str) -> dict[str, float]:
    """Return the rate over all runs, and the largest rate of one kind of run."""
    runs = np.array([row["runs"] for row in rows], float)
    rates = np.array([row[name] for row in rows])
    return {"all": round(float(rates @ runs / runs.sum()), 5), "largest": float(rates.max())}


def _show(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(_text, row.values()))
    Console(width=160).print(table)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if value < 10 else f"{value:.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
