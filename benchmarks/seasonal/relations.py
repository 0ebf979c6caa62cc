"""Relations between two columns: how often quiet ones are flagged, and what is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from statistics import fmean

import numpy as np
from benchmarks.seasonal.pieces import NAMES, pieces
from benchmarks.seasonal.series import Hour, Series, merged

from modelwatch.domain.past.calibration import calibrate
from modelwatch.domain.past.history import Past
from modelwatch.domain.past.relations import relations_of, strongest
from modelwatch.domain.profiles import Profile, RowSample, merge_profiles

_LEVEL = 0.0001

type Broken = Callable[[RowSample, str, str, np.random.Generator], RowSample]


def _shuffled(share: float) -> Broken:
    """Shuffle a column within a share of the rows, as a wrong join does."""

    def change(sample: RowSample, column: str, _: str, rng: np.random.Generator) -> RowSample:
        values, place = sample.values.copy(), sample.names.index(column)
        some = np.flatnonzero(rng.random(len(sample)) < share)
        values[some, place] = values[rng.permutation(some), place]
        return replace(sample, values=values)

    return change


def _swapped(sample: RowSample, column: str, other: str, rng: np.random.Generator) -> RowSample:
    """Swap two columns in half of the rows."""
    values, places = sample.values.copy(), [sample.names.index(each) for each in (column, other)]
    some = rng.random(len(sample)) < 0.5
    values[np.ix_(some, places)] = values[np.ix_(some, places[::-1])]
    return replace(sample, values=values)


_CHANGES: Mapping[str, Broken] = {
    "shuffled": _shuffled(1.0),
    "half_shuffled": _shuffled(0.5),
    "half_swapped": _swapped,
}


def relation_figures(
    found: Sequence[Hour], series: Series, lengths: Sequence[timedelta], reference: Profile
) -> dict[str, float]:
    """Return figures by key: a window has the past that `measure` gives it.

    Each watched relation is broken, in turn, in the sample of the window: its columns alone look as
    ever.
    """
    pairs = strongest(reference.sample)
    figures: dict[str, float] = {"relations": len(pairs)}
    if not pairs:
        return figures
    rng = np.random.default_rng(1)
    for length in lengths:
        past = Past(pairs=pairs)
        said: dict[str, list[bool]] = {}
        some = pieces(found, length, series.fewest)
        for piece in some:
            if piece.is_known:
                profile = merged(list(piece.hours))
                known = relations_of(profile.sample, pairs)
                past = past.add(piece.window.start, length, profile.rows, {}, relations=known)
        for piece in some:
            sample = (
                None
                if piece.is_known
                else merge_profiles([hour.profile for hour in piece.hours]).sample
            )
            if sample is None:
                continue
            calibration = calibrate(past, piece.window, ("", ""), 28)
            quiet = calibration.broken(relations_of(sample, pairs), _LEVEL)
            said.setdefault("false", []).append(bool(quiet))
            for name, change in _CHANGES.items():
                for one, other in pairs:
                    broken = relations_of(change(sample, one, other, rng), pairs)
                    is_found = any(
                        (one, other) == pair for pair, *_ in calibration.broken(broken, _LEVEL)
                    )
                    said.setdefault(f"{name}__{one}_{other}", []).append(is_found)
        for title, alarms in said.items():
            key, _, which = title.partition("__")
            start = "false__relations" if key == "false" else f"power__relation_{key}"
            figures["__".join(filter(None, [start, NAMES[length], which]))] = fmean(alarms)
    return {key: round(each, 4) for key, each in figures.items()}
