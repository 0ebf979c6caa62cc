"""Learning what the errors of a regression depend on; see `LossModel`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.tree import DecisionTreeRegressor

from modelwatch.adapters.captures.feature_columns import feature_names, values_of
from modelwatch.domain.labels import as_text
from modelwatch.domain.performance.losses import (
    FORMAT,
    MISSING,
    Floats,
    LossFeature,
    LossModel,
    ReferenceErrors,
)
from modelwatch.domain.performance.profile import PerformanceProfile
from modelwatch.domain.performance.results import task_of
from modelwatch.domain.performance.rows import outcomes
from modelwatch.domain.records import Value

MIN_ROWS = 100
"""With fewer labelled rows nothing is learned."""

MOST_ROWS = 20_000
"""Of more rows, as many are drawn."""

GROUPS, TREES = 10, 4
LEAF_ROWS = 5
COARSE_ROWS = 20
MOST_LEAVES = 1024
CHUNKS = 10
SEED = 42

MOST_TEXTS = 1000
"""Commoner texts of a column have a number of their own."""

_SMOOTHING_ROWS = 20
_LEAST_KNOWN = 0.05

Places = npt.NDArray[np.int64]


def learn_losses(
    columns: dict[str, list[Value]], predictions: Sequence[Value], labels: Sequence[Value]
) -> LossModel | str:
    """Return what is learned of the errors, or why nothing is.

    Parameters
    ----------
    columns
        Features by name; one value a row.
    predictions, labels
        Of rows that the model was not trained on.
    """
    predicted, actual = _numbers(predictions), _numbers(labels)
    with np.errstate(over="ignore", invalid="ignore"):
        errors = predicted - actual
        usable = np.flatnonzero(np.isfinite(errors**4))
    if len(usable) < MIN_ROWS:
        return (
            f"{len(usable)} test rows with a number as prediction and label; {MIN_ROWS} are needed"
        )
    reference = _reference(errors[usable])
    draw = np.random.default_rng(SEED)
    if len(usable) > MOST_ROWS:
        usable = np.sort(draw.choice(usable, MOST_ROWS, replace=False))
    errors = errors[usable]
    features, matrix = [], []
    for name, values in {**columns, "": predictions}.items():
        chosen = [values[place] for place in usable.tolist()]
        feature = _feature(name, chosen, np.abs(errors))
        numbers = feature.numbers(chosen)
        # what is hardly ever there may be missing in a window by chance
        if name and (numbers != MISSING).mean() < _LEAST_KNOWN:
            continue
        features.append(feature)
        matrix.append(numbers)
    found = np.column_stack(matrix)
    trees = []
    for _ in range(GROUPS):
        order = draw.permutation(len(errors))
        split, filled = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
        trees += [_tree(found, errors, split, filled, draw) for _ in range(TREES)]
    starts = np.cumsum([0, *(len(tree[0]) for tree in trees[:-1])])

    def joined(part: int, kind: str) -> bytes:
        moved = [
            tree[part] + (start if part in (2, 3, 4) else 0)
            for tree, start in zip(trees, starts.tolist(), strict=True)
        ]
        return np.concatenate(moved).astype(kind).tobytes()

    return LossModel(
        format=FORMAT,
        features=tuple(features),
        rows=len(usable),
        groups=GROUPS,
        reference=reference,
        origin=float(predicted[usable].mean()),
        roots=starts.astype("<i4").tobytes(),
        columns=joined(0, "<i4"),
        thresholds=joined(1, "<f4"),
        left=joined(2, "<i4"),
        right=joined(3, "<i4"),
        coarse=joined(4, "<i4"),
        values=joined(5, "<f4"),
    )


def losses_of(table: pa.Table) -> LossModel | str:
    """Return what is learned from the rows of a version's holdout, or why nothing is.

    Of a classifier nothing is, without a reason: its probabilities say what to expect.
    """
    if table["probabilities"].null_count < table.num_rows:
        return ""
    predictions = table["prediction"].to_pylist()
    labels = table["label"].to_pylist() if "label" in table.column_names else None
    numbers = [value for value in predictions if value is not None]
    rows = outcomes(numbers, numbers)
    if not numbers or task_of(PerformanceProfile.of(rows)) == "classification":
        return ""
    if labels is None:
        return "no labels of the test rows were given"
    columns = {name: values_of(table, name) for name in feature_names(table.column_names)}
    return learn_losses(columns, predictions, labels)


def _tree(
    matrix: Floats, errors: Floats, split: Places, filled: Places, draw: np.random.Generator
) -> tuple[npt.NDArray[np.generic], ...]:
    """Return columns, thresholds, children, pruned ancestors and values of a tree.

    Rows ``split`` say where it splits, and the others, ``filled``, what its nodes hold: splits
    look for large errors, so that the rows they were found with have too many on one side (S.
    Athey, G. Imbens, Recursive partitioning for heterogeneous causal effects, PNAS 113 (2016)
    7353). Splits follow abs(e) and e; e^2 and e^4 have heavier tails, and are only averaged.
    """
    targets = np.column_stack([np.abs(errors), errors])[split]
    fitted = DecisionTreeRegressor(
        min_samples_leaf=LEAF_ROWS,
        max_leaf_nodes=MOST_LEAVES,
        random_state=int(draw.integers(2**31)),
    ).fit(matrix[split], targets / np.maximum(targets.std(axis=0), np.finfo(float).tiny))
    tree = fitted.tree_
    path = fitted.decision_path(matrix[filled])
    e = errors[filled]
    counts = np.asarray(path.sum(axis=0)).ravel()
    sums = path.T @ np.column_stack([np.abs(e), e**2, e, e**4])
    return _in_order(
        np.where(tree.children_left < 0, -1, tree.feature),
        tree.threshold,
        tree.children_left,
        tree.children_right,
        sums / np.maximum(counts, 1)[:, None],
        counts,
        tree.n_node_samples,
    )


def _in_order(
    columns: npt.NDArray[np.int64],
    thresholds: Floats,
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    values: Floats,
    counts: Floats,
    split_rows: Places,
) -> tuple[npt.NDArray[np.generic], ...]:
    """Return the nodes with children behind their parents, leaves as their own children.

    A node without a row holds what its parent holds. The pruned tree splits where both sides have
    `COARSE_ROWS`.
    """
    order = [0]
    coarse = np.zeros(len(columns), np.int64)
    for node in order:
        if left[node] < 0:
            continue
        children = [int(left[node]), int(right[node])]
        splits = coarse[node] == node and split_rows[children].min() >= COARSE_ROWS
        for child in children:
            order.append(child)  # the loop goes on with it
            coarse[child] = child if splits else coarse[node]
            if not counts[child]:
                values[child] = values[node]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    leaf = left[order] < 0
    return (
        columns[order],
        thresholds[order],
        np.where(leaf, place[order], place[left[order]]),
        np.where(leaf, place[order], place[right[order]]),
        place[coarse[order]],
        values[order],
    )


def _feature(name: str, values: Sequence[Value], errors: Floats) -> LossFeature:
    if not any(isinstance(value, str) for value in values):
        return LossFeature(name)
    other = float(errors.mean())
    rows: dict[str, list[float]] = {}
    for value, error in zip(values, errors.tolist(), strict=True):
        if value is not None:
            rows.setdefault(as_text(value), []).append(error)
    commonest = sorted(rows.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_TEXTS]
    texts = {
        text: (sum(found) + _SMOOTHING_ROWS * other) / (len(found) + _SMOOTHING_ROWS)
        for text, found in commonest
    }
    return LossFeature(name, texts, other)


def _reference(errors: Floats) -> dict[str, ReferenceErrors]:
    chunks = np.array_split(errors, CHUNKS)
    found = {}
    for name, power in (("mae", 1), ("rmse", 2)):
        values = np.array([_norm(chunk, power) for chunk in chunks])
        threshold = float(values.mean() + 3 * values.std(ddof=1))
        found[name] = ReferenceErrors(_norm(errors, power), threshold)
    return found


def _norm(errors: Floats, power: int) -> float:
    return float((np.abs(errors) ** power).mean() ** (1 / power))


def _numbers(values: Sequence[Value]) -> Floats:
    return np.array(
        [float(v) if isinstance(v, int | float) else np.nan for v in values], np.float64
    )
