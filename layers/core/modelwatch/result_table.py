"""Results read back as a list that is also a table: scores, verdicts, performance over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwatch.domain.verdict.results import AnalysisResult

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure


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
        from modelwatch.adapters.results.rows import table_of

        return table_of(reversed(self))

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
