"""A column of both sides, with its score or with why it has none; and what the past keeps of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from modelwatch.domain.past.calibration import OUTPUT
from modelwatch.domain.past.chance import chance_of_unseen
from modelwatch.domain.past.growth import Growth
from modelwatch.domain.past.scores import LEAST_UNSEEN, trace_of, unseen_share
from modelwatch.domain.profiles import ColumnProfile, Profile
from modelwatch.domain.statistics.distances import METHODS, Method
from modelwatch.domain.statistics.distributions import Distribution, Floats
from modelwatch.domain.statistics.significance import Chance
from modelwatch.domain.verdict.results import Change
from modelwatch.domain.verdict.rules import DriftPolicy, FeatureKind
from modelwatch.domain.verdict.time_columns import DATES, are_dates

NO_COLUMN = Distribution(kind="empty", missing_ratio=1.0)


class UnseenCategories(NamedTuple):
    """A share of unseen categories that matters: with its critical score and how likely it is."""

    share: float
    critical: float
    p_value: float


@dataclass(slots=True, kw_only=True)
class Column:
    """A column of both sides, on its way to a verdict."""

    name: str
    kind: FeatureKind
    method: Method
    threshold: float
    reference: Distribution
    window: Distribution
    problem: str = ""
    score: float | None = None
    chance: Chance | None = None
    past_score: float | None = None
    growth: Growth | None = None
    unseen: UnseenCategories | None = None
    changes: tuple[Change, ...] = ()

    @property
    def is_far(self) -> bool:
        """Whether the score reaches the threshold."""
        return self.score is not None and self.method.reaches(self.score, self.threshold)

    @property
    def p_value(self) -> float:
        """How likely what is far enough is by chance: 1 where nothing is."""
        far = self.chance.p_value if self.chance and self.is_far else 1.0
        unseen = self.unseen.p_value if self.unseen else 1.0
        return min(1.0, self.ways * min(far, unseen))

    def is_by_chance(self, level: float) -> bool:
        """Whether chance alone makes such a score, at a level of this column."""
        return self.chance is not None and self.ways * self.chance.p_value > level

    @property
    def ways(self) -> int:
        """In how many ways the column can drift: each has its part of the level."""
        return 1 if self.unseen is None else 2


def compare(
    name: str, reference: Distribution, window: Distribution, policy: DriftPolicy
) -> Column:
    """Return a column with its score, or with why it has none."""
    known = [side.kind for side in (reference, window) if side.kind != "empty"]
    kind: FeatureKind = "categorical" if known[:1] == ["categorical"] else "numerical"
    method = METHODS[policy.method(kind, name)]
    column = Column(
        name=name,
        kind=kind,
        method=method,
        threshold=policy.threshold(kind, name),
        reference=reference,
        window=window,
        problem=_problem(reference, window, policy.min_values),
    )
    if kind not in method.kinds and not column.problem:
        column.problem = f"its rule's method {method.name} is not for {kind} features"
    if not column.problem:
        score = column.method.score(reference, window)
        if math.isfinite(score):
            column.score = score
        else:
            column.problem = "no finite distance: the values are too large"
    return column


def unseen_categories(column: Column, past_critical: float) -> UnseenCategories | None:
    """Return the share of categories that the reference has not, where it matters."""
    if not column.reference.kind == column.window.kind == "categorical":
        return None
    share = unseen_share(column.reference, column.window)
    critical = max(LEAST_UNSEEN, past_critical)
    if share < critical:
        return None
    return UnseenCategories(share, critical, chance_of_unseen(column.reference, column.window))


def _problem(reference: Distribution, window: Distribution, min_values: int) -> str:
    sides = (("the reference", reference), ("the window", window))
    for title, side in sides:
        if side is NO_COLUMN:
            return f"{title} has no such column"
        if side.kind == "empty":
            return f"{title} has no value in it"
    if reference.kind != window.kind:
        return "numbers on one side, other values on the other"
    for title, side in sides:
        if side.size < min_values:
            return f"{side.size} values in {title}; {min_values} are needed"
    return DATES if are_dates(reference, window) else ""


def distributions(columns: Mapping[str, ColumnProfile]) -> dict[str, Distribution]:
    """Return what is compared of each column."""
    return {name: Distribution.of_column(column) for name, column in columns.items()}


def all_distributions(profile: Profile) -> dict[str, Distribution]:
    """Return what is compared of features and outputs, by the names of `Calibration.columns`."""
    outputs = distributions(profile.predictions)
    return distributions(profile.features) | {
        f"{OUTPUT}{name}": known for name, known in outputs.items()
    }


def traces_of(
    reference: Mapping[str, Distribution], window: Profile, policy: DriftPolicy
) -> dict[str, Floats]:
    """Return what the past keeps of a window, compared with `all_distributions` of a reference."""
    traces = {}
    now = all_distributions(window)
    for name, known in reference.items():
        column = compare(name, known, now.get(name, NO_COLUMN), policy)
        distance = None if column.method.low_is_drift else column.score
        traces[name] = trace_of(column.reference, column.window, distance)
    return traces
