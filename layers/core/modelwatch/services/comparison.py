"""Comparing two variants or versions of a model over the same window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from modelwatch.domain.comparison import (
    DIRECTIONS,
    MAIN_METRICS,
    QUANTILES,
    Comparison,
    ComparisonVerdict,
    MetricComparison,
    Outcome,
    Side,
    compare_metrics,
    labels_needed,
    outcome_of,
)
from modelwatch.domain.monitors import Monitored
from modelwatch.domain.numbers import rounded
from modelwatch.domain.performance.results import PerformancePolicy, PerformanceResult
from modelwatch.domain.profiles import Profile, merge_profiles
from modelwatch.domain.verdict.columns import distributions
from modelwatch.domain.verdict.features import evaluate_columns, evaluate_outputs
from modelwatch.domain.verdict.results import FeatureDrift
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, NoModelError, NotFoundError
from modelwatch.ports.analysis import ProfileStore
from modelwatch.ports.performance import PerformanceMonitor
from modelwatch.ports.serving import ModelRegistry
from modelwatch.services.comparison_query import ComparisonRequest
from modelwatch.services.references import References

LEVEL = 0.01
"""Probability of calling the same traffic different."""

_LATENCY = "latency_ms"


@dataclass(frozen=True, slots=True)
class _Found:
    """A side, and what its predictions in the window are like."""

    side: Side
    profile: Profile
    performance: PerformanceResult


class Comparer:
    """Compares by profiles and by sums over labels: no row is read that they do not ask for.

    Parameters
    ----------
    monitored
        Returns by its name how a model is monitored: methods and thresholds by which features and
        predictions are compared (whatever the mode, chance is allowed for), the fewest predictions
        of each, and what it takes for metrics of labels.
    """

    def __init__(
        self,
        *,
        registry: ModelRegistry,
        profiles: ProfileStore,
        references: References,
        performance: PerformanceMonitor,
        monitored: Callable[[str], Monitored],
    ) -> None:
        self._registry = registry
        self._profiles = profiles
        self._references = references
        self._performance = performance
        self._monitored = monitored

    def compare(
        self, model_name: str, a: str, b: str, window: Window, metric: str = ""
    ) -> Comparison:
        """Compare ``a`` and ``b``, each an alias or a version, over ``window``.

        Parameters
        ----------
        metric
            The one that makes the verdict; by default accuracy or, of a regression, ``mae``.

        Raises
        ------
        InvalidInputError
            When both have the same predictions, or there is no such metric.
        NotFoundError
            When there is no such alias or version.
        StoreError
            When a store does not respond.
        """
        if metric and metric not in DIRECTIONS:
            known = ", ".join(DIRECTIONS)
            raise InvalidInputError("metric", f"'{metric[:80]}' is none of {known}")
        monitored = self._monitored(model_name)
        policy = msgspec.structs.replace(monitored.rules.policy, mode="calibrated")
        window = window.outward()
        captured = self._profiles.versions(window)
        versions = [version for name, version in captured if name == model_name]
        asked = [self._asked(model_name, name, versions) for name in (a, b)]
        if asked[0][0] == asked[1][0] and ("" in (asked[0][1], asked[1][1]) or a == b):
            raise InvalidInputError("", f"'{a}' and '{b}' have predictions in common")
        first, second = (
            self._found(model_name, name, *each, window, monitored.performance)
            for name, each in zip((a, b), asked, strict=True)
        )
        inputs = evaluate_columns(
            distributions(first.profile.features),
            distributions(second.profile.features),
            policy,
            LEVEL,
        )
        metrics = compare_metrics(first.performance.verdict, second.performance.verdict)
        verdict = _incomparable(first.side, second.side, inputs, monitored.rules.min_rows)
        return Comparison(
            model_name=model_name,
            window_start=window.start,
            window_end=window.end,
            a=first.side,
            b=second.side,
            inputs=tuple(inputs),
            outputs=evaluate_outputs(first.profile, second.profile, policy, LEVEL),
            performance=metrics,
            notes=tuple(self._moved(model_name, window, versions, [first.side, second.side])),
            **msgspec.structs.asdict(verdict or _by_labels(metrics, first, second, metric)),
        )

    def compare_asked(
        self, default_model: str, asked: ComparisonRequest, now: datetime
    ) -> Comparison:
        """Compare as a query asks: see `compare`."""
        window = asked.asked_window(now)
        model_name = asked.model_name or default_model
        return self.compare(model_name, asked.a, asked.b, window, asked.metric)

    def _asked(self, model_name: str, name: str, versions: Sequence[str]) -> tuple[str, str]:
        """Return the version and the variant that are meant."""
        if name.isdecimal():
            return name, ""
        try:
            return self._registry.resolve(model_name, name).version, name
        except NoModelError:
            # an application may capture for versions that no registry knows
            if name in versions:
                return name, ""
            raise NotFoundError(
                f"{model_name} has no alias and no captured version '{name[:80]}'"
            ) from None

    def _found(
        self,
        model_name: str,
        name: str,
        version: str,
        variant: str,
        window: Window,
        policy: PerformancePolicy,
    ) -> _Found:
        found = self._profiles.profiles(model_name, version, window).variants
        chosen = [each for key, each in found.items() if variant in ("", key)]
        profile = merge_profiles(chosen)
        latency = profile.outputs.get(_LATENCY)
        reference, losses = self._references.held_out(model_name, version)
        performance = self._performance.evaluate(
            model_name,
            version,
            window,
            variant=variant or None,
            reference=reference,
            losses=losses,
            policy=policy,
        )
        side = Side(
            name=name,
            model_version=version,
            variant=variant,
            rows=profile.rows,
            latency_ms=tuple(float(latency.sketch.quantile(q)) for q in QUANTILES)
            if latency is not None and latency.sketch.n
            else (),
            records=performance.records,
            labelled=performance.labelled,
        )
        return _Found(side, profile, performance)

    def _moved(
        self, model_name: str, window: Window, versions: Sequence[str], sides: Sequence[Side]
    ) -> list[str]:
        """Return what an alias that was moved in the window leaves out."""
        notes = []
        for version in versions:
            asking = [side for side in sides if side.variant and side.model_version != version]
            if not asking:
                continue
            found = self._profiles.profiles(model_name, version, window).variants
            notes += [
                f"{found[side.variant].rows} predictions as '{side.variant}' by version {version} "
                f"are left out: the alias is at version {side.model_version}"
                for side in asking
                if side.variant in found
            ]
        return notes


def _incomparable(
    a: Side, b: Side, inputs: Sequence[FeatureDrift], min_rows: int
) -> ComparisonVerdict | None:
    """Return the verdict if it does not need labels; else None."""
    few = next((side for side in (a, b) if side.rows < min_rows), None)
    different = [each.feature for each in inputs if each.status == "drift"]
    outcome: Outcome = "unknown"
    if few:
        sentence = f"{few.rows} predictions by {few.name}; {min_rows} are needed"
    elif all(each.status == "unknown" for each in inputs):
        sentence = "no feature can be compared: nothing shows whether inputs are alike"
    elif different:
        names = ", ".join(different[:5]) + (" and more" if len(different) > 5 else "")
        outcome, sentence = "not comparable", f"the inputs differ, in {names}"
    else:
        return None
    return ComparisonVerdict(outcome=outcome, sentence=sentence)


def _by_labels(
    metrics: Mapping[str, MetricComparison], first: _Found, second: _Found, metric: str
) -> ComparisonVerdict:
    a, b = first.side, second.side
    for found in (first, second):
        verdict = found.performance.verdict
        if verdict.status == "unknown":
            problem = f"labels do not show yet how good {found.side.name} is: {verdict.reason}"
            return ComparisonVerdict(outcome="unknown", sentence=problem)
    metric = metric or MAIN_METRICS[first.performance.verdict.task or "classification"]
    if metric not in metrics:
        return ComparisonVerdict(outcome="unknown", sentence=f"there is no {metric} of both")
    both = metrics[metric]
    outcome, far, more = outcome_of(metric, both), both.difference, None
    value_a, value_b = rounded(both.a.value, 4), rounded(both.b.value, 4)
    by, low, high = (rounded(each, 4, "+") for each in (far.value, far.low, far.high))
    sentence = f"{metric} {value_a} of {a.name}, {value_b} of {b.name}: {by} ({low} to {high})"
    if outcome == "no difference shown":
        sentence = f"no difference is shown yet: {sentence}"
        more = labels_needed(far, a.labelled + b.labelled)
        if more:
            sentence += f"; about {more} more labels would show it, if it stays so"
    else:
        sentence = f"{b.name if outcome == 'b better' else a.name} is better: {sentence}"
    return ComparisonVerdict(outcome=outcome, sentence=sentence, metric=metric, labels_needed=more)
