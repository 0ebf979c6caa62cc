"""``statistics.json``: a profile in Model Monitor's form."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from modelwatch.domain.profiles import ColumnProfile, Profile, QuantileSketch
from modelwatch.domain.profiles.quantiles import K

BUCKETS = 10
"""Into so many buckets Model Monitor divides the numbers of a column."""

_SHRINK = 2 / 3
"""Part by which each lower level of our sketch is smaller: what KLL's authors call c."""

InferredType = Literal["Integral", "Fractional", "String", "Unknown"]


def statistics_document(profile: Profile) -> dict[str, Any]:
    """Return the features of ``profile`` as the content of ``statistics.json``.

    Numbers are counted into ten buckets of equal width, all but the last without their upper bound;
    beyond some thousand rows the counts are those of the sketch (`QuantileSketch.RANK_ERROR`). The
    sketch is given whole, so that its reader can divide the numbers otherwise: value ``i`` of list
    ``h`` of ``data`` stands for ``2**h`` values. Mean, sum, deviation (of all values, not of a
    sample), least and greatest are of the finite numbers, and are left out where there is none.

    Examples
    --------
    >>> from modelwatch.domain.profiles import text_column
    >>> colour = text_column({"red": 3, "white": 1}, nulls=1)
    >>> document = statistics_document(Profile(rows=5, features={"colour": colour}))
    >>> document["dataset"], document["features"][0]["string_statistics"]["common"]
    ({'item_count': 5}, {'num_present': 4, 'num_missing': 1})
    """
    return {
        "version": 0,
        "dataset": {"item_count": profile.rows},
        "features": [_feature(name, column) for name, column in profile.features.items()],
    }


def inferred_type(column: ColumnProfile) -> InferredType:
    """Return Model Monitor's name for the type of most values of ``column``.

    Booleans are ``String``, as their texts are counted.

    Examples
    --------
    >>> from modelwatch.domain.profiles import number_column
    >>> inferred_type(number_column(np.array([1.0, 2.0]))), inferred_type(ColumnProfile(rows=1))
    ('Integral', 'Unknown')
    """
    if column.kind == "empty":
        return "Unknown"
    if column.kind == "categorical":
        return "String"
    sketch = column.sketch
    # the ends are exact, also where the sketch does not hold every value
    values = np.concatenate([*sketch.levels, [sketch.minimum, sketch.maximum]])
    whole = not column.infinities and bool((values == np.floor(values)).all())
    return "Integral" if whole else "Fractional"


def _feature(name: str, column: ColumnProfile) -> dict[str, Any]:
    kind = inferred_type(column)
    common = {"num_present": column.rows - column.nulls, "num_missing": column.nulls}
    if kind in ("Integral", "Fractional"):
        statistics = {"common": common, **_moments(column), "distribution": _numbers(column.sketch)}
        return {"name": name, "inferred_type": kind, "numerical_statistics": statistics}
    buckets = [{"value": text, "count": count} for text, count in column.counts.items()]
    counted = not column.rest and not column.undercount and not column.numbers
    statistics = {
        "common": common,
        "distinct_count": len(buckets) if counted else round(column.distinct),
        "distribution": {"categorical": {"buckets": buckets}},
    }
    return {"name": name, "inferred_type": kind, "string_statistics": statistics}


def _moments(column: ColumnProfile) -> dict[str, float]:
    if not column.sketch.n:
        return {}
    found = {
        "mean": column.mean,
        "sum": column.mean * column.sketch.n,
        "std_dev": column.deviation or 0.0,
        "min": column.sketch.minimum,
        "max": column.sketch.maximum,
    }
    # of numbers near the largest there are, a sum may be none that JSON can hold
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _numbers(sketch: QuantileSketch) -> dict[str, Any]:
    buckets = []
    if sketch.n:
        low, high = float(sketch.minimum), float(sketch.maximum)
        width = high / BUCKETS - low / BUCKETS
        edges = [low + width * number for number in range(BUCKETS)]
        values, weights = sketch.weighted()
        places = np.searchsorted(edges[1:], values, side="right")
        counts = np.bincount(places, weights=weights, minlength=BUCKETS)
        buckets = [
            {"lower_bound": lower, "upper_bound": upper, "count": int(count)}
            for lower, upper, count in zip(edges, [*edges[1:], high], counts, strict=True)
        ]
    return {
        "kll": {
            "buckets": buckets,
            "sketch": {
                "parameters": {"c": _SHRINK, "k": K},
                "data": [level.tolist() for level in sketch.levels],
            },
        }
    }
