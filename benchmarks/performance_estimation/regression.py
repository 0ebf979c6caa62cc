"""Regressions: the mean absolute error without labels, beside NannyML's, on two tasks.

NannyML's car prices come with its package: the first half of what is watched is like the reference,
the second is not. The other task is drawn: errors that grow with two features, whose means move.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.performance_estimation.estimators import RIVALS, ROOT
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import HistGradientBoostingRegressor

from modelwatch.domain.performance.expected import ExpectedLosses
from modelwatch.domain.performance.loss_estimation import expected_metrics
from modelwatch_training.losses import learn_losses

CARS = "synthetic_car_price"
WINDOW_ROWS, HOURS, HOUR_ROWS = 6000, 24, 1000
SHIFTS = (0.0, 0.5, 1.0, 1.5, 2.0)
TRAINING_ROWS, REFERENCE_ROWS = 3000, 5000
METRICS = ("mae", "rmse")

Errors = dict[str, float]


class Task:
    """A labelled reference, and windows; tables with ``prediction`` and ``label``."""

    def __init__(
        self, reference: pd.DataFrame, windows: list[pd.DataFrame], names: list[str]
    ) -> None:
        self.reference, self.windows, self.names = reference, windows, names


def car_prices() -> Task:
    """Return NannyML's car prices, from its package in the environment of rivals."""
    (folder,) = RIVALS.parents[1].glob("lib/python*/site-packages/nannyml/datasets/data")
    reference, watched = (
        pd.read_csv(folder / f"regression_synthetic_{part}.csv")
        for part in ("reference", "analysis")
    )
    watched["y_true"] = pd.read_csv(folder / "regression_synthetic_analysis_targets.csv")["y_true"]
    named = {"y_pred": "prediction", "y_true": "label"}
    reference, watched = (
        table.drop(columns=["id", "timestamp"])
        .rename(columns=named)
        .astype(dict.fromkeys(named.values(), float))
        for table in (reference, watched)
    )
    windows = [
        watched.iloc[start : start + WINDOW_ROWS] for start in range(0, len(watched), WINDOW_ROWS)
    ]
    return Task(reference, windows, [f"window {number + 1}" for number in range(len(windows))])


def drawn(seed: int) -> Task:
    """Return a task whose errors grow with two features, the means of which move."""
    generator = np.random.default_rng(seed)
    direction = np.array([0.7, 0.5, 0.1, -0.5])

    def rows(count: int, shift: float = 0.0) -> pd.DataFrame:
        x = generator.normal(size=(count, 4)) + shift * direction
        noise = np.exp(0.5 * x[:, 0] + 0.3 * x[:, 3]) * generator.normal(size=count)
        label = 3 * x[:, 0] + x[:, 1] ** 2 + x[:, 2] * x[:, 3] + noise
        return pd.DataFrame(x, columns=list("abcd")).assign(label=label)

    training = rows(TRAINING_ROWS)
    model = HistGradientBoostingRegressor(random_state=0).fit(
        training[list("abcd")], training["label"]
    )

    def predicted(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(prediction=model.predict(table[list("abcd")]))

    return Task(
        predicted(rows(REFERENCE_ROWS)),
        [predicted(rows(WINDOW_ROWS, shift)) for shift in SHIFTS],
        [f"shift {shift:g}" for shift in SHIFTS],
    )


def true_errors(table: pd.DataFrame) -> Errors:
    """Return what the labels show."""
    errors = (table["prediction"] - table["label"]).to_numpy()
    return {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt((errors**2).mean()))}


def ours(task: Task) -> Iterator[dict[str, tuple[float, float, float]]]:
    """Yield (value, low, high) by metric of each window, merged from a day's hours."""
    features = [name for name in task.reference if name not in ("prediction", "label")]
    model = learn_losses(
        {name: task.reference[name].tolist() for name in features},
        task.reference["prediction"].tolist(),
        task.reference["label"].tolist(),
    )
    assert not isinstance(model, str), model
    draw = np.random.default_rng(0)
    for window in task.windows:
        parts = []
        for place in np.array_split(np.arange(len(window)), HOURS):
            looked_at = draw.permutation(place)[:HOUR_ROWS]
            some = window.iloc[looked_at]
            matrix = np.column_stack(
                [each.numbers(some[each.name or "prediction"].tolist()) for each in model.features]
            )
            parts.append(ExpectedLosses.of(model, matrix, len(place)))
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        estimates, _ = expected_metrics(total)
        yield {name: (each.value, each.low, each.high) for name, each in estimates.items()}


def nannyml(tasks: list[Task]) -> list[list[Errors]]:
    """Return NannyML's estimates (DLE) of the windows of each task, in its own environment."""
    with tempfile.TemporaryDirectory() as name:
        for number, task in enumerate(tasks):
            task.reference.to_csv(Path(name) / f"{number}.reference.csv", index=False)
            pd.concat(task.windows).to_csv(Path(name) / f"{number}.windows.csv", index=False)
        program = ROOT / "benchmarks" / "rivals" / "error_estimates.py"
        printed = subprocess.run(
            [RIVALS, program, name, str(len(tasks)), str(WINDOW_ROWS)],
            check=True,
            capture_output=True,
            text=True,
            cwd=ROOT,
        ).stdout
    estimates: list[list[Errors]] = json.loads(printed.splitlines()[-1])
    return estimates


def measured(repetitions: int, seed: int, *, beside: bool) -> list[dict[str, Any]]:
    """Return a row by task, window and metric: what is true, and what each estimator says.

    Of the drawn task: means over repetitions, and mean absolute errors beside them.
    """
    tasks = [car_prices()] if beside else []
    names = [CARS] if beside else []
    tasks += [drawn(seed * 1000 + repetition) for repetition in range(repetitions)]
    names += ["drawn"] * repetitions
    theirs = nannyml(tasks) if beside else [None] * len(tasks)
    found: dict[tuple[str, str, str], list[tuple[float, ...]]] = {}
    for name, task, rival in zip(names, tasks, theirs, strict=True):
        before = true_errors(task.reference)
        for number, estimate in enumerate(ours(task)):
            truth = true_errors(task.windows[number])
            for metric in METRICS:
                value, low, high = estimate[metric]
                found.setdefault((name, task.names[number], metric), []).append(
                    (
                        truth[metric],
                        value,
                        float(low <= truth[metric] <= high),
                        high - low,
                        np.nan if rival is None else rival[number][metric],
                        before[metric],
                    )
                )
    rows = []
    for (name, window, metric), values in found.items():
        true, value, covered, width, other, before_value = np.array(values).T
        rows.append(
            {
                "task": name,
                "window": window,
                "metric": metric,
                "true": round(float(true.mean()), 4),
                "ours": round(float(np.abs(value - true).mean()), 4),
                "NannyML": round(float(np.abs(other - true).mean()), 4),
                "as on reference": round(float(np.abs(before_value - true).mean()), 4),
                "interval's width": round(float(width.mean()), 4),
                "true within": round(float(covered.mean()), 3),
            }
        )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table: mean absolute errors of the estimates, and the interval."""
    title = "errors of regressions: mean absolute error of the estimate"
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=140).print(table)
