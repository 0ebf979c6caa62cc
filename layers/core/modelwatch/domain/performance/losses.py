"""The errors to expect of a regression, row by row, from its features and its prediction.

Direct loss estimation: groups of regression trees learn from labelled rows that the model was not
trained on which error a row has. They are stored as plain arrays, and read here with numpy alone.
Each group has learned from its own half of these rows, so that the spread of the groups says how
far the estimate depends on the rows that happened to be there (J. Sexton, P. Laake, Standard errors
for bagged and random forest estimators, Computational Statistics & Data Analysis 53 (2009) 801).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt

from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.labels import as_text
from modelwatch.domain.records import Value
from modelwatch.errors import ProfileFormatError

FORMAT = 1

MISSING = -3.0e38
"""What a missing number counts as: every split has it on its left."""

_LARGEST = 1.0e38

TARGETS = ("absolute", "squared", "signed", "fourth")
"""What a leaf holds: the means of abs(e), e^2, e and e^4 of its rows, e = prediction - label."""

Floats = npt.NDArray[np.float64]


class LossFeature(msgspec.Struct, frozen=True):
    """A column that the trees look at; an empty name is the prediction.

    ``texts`` gives each text a number (the mean error of its rows); ``other`` is that of a text
    that the reference did not have. None: the feature is a number.
    """

    name: str
    texts: dict[str, float] | None = None
    other: float = 0.0

    def numbers(self, values: Sequence[Value]) -> Floats:
        """Return the values as numbers.

        Examples
        --------
        >>> LossFeature("fuel", {"gas": 2.0}, 3.0).numbers(["gas", "wood", None]).tolist()
        [2.0, 3.0, -3e+38]
        """
        if self.texts is not None:
            return np.array(
                [
                    MISSING if value is None else self.texts.get(as_text(value), self.other)
                    for value in values
                ],
                np.float64,
            )
        numbers = np.array(
            [float(value) if isinstance(value, int | float) else np.nan for value in values],
            np.float64,
        )
        return np.where(np.isnan(numbers), MISSING, np.clip(numbers, -_LARGEST, _LARGEST))


class ReferenceErrors(msgspec.Struct, frozen=True):
    """A metric on the labelled reference, and the mean plus three deviations of its chunks."""

    value: float
    threshold: float


class LossModel(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Trees in groups, as arrays.

    Attributes
    ----------
    format
        `FORMAT`.
    features
        The columns of a row's matrix; the last one is the prediction.
    rows
        Labelled rows that were learned from.
    groups
        Number of groups; as many trees each, group after group.
    reference
        By metric (``mae``, ``rmse``), what the reference had.
    origin
        The mean prediction in the reference.
    roots
        Place of each tree's root among the nodes; little-endian int32.
    columns
        The column that a node splits; -1 in a leaf; int32.
    thresholds
        A row at most as large goes left; float32.
    left, right
        Places of the children, which lie behind their parent; int32.
    coarse
        Place of the ancestor (or the node itself) that is a leaf of the pruned tree: the one whose
        leaves have four times as many rows at least; int32.
    values
        `TARGETS` of every node; float32, shape (nodes, 4).
    """

    format: int
    features: tuple[LossFeature, ...]
    rows: int
    groups: int
    reference: dict[str, ReferenceErrors]
    origin: float
    roots: bytes
    columns: bytes
    thresholds: bytes
    left: bytes
    right: bytes
    coarse: bytes
    values: bytes

    @cached_property
    def _arrays(self) -> Mapping[str, npt.NDArray[np.int32] | npt.NDArray[np.float32]]:
        integers = {
            name: np.frombuffer(getattr(self, name), "<i4")
            for name in ("roots", "columns", "left", "right", "coarse")
        }
        return integers | {
            "thresholds": np.frombuffer(self.thresholds, "<f4"),
            "values": np.frombuffer(self.values, "<f4").reshape(-1, len(TARGETS)),
        }

    def known(self, matrix: Floats) -> Floats:
        """Return by feature how many rows have a number, or a text that the reference had."""
        others = np.array([each.other if each.texts else MISSING for each in self.features])
        known: Floats = ((matrix != MISSING) & (matrix != others)).sum(axis=0).astype(np.float64)
        return known

    def check(self) -> None:
        """Check that the arrays are trees; raises ProfileFormatError when they are not."""
        try:
            arrays = self._arrays
        except ValueError as error:
            raise ProfileFormatError(f"no loss model: {error}") from error
        nodes = len(arrays["columns"])
        inner = np.flatnonzero(arrays["columns"] >= 0)
        children = [arrays[side][inner] for side in ("left", "right") if len(arrays[side]) == nodes]
        roots = arrays["roots"]
        good = (
            len(children) == 2
            and len(arrays["thresholds"]) == len(arrays["values"]) == nodes
            and len(arrays["coarse"]) == nodes
            and ((arrays["coarse"] >= 0) & (arrays["coarse"] <= np.arange(nodes))).all()
            and all(((inner < each) & (each < nodes)).all() for each in children)
            and (arrays["columns"] < len(self.features)).all()
            and ((roots >= 0) & (roots < nodes)).all()
            and self.groups > 1
            and len(roots) > 0
            and len(roots) % self.groups == 0
            and bool(np.isfinite(arrays["values"]).all())
        )
        if not good:
            raise ProfileFormatError("no loss model: its arrays are no trees")

    def losses(self, matrix: Floats) -> tuple[Floats, Floats]:
        """Return `TARGETS` of each row by group, fine and coarse; shape (groups, rows, 4) each.

        ``matrix`` has shape (rows, features), see `LossFeature.numbers`.
        """
        arrays = self._arrays
        rows, trees = len(matrix), len(arrays["roots"])
        node = np.repeat(arrays["roots"][:, None], rows, axis=1)
        places = np.arange(rows)[None, :]
        # trees are learned from 32-bit numbers
        numbers = matrix.astype(np.float32)
        while (inner := arrays["columns"][node] >= 0).any():
            goes_left = numbers[places, arrays["columns"][node]] <= arrays["thresholds"][node]
            children = np.where(goes_left, arrays["left"][node], arrays["right"][node])
            node = np.where(inner, children, node)
        shape = (self.groups, trees // self.groups, rows, len(TARGETS))
        fine, coarse = (
            arrays["values"][each].astype(np.float64).reshape(shape).mean(axis=1)
            for each in (node, arrays["coarse"][node])
        )
        return fine, coarse


_decoder = msgspec.msgpack.Decoder(LossModel)


def encode_loss_model(model: LossModel) -> bytes:
    """Return ``model`` as bytes: compressed MessagePack."""
    return zlib.compress(msgspec.msgpack.encode(model))


def decode_loss_model(payload: bytes) -> LossModel:
    """Return what `encode_loss_model` was given.

    Raises ProfileFormatError when it is something else, or of another format.
    """
    try:
        model = _decoder.decode(zlib.decompress(payload))
    except (zlib.error, *UNREADABLE, ValueError) as error:
        raise ProfileFormatError(f"no loss model: {error}") from error
    if model.format != FORMAT:
        raise ProfileFormatError(f"format {model.format} of loss models")
    model.check()
    return model
