"""How loud days and weeks are while their past is learned.

    PYTHONPATH=. python -m benchmarks.seasonal.beginning

The weeks with an even number are the reference; the others are watched one after the other from a
past of nothing on, as in use: a window joins seven days after its end. Prints the series, a mark a
window: D the status is drift, w a feature drifted, . nothing did.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from benchmarks.seasonal.cities import BIKES, WALKERS
from benchmarks.seasonal.flights import FLIGHTS
from benchmarks.seasonal.pieces import NAMES, pieces
from benchmarks.seasonal.series import DAY, WEEK, Hour, Model, Series, hours, merged

from modelwatch.domain.constraints import Constraints
from modelwatch.domain.past.calibration import calibrate
from modelwatch.domain.past.history import JOINS_AFTER, Past
from modelwatch.domain.profiles import merge_profiles
from modelwatch.domain.verdict.columns import all_distributions, traces_of
from modelwatch.domain.verdict.rules import AnalysisRules, DriftPolicy
from modelwatch.domain.verdict.sides import Reference, WindowProfiles
from modelwatch.domain.verdict.window import evaluate_window
from modelwatch.domain.window_plans import WindowPlan


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(".envs/flights"), help="of the data")
    folder = parser.parse_args().folder
    for series in (FLIGHTS, BIKES, WALKERS):
        rows = series.read(folder)
        model = Model(series, rows) if series.label else None
        found = list(hours(rows, series, model=model))
        for length in (DAY, WEEK):
            marks = "".join(_marks(found, series, model, length))
            print(series.name, NAMES[length], marks, flush=True)


def _marks(
    found: Sequence[Hour], series: Series, model: Model | None, length: timedelta
) -> Iterator[str]:
    known = [merged(list(each.hours)) for each in pieces(found, WEEK, series.fewest)
             if each.is_known]  # fmt: skip
    reference = Reference(
        title="",
        profile=merge_profiles(known),
        constraints=Constraints(columns={}),
        importance=model.importance if model else None,
    )
    distributions = all_distributions(reference.profile)
    rules = AnalysisRules(
        plans=(WindowPlan(length),),
        run_every=length,
        min_rows=series.fewest,
        policy=DriftPolicy(rule="important"),
    )
    past = Past()
    for piece in pieces(found, length, series.fewest):
        if piece.is_known:
            continue
        profile = merged(list(piece.hours))
        joined = past.until(piece.window.start - JOINS_AFTER)
        calibration = calibrate(joined, piece.window, rules.policy.methods, rules.history_days)
        watched = WindowProfiles(
            model_name=series.name, model_version="1", window=piece.window, profile=profile
        )
        verdict = evaluate_window(watched, reference, rules, calibration)
        yield "D" if verdict.status == "drift" else "w" if verdict.drifted_features else "."
        traces = traces_of(distributions, profile, rules.policy)
        past = past.add(piece.window.start, length, profile.rows, traces)


if __name__ == "__main__":
    main()
