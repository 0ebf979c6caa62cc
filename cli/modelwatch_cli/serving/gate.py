"""The metrics that a version's training must reach before it may serve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from modelwatch.adapters.registries import Registry
from modelwatch.domain.numbers import rounded
from modelwatch.errors import InvalidInputError, ModelwatchError


class GateError(ModelwatchError):
    """A version's metrics are too low."""


def hold_version_to(
    registry: Registry,
    name: str,
    version: str,
    before: str | None,
    least: Iterable[str],
    max_drop: Iterable[str],
) -> None:
    """Return if a version may replace ``before``; raises GateError otherwise."""
    limits, drops = parse_limits("--least", least), parse_limits("--max-drop", max_drop)
    measured = registry.metrics(registry.version(name, version))
    serving = registry.metrics(registry.version(name, before)) if before else None
    hold_to(measured, serving, limits, drops)


def parse_limits(option: str, texts: Iterable[str]) -> dict[str, float]:
    """Read limits such as ``f1=0.8``.

    Raises InvalidInputError when a text is not a metric's name and a number.

    Examples
    --------
    >>> parse_limits("--least", ["f1=0.8", "accuracy=.9"])
    {'f1': 0.8, 'accuracy': 0.9}
    """
    limits: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            limits[name.strip()] = float(number)
        except ValueError:
            limits[name.strip()] = math.nan
        if not name.strip() or not math.isfinite(limits[name.strip()]):
            raise InvalidInputError(option, f"'{text}' is not of the form METRIC=NUMBER")
    return limits


def hold_to(
    metrics: Mapping[str, float],
    before: Mapping[str, float] | None,
    least: Mapping[str, float],
    drops: Mapping[str, float],
) -> None:
    """Return if a version may serve.

    Raises GateError when a metric is too small, lost too much, or was not measured.

    Parameters
    ----------
    metrics
        The metrics of its run; larger is better.
    before
        The metrics of the version that served until now; None for the first one.
    least
        The smallest value of each metric.
    drops
        The largest loss of each metric against ``before``.
    """
    problems = [
        f"{name} is {rounded(metrics[name], 4)}, less than {limit:g}"
        for name, limit in least.items()
        if name in metrics and not metrics[name] >= limit
    ]
    problems += [
        f"{name} is {rounded(metrics[name], 4)}, more than {limit:g} below the "
        f"{rounded(before[name], 4)} of the version that serves"
        for name, limit in (drops.items() if before is not None else ())
        if before is not None
        and name in metrics
        and name in before
        and not metrics[name] >= before[name] - limit
    ]
    missing = [name for name in {**least, **drops} if name not in metrics]
    if missing:
        known = ", ".join(sorted(metrics)) or "nothing"
        problems.append(f"its run did not measure {', '.join(missing)} (it measured {known})")
    if problems:
        raise GateError(f"the version may not serve: {'; '.join(problems)}")
