"""Results read back as a list that is also a table: scores, verdicts, performance over time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure

METRICS = (
    "accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "mae", "rmse", "r2", "bias",
)  # fmt: skip
"""Columns of performance by labels; ``estimated_<metric>`` are those of what is expected."""

_ESTIMATED = tuple(name for name in METRICS if name != "log_loss")
_TEXTS = ("row", "model_name", "model_version", "variant", "window", "name", "feature", "status",
          "severity", "reason", "method", "owner")  # fmt: skip
_TIMES = ("window_start", "window_end", "restated_at")
_WHOLE = ("rows", "reference_rows", "records", "labelled", "more_labelled")
_NUMBERS = ("score", "critical_score", "threshold", "p_value", "missing_ratio", "importance",
            "drift_share", *METRICS, *(f"estimated_{name}" for name in _ESTIMATED))  # fmt: skip


class Results(list[AnalysisResult]):
    """Results of a model, newest first: a list, which is also a table."""

    def to_arrow(self) -> pa.Table:
        """Return a table with a row for each window and one for each of its features, oldest first.

        The column ``row`` says which it is: ``window``, ``feature`` or ``output`` (predictions and
        probabilities). The columns are the same whatever was found, with null for what a row does
        not have: ``score``, ``critical_score``, ``threshold``, ``status`` and more of a feature;
        ``severity``, ``drift_share``, rows and performance (``accuracy``, ``mae``,
        ``estimated_accuracy`` …) of a window. Times are in UTC.

        Raises ImportError without pyarrow.
        """
        import pyarrow as pa

        rows = [row for result in reversed(self) for row in _rows(result)]
        return pa.table(
            {
                field.name: pa.array([row.get(field.name) for row in rows], field.type)
                for field in _schema()
            },
            schema=_schema(),
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return the table of `to_arrow` for pandas.

        Raises ImportError without pyarrow and pandas.
        """
        return self.to_arrow().to_pandas()

    def plot(self, *features: str) -> Figure:
        """Return a figure of scores over time, a picture for each feature, with critical scores.

        Each version, length of window, variant and method has a line of its own. A dashed line is
        the critical score; in the mode ``classic``, the threshold. Where a feature is unknown there
        is a gap and a cross, and a dot where it drifts. It needs no display, and is matplotlib's
        own: ``savefig`` writes it to a file.

        Parameters
        ----------
        features
            Names of features or outputs; by default the six that went furthest.

        Raises
        ------
        InvalidInputError
            When no result has a feature of that name.
        ImportError
            Without matplotlib: the extra ``modelwatch[plot]``.
        """
        from modelwatch.plots import plot_scores

        return plot_scores(self, features)


def _schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {
        **dict.fromkeys(_TEXTS, pa.string()),
        **dict.fromkeys(_TIMES, pa.timestamp("us", "UTC")),
        "ad_hoc": pa.bool_(),
        "drifted_features": pa.list_(pa.string()),
        **dict.fromkeys(_WHOLE, pa.int64()),
        **dict.fromkeys(_NUMBERS, pa.float64()),
    }
    return pa.schema(list(kinds.items()))


def _rows(result: AnalysisResult) -> Iterator[dict[str, Any]]:
    window = {
        "model_name": result.model_name,
        "model_version": result.model_version,
        "variant": result.variant,
        "window": result.window,
        "window_start": result.window_start,
        "window_end": result.window_end,
        "name": result.name,
        "ad_hoc": result.ad_hoc,
        "owner": result.owner,
    }
    yield {
        **window,
        "row": "window",
        "status": result.status,
        "severity": result.severity,
        "reason": result.reason,
        "rows": result.rows,
        "reference_rows": result.reference_rows,
        "drift_share": result.drift_share,
        "drifted_features": result.drifted_features,
        **_performance(result),
    }
    for row, features in (("feature", result.features), ("output", result.outputs)):
        for each in features:
            yield {**window, "row": row, **_feature(each)}


def _feature(feature: FeatureDrift) -> dict[str, Any]:
    names = ("feature", "status", "reason", "method", "score", "critical_score", "threshold",
             "p_value", "missing_ratio", "importance")  # fmt: skip
    return {name: getattr(feature, name) for name in names}


def _performance(result: AnalysisResult) -> dict[str, Any]:
    performance = result.performance
    if performance is None:
        return {}
    verdict = performance.verdict
    estimated = verdict.estimated.metrics
    return {
        "records": performance.records,
        "labelled": performance.labelled,
        "restated_at": performance.restated_at,
        "more_labelled": performance.more_labelled,
        **{name: verdict.metrics[name].value for name in METRICS if name in verdict.metrics},
        **{f"estimated_{name}": estimated[name] for name in _ESTIMATED if name in estimated},
    }
