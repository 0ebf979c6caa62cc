"""Draws scores over time, and a feature's distribution beside its reference's, with matplotlib.

Figures are made without pyplot: no display, no window and no state that is shared.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwatch.domain.profiles import Profile
from modelwatch.domain.profiles.columns import ColumnProfile
from modelwatch.domain.profiles.quantiles import Floats, QuantileSketch
from modelwatch.domain.statistics.distances import METHODS
from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift
from modelwatch.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    type Point = tuple[AnalysisResult, FeatureDrift]

_MOST_FEATURES = 6
_MOST_BARS = 20
_BINS = 30
_TAIL = 0.005
"""Share at each end whose values are drawn in the outermost bins, so that the others are seen."""
_FARTHEST = 1e300
"""Differences of values up to this are doubles."""
_LONGEST = 30
"""Characters of a category's name."""
_OTHERS = "(others)"
_MISSING = "(missing)"
_NUMBERS = "(numbers)"
_COLOURS = {"reference": "#8a8a8a", "window": "#1f77b4"}
_WIDTH, _HEIGHT = 8.0, 2.8


def plot_scores(results: Sequence[AnalysisResult], features: Sequence[str]) -> Figure:
    """Return a figure with the scores of features over time; see `Results.plot`.

    Raises InvalidInputError when no result has one of the features.
    """
    points: dict[str, list[Point]] = {}
    for result in sorted(results, key=lambda each: each.window_end):
        for each in (*result.features, *result.outputs):
            points.setdefault(each.feature, []).append((result, each))
    _check_known(features, points)
    chosen = list(features) or _furthest(points)
    figure, axes = _figure(max(len(chosen), 1))
    for each, name in zip(axes, chosen, strict=False):
        _draw_scores(each, name, points[name])
    if not chosen:
        _say(axes[0], "no scores")
    return figure


def plot_feature(window: Profile, reference: Profile, feature: str, title: str) -> Figure:
    """Return a figure of a feature in both profiles; see `Captures.plot`.

    Raises InvalidInputError when neither has it.
    """
    known = [{**each.outputs, **each.features} for each in (reference, window)]
    _check_known([feature], {**known[0], **known[1]})
    sides = dict(zip(_COLOURS, (each.get(feature) for each in known), strict=True))
    figure, (axes,) = _figure(1, height=4.0)
    columns = [each for each in sides.values() if each is not None]
    numbers = sum(each.numbers for each in columns)
    texts = sum(each.booleans + each.strings for each in columns)
    if not numbers + texts:
        _say(axes, "no values")
    draw = _draw_numbers if numbers >= texts else _draw_categories
    draw(axes, {name: each or ColumnProfile(rows=0) for name, each in sides.items()})
    handles = axes.containers
    for handle, (name, column) in zip(handles, sides.items(), strict=True):
        handle.set_label(_said(name, column))
    legend = axes.legend(handles=list(handles))
    for text in legend.get_texts():
        text.set_parse_math(False)
    axes.set_ylabel("share of rows")
    axes.set_title(f"{feature}\n{title}", parse_math=False)
    return figure


def _figure(rows: int, height: float = _HEIGHT) -> tuple[Figure, list[Any]]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "plots need matplotlib, which is not installed: pip install 'modelwatch[plot]'"
        ) from None

    class Picture(Figure):
        """A figure that notebooks show, also where pyplot was never imported."""

        def _repr_png_(self) -> bytes:
            sink = io.BytesIO()
            self.savefig(sink, format="png")
            return sink.getvalue()

    figure = Picture(figsize=(_WIDTH, height * rows), layout="constrained")
    return figure, figure.subplots(rows, 1, squeeze=False)[:, 0].tolist()


def _check_known(features: Iterable[str], known: Iterable[str]) -> None:
    names = set(known)
    for each in features:
        if each not in names:
            some = ", ".join(sorted(names)[:_MOST_BARS]) or "none"
            raise InvalidInputError("feature", f"'{each}' is not known; there are: {some}")


def _say(axes: Any, words: str) -> None:
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center")


def _furthest(points: dict[str, list[Point]]) -> list[str]:
    """Return the features that came closest to their critical score, or went furthest beyond."""

    def distance(name: str) -> float:
        return max((_ratio(each) for _, each in points[name]), default=0.0)

    # sorted() keeps the order of the results among equals
    return sorted(points, key=distance, reverse=True)[:_MOST_FEATURES]


def _critical(each: FeatureDrift) -> float:
    return each.threshold if each.critical_score is None else each.critical_score


def _ratio(each: FeatureDrift) -> float:
    if each.score is None:
        return -1.0
    critical = _critical(each)
    high, low = (critical, each.score) if _is_low_drift(each) else (each.score, critical)
    return high / low if low > 0 else (np.inf if high > 0 else 0.0)


def _is_low_drift(each: FeatureDrift) -> bool:
    method = METHODS.get(each.method)
    return method is not None and method.low_is_drift


def _draw_scores(axes: Any, name: str, points: Sequence[Point]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    series: dict[tuple[str, ...], list[Point]] = {}
    for result, each in points:
        key = (f"version {result.model_version}", result.window, result.variant, each.method)
        series.setdefault(key, []).append((result, each))
    # only what differs is said
    differing = [len({key[place] for key in series}) > 1 for place in range(4)]
    for index, (names, found) in enumerate(series.items()):
        words = [text for text, differs in zip(names, differing, strict=True) if differs and text]
        label = ", ".join(["score", *words])
        times = [result.window_end for result, _ in found]
        scores = [np.nan if each.score is None else each.score for _, each in found]
        critical = [np.nan if each.score is None else _critical(each) for _, each in found]
        drifts = [number for number, (_, each) in enumerate(found) if each.status == "drift"]
        colour = f"C{index}"
        axes.plot(times, scores, ".-", color=colour, label=label)
        axes.plot(times, critical, "--", color=colour, label=label.replace("score", "critical", 1))
        if drifts:
            axes.plot(
                [times[each] for each in drifts],
                [scores[each] for each in drifts],
                "o", color="#d62728", markersize=6, label=label.replace("score", "drift", 1),
            )  # fmt: skip
    unknown = [result.window_end for result, each in points if each.status == "unknown"]
    if unknown:
        axes.plot(
            unknown, [0.0] * len(unknown), "x", color="#8a8a8a", clip_on=False, label="unknown"
        )
    methods = sorted({each.method for _, each in points})
    low = any(_is_low_drift(each) for _, each in points)
    axes.set_ylabel(", ".join(methods) + (" (low is drift)" if low else ""))
    axes.set_title(name, parse_math=False)
    axes.set_xlabel("end of the window, UTC")
    locator = AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    form = ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(form)
    axes.set_ylim(bottom=0)
    for text in axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1)).get_texts():
        text.set_parse_math(False)


def _draw_numbers(axes: Any, sides: dict[str, ColumnProfile]) -> None:
    weighted = {name: each.sketch.weighted() for name, each in sides.items()}
    distinct = np.unique(np.concatenate([values for values, _ in weighted.values()]))
    # a sketch may lack rare values, of which there are estimates
    if max(len(distinct), *(round(each.distinct) for each in sides.values())) <= _MOST_BARS:
        _draw_bars(
            axes,
            [f"{value:.15g}" for value in distinct],
            {
                name: [int(weights[values == each].sum()) for each in distinct]
                for name, (values, weights) in weighted.items()
            },
            sides,
        )
        return
    edges = _edges(distinct, [each.sketch for each in sides.values()])
    low, high = edges[0], edges[-1]
    for name, (values, weights) in weighted.items():
        counts, _ = np.histogram(np.clip(values, low, high), edges, weights=weights)
        axes.bar(
            edges[:-1], counts / max(sides[name].rows, 1), np.diff(edges), align="edge",
            color=_COLOURS[name], alpha=0.55,
        )  # fmt: skip
    if distinct[0] < low or distinct[-1] > high:
        axes.set_xlabel("values beyond the ends are in the outermost bars")


def _edges(distinct: Floats, sketches: Sequence[QuantileSketch]) -> Floats:
    """Return the edges of bins in which nearly all values are."""
    ends = [sketch.quantile(np.array([_TAIL, 1 - _TAIL])) for sketch in sketches]
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    if low == high:  # nearly all values are one
        low, high = float(distinct[0]), float(distinct[-1])
    low, high = max(low, -_FARTHEST), min(high, _FARTHEST)
    if np.any(distinct != np.floor(distinct)):
        return np.linspace(low, high, _BINS + 1)
    # each bin holds as many whole numbers as the others
    step = np.ceil((high - low + 1) / _BINS)
    edges: Floats = low - 0.5 + step * np.arange(np.ceil((high - low + 1) / step) + 1)
    return edges


def _draw_categories(axes: Any, sides: dict[str, ColumnProfile]) -> None:
    shares = {
        name: {text: count / max(each.rows, 1) for text, count in each.counts.items()}
        for name, each in sides.items()
    }
    largest: dict[str, float] = {}
    for found in shares.values():
        for text, share in found.items():
            largest[text] = max(share, largest.get(text, 0.0))
    shown = sorted(largest, key=lambda text: (-largest[text], text))[:_MOST_BARS]
    counts = {name: [each.counts.get(text, 0) for text in shown] for name, each in sides.items()}
    texts = {name: each.booleans + each.strings for name, each in sides.items()}
    further = (
        (_OTHERS, {name: texts[name] - sum(counts[name]) for name in sides}),
        (_NUMBERS, {name: each.numbers for name, each in sides.items()}),
        (_MISSING, {name: each.nulls for name, each in sides.items()}),
    )
    labels = list(shown)
    for label, more in further:
        if any(more.values()):
            labels.append(label)
            for name in sides:
                counts[name].append(more[name])
    _draw_bars(axes, labels, counts, sides)


def _draw_bars(
    axes: Any,
    labels: Sequence[str],
    counts: dict[str, list[int]],
    sides: dict[str, ColumnProfile],
) -> None:
    places = np.arange(len(labels))
    for shift, (name, found) in zip((-0.2, 0.2), counts.items(), strict=True):
        heights: Floats = np.array(found, np.float64) / max(sides[name].rows, 1)
        axes.bar(places + shift, heights, 0.4, color=_COLOURS[name])
    short = [each if len(each) <= _LONGEST else each[: _LONGEST - 1] + "…" for each in labels]
    turn = {"rotation": 45, "ha": "right"} if sum(map(len, short)) > 60 else {}
    axes.set_xticks(places, short, parse_math=False, **turn)


def _said(name: str, column: ColumnProfile | None) -> str:
    """Return what a side is, and which of its rows the bars do not show."""
    if column is None:
        return f"{name}: no such feature"
    parts = [f"{name}: {column.rows:,} rows"]
    texts = column.booleans + column.strings
    for count, words in (
        (column.nulls, "missing"),
        (texts if column.kind == "numerical" else 0, "texts"),
        (column.infinities, "infinite"),
    ):
        if count:
            parts.append(f"{count / column.rows:.1%} {words}")
    return ", ".join(parts)
