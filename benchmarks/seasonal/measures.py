"""False alarms and power of verdicts on the flights, by window and by week."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, pstdev

from benchmarks.seasonal.pieces import NAMES, Piece, pieces
from benchmarks.seasonal.relations import relation_figures
from benchmarks.seasonal.rows import rows_figures
from benchmarks.seasonal.series import HOUR, WEEK, Hour, Model, Series, merged

from modelwatch.domain.constraints import Constraints
from modelwatch.domain.past.calibration import calibrate
from modelwatch.domain.past.history import Past
from modelwatch.domain.past.relations import relations_of, strongest
from modelwatch.domain.profiles import Profile, merge_profiles
from modelwatch.domain.verdict.columns import all_distributions, traces_of
from modelwatch.domain.verdict.features import evaluate_features
from modelwatch.domain.verdict.results import Verdict
from modelwatch.domain.verdict.rules import AnalysisRules, DriftPolicy
from modelwatch.domain.verdict.sides import Reference, WindowProfiles
from modelwatch.domain.verdict.window import evaluate_window
from modelwatch.domain.window_plans import WindowPlan

_MONTHS = 6  # half of a year is watched

_DEVIATIONS = 3.0

type Limits = dict[str, tuple[float, float]]
type Progress = Callable[[Sequence[Piece], str], Iterable[Piece]]


def measure(
    found: Sequence[Hour],
    series: Series,
    model: Model | None = None,
    progress: Progress = lambda some, _: some,
) -> dict[str, float]:
    """Return the benchmark's figures by key; ``model`` is what the hours' predictions are of."""
    weeks = {piece.week: merged(list(piece.hours)) for piece in pieces(found, WEEK, series.fewest)}
    known = {week: profile for week, profile in weeks.items() if week % 2 == 0}
    whole = merge_profiles(list(known.values()))
    # a known window is compared with the other known weeks, as a watched one is with all of them
    without = {
        week: all_distributions(
            merge_profiles([each for other, each in known.items() if other != week])
        )
        for week in known
    }
    pairs = strongest(whole.sample)
    alarms: dict[tuple[str, str], list[tuple[int, bool, bool]]] = {}
    rivals: dict[str, list[bool]] = {}
    strengths: dict[tuple[str, str], list[float]] = {}
    reference = Reference(
        title="",
        profile=whole,
        constraints=Constraints(columns={}),
        importance=model.importance if model else None,
    )
    for length in series.lengths:
        name = NAMES[length]
        some = pieces(found, length, series.fewest)
        rules = AnalysisRules(
            plans=(WindowPlan(length),),
            run_every=length,
            min_rows=series.fewest,
            policy=DriftPolicy(rule="important"),
        )
        past = Past(pairs=pairs)
        scores: list[dict[str, float]] = []
        for piece in progress([each for each in some if each.is_known], f"past {name}"):
            profile = merged(list(piece.hours))
            traces = traces_of(without[piece.week], profile, rules.policy)
            related = relations_of(profile.sample, pairs)
            past = past.add(piece.window.start, length, profile.rows, traces, relations=related)
            scores.append({key: float(trace[0]) for key, trace in traces.items()})
        limits = _nannyml(scores)
        for piece in progress([each for each in some if not each.is_known], f"watched {name}"):
            calibration = calibrate(past, piece.window, rules.policy.methods, rules.history_days)
            for change in ("", *(series.changes if length != HOUR else ())):
                profile = merged(list(piece.hours), change)
                found_profiles = WindowProfiles(
                    model_name=series.name,
                    model_version="1",
                    window=piece.window,
                    profile=profile,
                    relations=relations_of(profile.sample, pairs),
                )
                verdict = evaluate_window(found_profiles, reference, rules, calibration)
                entry = (piece.week, bool(verdict.drifted_features), verdict.status == "drift")
                alarms.setdefault((name, change), []).append(entry)
                strengths.setdefault((name, change), []).append(_strength(verdict, limits))
                if not change:
                    _beside(rivals, name, verdict, limits, whole, profile, rules)
    return {
        **_summary(alarms, rivals),
        **_nannyml_power(alarms, strengths),
        **rows_figures(found, series, [each for each in series.lengths if each != WEEK]),
        **relation_figures(found, series, series.lengths, whole),
    }


def _beside(
    rivals: dict[str, list[bool]],
    name: str,
    verdict: Verdict,
    limits: Limits,
    reference: Profile,
    window: Profile,
    rules: AnalysisRules,
) -> None:
    """Note what other rules say of a window in which nothing changed."""
    draws = evaluate_features(reference, window, None, rules.policy, rules.level / 3)
    said = {
        "independent_draws": bool(draws.drifted_features),
        "evidently": any(each.score is not None and each.score >= each.threshold
                         for each in verdict.features),
        "nannyml": _strength(verdict, limits) > _DEVIATIONS,
    }  # fmt: skip
    for rule, is_alarm in said.items():
        rivals.setdefault(f"{rule}__false__{name}_any", []).append(is_alarm)


def _nannyml(scores: Sequence[dict[str, float]]) -> Limits:
    """Return mean and deviation of the known windows, of which NannyML's rule makes limits."""
    limits = {}
    for name in scores[0]:
        values = [each[name] for each in scores if each[name] == each[name]]
        limits[name] = (fmean(values), pstdev(values))
    return limits


def _strength(verdict: Verdict, limits: Limits) -> float:
    """Return how many deviations the farthest feature is above the mean of known windows."""
    return max(
        ((each.score or 0.0) - limits[each.feature][0]) / max(limits[each.feature][1], 1e-9)
        for each in verdict.features
    )


def _nannyml_power(
    alarms: dict[tuple[str, str], list[tuple[int, bool, bool]]],
    strengths: dict[tuple[str, str], list[float]],
) -> dict[str, float]:
    """Return the power of NannyML's rule on days with as many false alarms as ours has, or less."""
    quiet = sorted(strengths["days", ""])
    ours = sum(drifts for _, drifts, _ in alarms["days", ""])
    limit = quiet[-1 - ours] if ours < len(quiet) else 0.0
    return {
        f"nannyml__power__day1__{change}": round(fmean(each > limit for each in some), 4)
        for (name, change), some in strengths.items()
        if name == "days" and change
    }


def _summary(
    alarms: dict[tuple[str, str], list[tuple[int, bool, bool]]], rivals: dict[str, list[bool]]
) -> dict[str, float]:
    weeks = sorted({week for each in alarms.values() for week, _, _ in each})
    # the method was fixed by the first half of the watched weeks
    second = _figures(alarms, set(weeks[len(weeks) // 2 :]))
    return {
        **_figures(alarms, set(weeks)),
        **{rule: round(fmean(said), 4) for rule, said in rivals.items()},
        **{f"second_half__{name}": value for name, value in second.items()},
    }


def _figures(
    alarms: dict[tuple[str, str], list[tuple[int, bool, bool]]], weeks: set[int]
) -> dict[str, float]:
    def of(name: str, change: str = "") -> list[tuple[int, bool, bool]]:
        return [each for each in alarms.get((name, change), ()) if each[0] in weeks]

    names = [name for name, change in alarms if not change]
    figures = {f"false__{name}_any": fmean(drifts for _, drifts, _ in of(name)) for name in names}
    months = _MONTHS * len(weeks) / 26
    figures["false__status_per_month"] = max(
        sum(status for _, _, status in of(name)) / months for name in names if name != "weeks"
    )
    for change in dict.fromkeys(change for _, change in alarms if change):
        days = of("days", change)
        figures[f"power__day1__{change}"] = fmean(drifts for _, drifts, _ in days)
        seen = {week for week, drifts, _ in [*days, *of("weeks", change)] if drifts}
        figures[f"power__week__{change}"] = len(seen) / len(weeks)
    return {name: round(value, 4) for name, value in figures.items()}
