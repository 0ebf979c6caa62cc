"""How far estimates of performance without labels are from the truth, as features drift away.

    PYTHONPATH=. python -m benchmarks.performance_estimation [--repetitions 20]

Each repetition learns three classifiers anew, draws reference rows that they have not seen, with
labels, and a window for every size of a shift, without. The error of an estimate is its distance
from what labels of the window's rows would show on average, which is known. Beside ours: NannyML's
CBPE on the same draws, the performance on the reference (who looks no more), and the window's own
labels, if they were there; and how often our interval holds what labels show. The same of the
errors of regressions; see `regression`. Seeded. Prints tables, and JSON as the last line.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from typing import Any

import numpy as np
from benchmarks.performance_estimation import estimators, regression
from benchmarks.performance_estimation.task import classifiers, draw, true_performance
from rich.console import Console
from rich.table import Table

from modelwatch.domain.performance.estimates import Estimate

SHIFTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
TRAINING_ROWS, REFERENCE_ROWS, WINDOW_ROWS = 1500, 5000, 2000
TITLES = {"accuracy": "accuracy", "roc_auc": "ROC AUC"}
OURS, UNCALIBRATED, NANNYML = "ours", "ours, uncalibrated", "NannyML"
BEFORE, LABELS = "as on reference", "with labels"
WIDTH, HELD = "interval's width", "labels within"
ESTIMATORS = (OURS, UNCALIBRATED, NANNYML, BEFORE, LABELS)
"""In the order of the tables' columns."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=20, help="draws of everything")
    parser.add_argument("--seed", type=int, default=1, help="of all random numbers")
    parser.add_argument("--without-nannyml", action="store_true", help="ours alone")
    arguments = parser.parse_args()
    began = time.perf_counter()
    measured, estimates = _estimated(
        arguments.repetitions, arguments.seed, beside=not arguments.without_nannyml
    )
    rows = {metric: _rows(measured, estimates, metric) for metric in estimators.METRICS}
    for metric, lines in rows.items():
        _show(f"{TITLES[metric]}: mean absolute error of the estimate", lines)
    errors = regression.measured(
        arguments.repetitions, arguments.seed, beside=not arguments.without_nannyml
    )
    regression.show(errors)
    print(
        json.dumps(
            {
                "regressions": errors,
                "repetitions": arguments.repetitions,
                "seconds": round(time.perf_counter() - began, 1),
                "mean_absolute_error": {metric: _means(lines) for metric, lines in rows.items()},
                "rows": rows,
            }
        )
    )


def _values(estimate: dict[str, Estimate]) -> estimators.Performance:
    return {name: each.value for name, each in estimate.items()}


Case = tuple[str, float]
"""Name of the classifier, and size of the shift."""

Performances = dict[Case, list[estimators.Performance]]


def _estimated(
    repetitions: int, seed: int, *, beside: bool
) -> tuple[Performances, dict[str, Performances]]:
    """Return what is true of each case, one by repetition, and what each estimator says.

    Beside the estimators: whether our interval held what labels show, and how wide it was.
    """
    measured: Performances = defaultdict(list)
    found: dict[str, Performances] = defaultdict(lambda: defaultdict(list))
    held, widths = found[HELD], found[WIDTH]
    cases = []
    for repetition in range(repetitions):
        generator = np.random.default_rng([seed, repetition])
        models = classifiers(draw(generator, TRAINING_ROWS))
        reference = draw(generator, REFERENCE_ROWS)
        windows = {shift: draw(generator, WINDOW_ROWS, shift) for shift in SHIFTS}
        for name, model in models.items():
            known = model(reference.features), reference.labels
            scores = {shift: model(window.features) for shift, window in windows.items()}
            cases.append((name, *known, list(scores.values())))
            before = estimators.by_labels(*known)
            for shift, window in windows.items():
                case = name, shift
                measured[case].append(true_performance(scores[shift], window.chances))
                estimate = estimators.ours(scores[shift], known)
                labels = estimators.by_labels(scores[shift], window.labels)
                found[OURS][case].append(_values(estimate))
                found[UNCALIBRATED][case].append(_values(estimators.ours(scores[shift])))
                found[BEFORE][case].append(before)
                found[LABELS][case].append(labels)
                held[case].append(
                    {name: each.low <= labels[name] <= each.high for name, each in estimate.items()}
                )
                widths[case].append({name: each.high - each.low for name, each in estimate.items()})
    if beside:
        theirs = estimators.nannyml([case[1:] for case in cases])
        for (name, *_), performances in zip(cases, theirs, strict=True):
            for shift, performance in zip(SHIFTS, performances, strict=True):
                found[NANNYML][name, shift].append(performance)
    return measured, found


def _rows(
    measured: Performances, estimates: dict[str, Performances], metric: str
) -> list[dict[str, Any]]:
    rows = []
    for case, performances in measured.items():
        truth = np.array([each[metric] for each in performances])
        errors = {
            name: np.array([each[metric] for each in estimates[name][case]]) - truth
            for name in ESTIMATORS
            if name in estimates
        }
        rows.append(
            {
                "classifier": case[0],
                "shift": case[1],
                "true": round(float(truth.mean()), 4),
                **{name: round(float(np.abs(each).mean()), 4) for name, each in errors.items()},
                **{
                    name: round(float(np.mean([each[metric] for each in estimates[name][case]])), 4)
                    for name in (WIDTH, HELD)
                },
            }
        )
    return rows


def _means(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the mean error over all shifts, by classifier and estimator."""
    names = [name for name in ESTIMATORS if name in rows[0]]
    return {
        kind: {
            name: round(float(np.mean([row[name] for row in rows if row["classifier"] == kind])), 4)
            for name in names
        }
        for kind in dict.fromkeys(row["classifier"] for row in rows)
    }


def _show(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        kind, shift, *errors = row.values()
        table.add_row(str(kind), f"{shift:g}", *(f"{error:.4f}" for error in errors))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
