"""Profiles of tables, and the verdict on two of them: without a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelwatch.adapters.captures.arrow_profiles import profile_column
from modelwatch.domain.profiles import Profile
from modelwatch.domain.verdict.features import evaluate_features
from modelwatch.domain.verdict.results import Verdict
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_DEFAULT = DriftPolicy()


def profile(table: pa.Table | pd.DataFrame) -> Profile:
    """Return the profile of a table: what is kept of its rows so that they can be compared.

    Parameters
    ----------
    table
        Each column is a feature: numbers, texts or booleans; null and NaN are missing.

    Raises
    ------
    InvalidInputError
        When it is no table, two columns have one name, or a column holds mixed types.

    Examples
    --------
    >>> import pyarrow as pa
    >>> found = profile(pa.table({"alcohol": [12.1, 13.4, None], "colour": ["a", "a", "b"]}))
    >>> found.rows, found.features["alcohol"].nulls, found.features["colour"].strings
    (3, 1, 3)
    """
    import pyarrow as pa

    if hasattr(table, "to_arrow"):  # polars
        table = table.to_arrow()
    if not isinstance(table, pa.Table):
        table = _arrow(table)
    names = table.column_names
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InvalidInputError("table", f"has more than one column '{min(repeated)}'")
    try:
        features = {name: profile_column(table[name]) for name in names}
    except pa.ArrowException as error:
        raise InvalidInputError("table", f"has a column that is no feature: {error}") from None
    return Profile(rows=table.num_rows, estimated_rows=float(table.num_rows), features=features)


def compare(
    window: Profile, reference: Profile, *, policy: DriftPolicy = _DEFAULT, level: float = 0.001
) -> Verdict:
    """Return the verdict on the features of ``window``: how far they are from ``reference``.

    It is the rule by which a deployment evaluates windows, so notebooks and alerts agree. What
    needs a deployment (age, lost records, data quality, segments) is not part of it.

    Parameters
    ----------
    window, reference
        What `profile` returned of the rows to look at, and of those they should resemble.
    policy
        Methods, thresholds and mode.
    level
        Probability of a false alarm, 0 to 1, for all features together.

    Returns
    -------
    Verdict
        ``status`` is ``ok``, ``drift`` or ``unknown``; ``reason`` says why, ``features`` has the
        verdict on each.

    Raises
    ------
    InvalidInputError
        When ``level`` is no probability above 0.

    Examples
    --------
    >>> import pyarrow as pa
    >>> trained = profile(pa.table({"alcohol": range(100), "ash": range(100)}))
    >>> now = profile(pa.table({"alcohol": range(60, 160), "ash": range(100)}))
    >>> verdict = compare(now, trained)
    >>> verdict.status, verdict.drifted_features
    ('drift', ('alcohol',))
    """
    if not 0 < level <= 1:
        raise InvalidInputError("level", f"is {level!r}; expected a number above 0, at most 1")
    return evaluate_features(reference, window, None, policy, level)


def _arrow(table: Any) -> pa.Table:
    import pyarrow as pa

    if not hasattr(table, "columns") or not hasattr(table, "to_numpy"):
        raise InvalidInputError(
            "table", f"is a {type(table).__name__}; expected a pandas or Arrow table"
        )
    names = [str(name) for name in table.columns]
    try:
        return pa.Table.from_pandas(table.set_axis(names, axis=1), preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise InvalidInputError("table", f"cannot be read: {error}") from None
