"""Since when a drift lasts, from the stored profiles of the hours before it."""

from __future__ import annotations

from datetime import timedelta

from modelwatch.domain.profiles import ColumnProfile, Profile, merge_profiles
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.statistics.distributions import Distribution
from modelwatch.domain.verdict.onset import Hours, onset_of
from modelwatch.domain.verdict.results import FeatureDrift, Onset, WindowVerdict
from modelwatch.domain.verdict.sides import Reference
from modelwatch.domain.windows import Window
from modelwatch.ports.analysis import ProfileStore
from modelwatch.services.analysis_requests import AnalysisTask

PIECES = 96
"""So many pieces of time are read at most, of an hour each or longer."""

_MOST_COLUMNS = 10
_HOUR = timedelta(hours=1)


def find_onset(
    task: AnalysisTask,
    verdict: WindowVerdict,
    profile: Profile,
    reference: Reference,
    profiles: ProfileStore,
) -> Onset | None:
    """Return since when the window's columns drift; None when the captures do not show it.

    Four days are looked at, or twice the window where it is longer.

    Raises
    ------
    StoreError
        When captures cannot be read.
    """
    related = {each.feature for each in verdict.features if _is_relation(each)}
    drifted = [name for name in verdict.drifted_features if name not in related]
    outputs = [each.feature for each in verdict.outputs if each.status == "drift"]
    sides = _columns(reference.profile), _columns(profile)
    columns = {
        name: (Distribution.of_column(sides[0][name]), Distribution.of_column(sides[1][name]))
        for name in [*drifted[: _MOST_COLUMNS - len(outputs[:2])], *outputs[:2]]
        if all(name in side for side in sides)
    }
    if not columns:
        return None
    return onset_of(columns, _hours(task, profiles), verdict.segments)


def _is_relation(found: FeatureDrift) -> bool:
    """Return whether a feature's relation to others broke, and nothing of it alone changed."""
    if not found.changes or any(each.name != "relation" for each in found.changes):
        return False
    if found.score is None or found.critical_score is None:
        return True
    return not METHODS[found.method].reaches(found.score, found.critical_score)


def _hours(task: AnalysisTask, profiles: ProfileStore) -> Hours:
    window = task.window
    step = max(_HOUR, 2 * (window.end - window.start) // PIECES)
    step = -(-step // _HOUR) * _HOUR
    ends = next(iter(Window(window.end, window.end + _HOUR).hours()))  # the hour that it ends in
    start = ends - (PIECES - 1) * step
    captured = set(profiles.days(task.name, task.version))
    found = []
    while start < window.end:
        piece = Window(start, min(start + step, window.end))
        if captured.intersection(hour.date() for hour in piece.hours()):
            read = profiles.profiles(task.name, task.version, piece)
            merged = merge_profiles(list(read.variants.values()))
            if merged.rows:
                found.append((piece, _columns(merged)))
        start += step
    return found


def _columns(profile: Profile) -> dict[str, ColumnProfile]:
    """Return features and outputs by name; a feature comes before an output of its name."""
    return {**profile.predictions, **profile.features}
