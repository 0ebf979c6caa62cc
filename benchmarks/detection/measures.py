"""What is measured: false alarms, power at the same rate of false alarms, delay, scenarios."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.detection.draws import MIX, SHIFTS, T3, Family
from benchmarks.detection.rules import Columns, flagged, measured
from sklearn.datasets import load_wine

from modelwatch.domain.profiles import number_column
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.rules import MONTH_SECONDS, run_level
from modelwatch_cli.traffic.scenarios import SCENARIOS, simulate_rows

HOURLY = run_level(1.0, MONTH_SECONDS / 3600)
"""Level of a run at the default budget, one false alarm a month, with a verdict an hour."""

LEVELS = (0.05, 0.01, HOURLY)
FEATURES = (5, 13, 100)
Row = dict[str, Any]


def false_alarms(
    sizes: tuple[int, ...], references: tuple[int, ...], repetitions: int, seed: int
) -> Iterator[Row]:
    """Evaluate windows of what the reference is of: every drift is a false alarm."""
    for reference in references:
        for size in sizes:
            generator = np.random.default_rng([seed, size, reference])
            pairs = [
                (family.draw(generator, reference), family.draw(generator, size))
                for _ in range(repetitions)
                for family in MIX
            ]
            yield from _alarms(measured(pairs), size, reference, generator)


def sketched_false_alarms(sizes: tuple[int, ...], repetitions: int, seed: int) -> Iterator[Row]:
    """Do the same with numbers that both sides know from KLL sketches only."""
    families = [family for family in MIX if not family.categorical]
    for size in sizes:
        generator = np.random.default_rng([seed, size])
        pairs = [
            (
                Distribution.of_column(number_column(family.rows(generator, size))),
                Distribution.of_column(number_column(family.rows(generator, size))),
            )
            for _ in range(repetitions)
            for family in families
        ]
        yield _rates(measured(pairs).take(_grid(repetitions, len(families))), size, size)


def sketched_power(
    sizes: tuple[tuple[int, int], ...], repetitions: int, seed: int
) -> Iterator[Row]:
    """See one mean of 13 features move, from rows and from sketches, at an hourly run's level."""
    for size, reference in sizes:
        for shift in (0.1, 0.12, 0.15, 0.2):
            generator = np.random.default_rng([seed, size, int(shift * 100)])
            pairs, sketched = [], []
            for _ in range(repetitions):
                before, after = generator.normal(size=reference), generator.normal(shift, size=size)
                pairs.append((Distribution.of_numbers(before), Distribution.of_numbers(after)))
                sketched.append(
                    (
                        Distribution.of_column(number_column(before)),
                        Distribution.of_column(number_column(after)),
                    )
                )
            yield {"shift": shift, "rows": size, "reference": reference} | {
                name: float(np.mean(flagged(_single(measured(each)), HOURLY / 13)))
                for name, each in (("from rows", pairs), ("from sketches", sketched))
            }


def correlated_false_alarms(size: int, reference: int, repetitions: int, seed: int) -> Row:
    """Do the same with 13 features that are nearly one: correlations of 0.9."""
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(repetitions):
        sides = [
            np.sqrt(0.9) * generator.normal(size=(rows, 1))
            + np.sqrt(0.1) * generator.normal(size=(rows, 13))
            for rows in (reference, size)
        ]
        pairs += [
            (Distribution.of_numbers(old), Distribution.of_numbers(new))
            for old, new in zip(sides[0].T, sides[1].T, strict=True)
        ]
    return _rates(measured(pairs).take(_grid(repetitions, 13)), size, reference)


def _grid(repetitions: int, features: int) -> np.ndarray:
    return np.arange(repetitions * features).reshape(repetitions, features)


def _alarms(
    columns: Columns, size: int, reference: int, generator: np.random.Generator
) -> Iterator[Row]:
    repetitions = len(columns.score) // len(MIX)
    runs = _grid(repetitions, len(MIX))
    for features in FEATURES:
        if features <= len(MIX):
            places = runs[:, :features]
        else:
            # a wide model is put together from independent columns of several repetitions
            copies = -(-features // len(MIX))
            picks = np.array([generator.permutation(repetitions)[:copies] for _ in runs])
            places = runs[picks].reshape(repetitions, -1)[:, :features]
        yield _rates(columns.take(places), size, reference)


def _rates(runs: Columns, size: int, reference: int) -> Row:
    row: Row = {"rows": size, "reference": reference, "features": runs.score.shape[1]}
    row["runs"] = len(runs.score)
    for level in LEVELS:
        row[f"chance alone at {level:.3g}"] = _share(flagged(runs, level, threshold=0.0))
    row["calibrated"] = _share(flagged(runs, HOURLY))
    row["evidently"] = _share(runs.evidently)
    row["evidently, half of them"] = float(np.mean(runs.evidently.mean(axis=1) >= 0.5))
    return row


def _share(drifted: np.ndarray) -> float:
    return float(drifted.any(axis=1).mean())


def power(sizes: tuple[tuple[int, int], ...], repetitions: int, seed: int) -> Iterator[Row]:
    """How often one feature's change is seen: as shipped, and at 1 % false alarms for both."""
    for size, reference in sizes:
        generator = np.random.default_rng([seed, size, reference])
        nothing: dict[str, Columns] = {}
        for shift in SHIFTS:
            family = shift.before
            if family.name not in nothing:
                nothing[family.name] = measured(_draw(family, family, generator, size, reference,
                                                      3 * repetitions))  # fmt: skip
            null = nothing[family.name]
            seen = measured(_draw(family, shift.after, generator, size, reference, repetitions))
            ours, theirs = np.quantile(null.p_value, 0.01), np.quantile(null.evidence, 0.99)
            yield {
                "shift": shift.name,
                "rows": size,
                "reference": reference,
                "distance": float(np.median(seen.score)),
                "ours at 1 %": float(np.mean(seen.p_value <= ours)),
                "evidently at 1 %": float(np.mean(seen.evidence >= theirs)),
                "calibrated": float(np.mean(flagged(_single(seen), HOURLY))),
                "evidently": float(np.mean(seen.evidently)),
                "evidently, nothing changed": float(np.mean(null.evidently)),
            }


def _draw(
    before: Family, after: Family, generator: np.random.Generator, size: int, reference: int,
    repetitions: int,
) -> list[tuple[Distribution, Distribution]]:  # fmt: skip
    return [
        (before.draw(generator, reference), after.draw(generator, size)) for _ in range(repetitions)
    ]


def _single(columns: Columns) -> Columns:
    return columns.take(np.arange(len(columns.score))[:, None])


def delays(shifts: tuple[float, ...], repetitions: int, seed: int) -> Iterator[Row]:
    """Count rows from a change until a window of the last 500 has a drifted feature.

    There is a verdict every 50 rows. Of five features (reference: 10,000 rows) three move.
    """
    window, step, most = 500, 50, 1000
    families = MIX[:5]
    for shift in shifts:
        generator = np.random.default_rng([seed, int(shift * 100)])
        found: dict[str, list[int]] = {"calibrated": [], "evidently": []}
        for _ in range(repetitions):
            reference = [family.draw(generator, 10_000) for family in families]
            streams = [family.rows(generator, window + most) for family in families]
            for stream, family in zip(streams[:3], families[:3], strict=True):
                spread = np.sqrt(3) if family is T3 else float(np.std(stream))
                stream[window:] += shift * spread
            waiting = dict.fromkeys(found, most)
            for after in range(step, most + 1, step):
                sides = [_side(family, stream[after : after + window])
                         for family, stream in zip(families, streams, strict=True)]  # fmt: skip
                seen = measured(list(zip(reference, sides, strict=True))).take(_grid(1, 5))
                verdicts = {"calibrated": flagged(seen, HOURLY).any(),
                           "evidently": seen.evidently.any()}  # fmt: skip
                for rule, drifted in verdicts.items():
                    if drifted:
                        waiting[rule] = min(waiting[rule], after)
                if max(waiting.values()) < most:
                    break
            for rule, rows in waiting.items():
                found[rule].append(rows)
        yield {"shift": shift} | {
            f"{rule}, {title}": float(np.quantile(rows, share))
            for rule, rows in found.items()
            for title, share in (("median", 0.5), ("90 %", 0.9))
        }


def _side(family: Family, rows: np.ndarray) -> Distribution:
    if family.categorical:
        return Distribution.of_counts(dict(zip(*np.unique(rows, return_counts=True), strict=True)))
    return Distribution.of_numbers(rows)


def scenarios(sizes: tuple[int, ...], repetitions: int, seed: int) -> Iterator[Row]:
    """Evaluate the simulator's scenarios on 142 wines with their cultivar: half of all drifts."""
    data = load_wine(as_frame=True)
    wines = data.data.assign(cultivar=data.target.map(lambda number: f"class {number}"))
    for name, scenario in SCENARIOS.items():
        if not scenario.paced:
            continue
        for size in sizes:
            pairs = []
            for repetition in range(repetitions):
                reference = wines.sample(142, random_state=repetition)
                rows = pd.DataFrame(simulate_rows(scenario, reference, size, seed + repetition))
                pairs += [(_column(reference[each]), _column(rows[each])) for each in wines]
            runs = measured(pairs).take(_grid(repetitions, wines.shape[1]))
            ours = flagged(runs, HOURLY)
            yield {
                "scenario": name,
                "rows": size,
                "calibrated": float(np.mean(ours.mean(axis=1) >= 0.5)),
                "calibrated, any feature": _share(ours),
                "evidently": float(np.mean(runs.evidently.mean(axis=1) >= 0.5)),
                "evidently, any feature": _share(runs.evidently),
            }


def _column(values: pd.Series) -> Distribution:
    if pd.api.types.is_numeric_dtype(values):
        return Distribution.of_numbers(values)
    return Distribution.of_counts(values.value_counts().to_dict())
