"""Checks whether every metric exists, and every query of a dashboard or rule has data.

A query without data is correct in three cases: one of its metrics may be absent (`presence`); it
is an alert, and its condition is false; or nothing that it counts has happened in its time range.
In all other cases there is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from modelwatch.errors import ModelwatchError
from modelwatch.metric_names import CATALOG
from modelwatch_cli.checks.presence import Known, metric_of, series_names, why_absent
from modelwatch_cli.checks.promql import Selector, selectors
from modelwatch_cli.checks.questions import LOOK_BACK_SECONDS, Question, filled_in
from modelwatch_cli.monitoring.live_metrics import LiveMetrics, Prometheus, Sample

OF_PROMETHEUS = ("up",)
"""Series that Prometheus makes itself."""

State = Literal["data", "empty", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding for a metric or a query.

    Attributes
    ----------
    place, title
        The catalog and a metric, or a dashboard or kind of rules, and the panel or rule.
    state
        ``data``; ``empty``: and may be; or ``wrong``.
    why
        Why it is empty or wrong.
    expression
        The query as it was run.
    """

    place: str
    title: str
    state: State
    why: str = ""
    expression: str = ""


def check_catalog(live: LiveMetrics, known: Known) -> list[Finding]:
    """Return a finding for every metric of the catalog."""
    shown = {metric_of(each.name) for each in live.samples}
    return [
        Finding("catalog", name, "data")
        if name in shown
        else _absent("catalog", name, why_absent(Selector(name), known))
        for name in CATALOG
    ]


class Examiner:
    """Checks whether queries have data.

    Parameters
    ----------
    known
        The metrics that may be absent.
    recorded
        The expressions of the recording rules by name.
    prometheus
        Runs the queries. Without one, only the series of the queries are checked.
    """

    def __init__(
        self,
        live: LiveMetrics,
        known: Known,
        recorded: Mapping[str, str],
        prometheus: Prometheus | None,
    ) -> None:
        self._live = live
        self._known = known
        self._recorded = recorded
        # the variables of the dashboards select the version that serves
        self._chosen = (known.model, known.version)
        self._prometheus = prometheus
        own = OF_PROMETHEUS if prometheus else ()
        self._names = {*series_names(), *recorded, *own}

    def find(self, question: Question) -> Finding:
        """Return the finding for a query."""
        expression = filled_in(question.expression, *self._chosen)
        if question.kind == "variable":
            state, why = self._values(expression, question.label)
        else:
            try:
                state, why = self._state(expression, question)
            except ModelwatchError as error:
                state, why = "wrong", str(error)
        return Finding(question.place, question.title, state, why, expression)

    def _values(self, expression: str, label: str) -> tuple[State, str]:
        """Check whether a variable has a value to choose."""
        (selector,) = selectors(expression, self._names)
        if any(each.labels.get(label) for each in self._series(selector)):
            return "data", ""
        return "wrong", f"there is no value of {label} to choose in {selector}"

    def _state(self, expression: str, question: Question) -> tuple[State, str]:
        asked = self._asked(expression)
        reasons: list[str] = []
        missing: list[str] = []
        for selector in asked:
            if not self._series(selector):
                reason = why_absent(selector, self._known)
                (reasons if reason else missing).append(reason or str(selector))
        if missing:
            return "wrong", f"there is no {', no '.join(dict.fromkeys(missing))}"
        if self._prometheus is None:
            return ("empty", "; ".join(dict.fromkeys(reasons))) if reasons else ("data", "")
        if _has_data(self._prometheus, expression):
            return "data", ""
        if reasons:
            return "empty", "; ".join(dict.fromkeys(reasons))
        if question.kind == "alert":
            return "empty", "its condition is false"
        for selector in asked:
            if selector.span_seconds and not self._has_grown(selector):
                minutes = (LOOK_BACK_SECONDS + selector.span_seconds) // 60
                return "empty", f"{selector.name} did not grow in the last {minutes} minutes"
        return "wrong", "it has no data, although all its series exist"

    def _asked(self, expression: str) -> list[Selector]:
        """Return the series of an expression, and those behind recorded series."""
        found: list[Selector] = []
        for selector in selectors(expression, self._names):
            inner = self._recorded.get(selector.name)
            found += self._asked(inner) if inner else [selector]
        return found

    def _series(self, selector: Selector) -> list[Sample]:
        return [
            each
            for each in self._live.samples
            if selector.name in ("", each.name)
            and selector.accepts({**each.labels, "__name__": each.name})
        ]

    def _has_grown(self, selector: Selector) -> bool:
        assert self._prometheus is not None
        span = LOOK_BACK_SECONDS + selector.span_seconds
        grown = self._prometheus.query(f"sum(increase({selector}[{span}s]))")
        return any(each.value > 0 for each in grown)


def read_prometheus(prometheus: Prometheus, recorded: Iterable[str]) -> LiveMetrics:
    """Return the series of the catalog, and the recorded ones, that Prometheus has now."""
    names = "|".join(sorted({*series_names(), *recorded, *OF_PROMETHEUS}))
    return LiveMetrics(tuple(prometheus.query(f'{{__name__=~"{names}"}}')))


def rule_problems(prometheus: Prometheus, questions: Iterable[Question]) -> dict[Question, Finding]:
    """Return the rules that Prometheus has not loaded, or fails to evaluate."""
    loaded = prometheus.rule_errors()
    return {
        question: Finding(question.place, question.title, "wrong", why, question.expression)
        for question in questions
        if question.kind in ("recording", "alert")
        and (why := loaded.get(question.title, "Prometheus has not loaded this rule"))
    }


def _has_data(prometheus: Prometheus, expression: str) -> bool:
    # the largest number within the time: a comparison with NaN is never true
    asked = f"max_over_time((\n{expression}\n)[{LOOK_BACK_SECONDS}s:15s])"
    return any(not math.isnan(each.value) for each in prometheus.query(asked))


def _absent(place: str, title: str, reason: str) -> Finding:
    return Finding(place, title, "empty" if reason else "wrong", reason or "it is missing")
