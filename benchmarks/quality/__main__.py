"""How often constraints that were learned raise a false alarm, and what they find.

    PYTHONPATH=. python -m benchmarks.quality [--repetitions 200]

Each repetition draws a reference and a window from the same 16 columns (heavy tails, rare texts,
missing values, whole numbers), learns, and checks: every violation is a false alarm. Then shares of
one column of 13 are broken in windows; the smallest that is found four times in five is printed.
Seeded. Prints two tables, and JSON as the last line.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from modelwatch.domain.constraints import Constraints, check, learn_constraints
from modelwatch.domain.profiles import ColumnProfile, Profile, number_column, text_column

REFERENCES = (142, 2000, 50_000)
WINDOWS = (100, 1000, 10_000, 100_000)
SHARES = (0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04,
          0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 0.5, 1.0)  # fmt: skip
FOUND = 0.8
COLUMNS = 13

rng = np.random.default_rng(20_261_123)
Draw = Callable[[int], ColumnProfile]


def numbers(draw: Callable[[int], np.ndarray], missing: float = 0.0) -> Draw:
    """Return what draws a column of numbers of which a share is missing."""

    def column(rows: int) -> ColumnProfile:
        return number_column(np.where(rng.random(rows) < missing, np.nan, draw(rows)))

    return column


def texts(shares: np.ndarray, new: float = 0.0) -> Draw:
    """Return what draws a column of texts, a share of them one that is not among the others."""
    shares = shares / shares.sum()

    def column(rows: int) -> ColumnProfile:
        fresh = rng.binomial(rows, new)
        counts = {f"t{i}": int(n) for i, n in enumerate(rng.multinomial(rows - fresh, shares)) if n}
        return text_column(counts | ({"new": fresh} if fresh else {}), nulls=0)

    return column


def everyday() -> dict[str, Draw]:
    """Return the columns of the false-alarm table."""
    columns: dict[str, Draw] = {}
    for missing in (0.0, 0.001, 0.01, 0.03, 0.2):
        columns[f"normal {missing}"] = numbers(lambda n: rng.normal(size=n), missing)
        columns[f"lognormal {missing}"] = numbers(lambda n: rng.lognormal(0, 2, n), missing)
    columns["Cauchy"] = numbers(lambda n: rng.standard_cauchy(n))
    columns["Poisson"] = numbers(lambda n: rng.poisson(3, n).astype(float))
    columns["rare one"] = numbers(lambda n: (rng.random(n) < 0.003).astype(float))
    columns["Zipf"] = texts(1 / np.arange(1, 300) ** 1.5)
    columns["uniform"] = texts(np.ones(30))
    columns["two"] = texts(np.array([0.995, 0.005]))
    return columns


def false_alarms(reference: int, window: int, repetitions: int) -> float:
    """Return the share of windows like their reference that are violated."""
    columns = everyday()

    def draw(rows: int) -> Profile:
        return Profile(rows=rows, features={name: one(rows) for name, one in columns.items()})

    alarms = [
        check(learn_constraints(draw(reference)), draw(window)).status == "violated"
        for _ in range(repetitions)
    ]
    return float(np.mean(alarms))


def smallest_found(
    constraints: Constraints, others: Profile, broken: Callable[[float], Draw], tries: int
) -> float:
    """Return the smallest share of broken rows of column ``x`` that is mostly found."""
    for share in SHARES:
        hits = 0
        for _ in range(tries):
            features = {**others.features, "x": broken(share)(others.rows)}
            found = check(constraints, Profile(rows=others.rows, features=features))
            hits += any(violation.feature == "x" for violation in found.violations)
        if hits >= FOUND * tries:
            return share
    return float("nan")


def beyond(share: float) -> Draw:
    """Return what draws a column a share of which is out of range."""
    return numbers(lambda n: np.where(rng.random(n) < share, 99.0, rng.normal(size=n)))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    alarms = {
        (reference, window): false_alarms(reference, window, repetitions)
        for reference in REFERENCES
        for window in WINDOWS
    }
    colours = np.array([0.7, 0.25, 0.05])
    plain: dict[str, Draw] = {
        **{f"f{index}": numbers(lambda n: rng.normal(size=n)) for index in range(COLUMNS - 1)}
    }
    kinds: dict[str, tuple[Draw, Callable[[float], Draw]]] = {
        "missing": (
            numbers(lambda n: rng.normal(size=n)),
            lambda share: numbers(lambda n: rng.normal(size=n), share),
        ),
        "out of range": (numbers(lambda n: rng.normal(size=n)), beyond),
        "new text": (texts(colours), lambda share: texts(colours, share)),
    }
    found: dict[tuple[int, int, str], float] = {}
    for reference in REFERENCES:
        for kind, (whole, broken) in kinds.items():
            columns = {name: one(reference) for name, one in {**plain, "x": whole}.items()}
            constraints = learn_constraints(Profile(rows=reference, features=columns))
            for window in WINDOWS:
                others = Profile(rows=window, features={n: one(window) for n, one in plain.items()})
                found[reference, window, kind] = smallest_found(constraints, others, broken, 20)
    console = Console()
    table = Table("reference", *(f"{window:,} rows" for window in WINDOWS))
    for reference in REFERENCES:
        table.add_row(f"{reference:,}", *(f"{alarms[reference, w]:.1%}" for w in WINDOWS))
    console.print(f"false alarms of {repetitions} windows, level 1 %", table)
    table = Table("reference", "broken", *(f"{window:,} rows" for window in WINDOWS))
    for reference in REFERENCES:
        for kind in kinds:
            cells = (f"{100 * found[reference, window, kind]:g} %" for window in WINDOWS)
            table.add_row(f"{reference:,}", kind, *cells)
    console.print("smallest share that is found four times in five", table)
    rates = [{"reference": r, "window": w, "rate": rate} for (r, w), rate in alarms.items()]
    power = [
        {"reference": r, "window": w, "broken": kind, "share": share}
        for (r, w, kind), share in found.items()
    ]
    print(json.dumps({"repetitions": repetitions, "false_alarms": rates, "found": power}))


if __name__ == "__main__":
    main()
