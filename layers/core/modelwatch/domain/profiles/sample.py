"""A few whole rows of many: what the relation between two columns can be read from.

A row is in the sample by the hash of its event: those with the smallest hashes are. So samples of
parts make the same sample of the whole in any order (Broder, *On the resemblance and containment of
documents*, 1997).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from modelwatch.domain.profiles.hashes import Hashes
from modelwatch.domain.profiles.quantiles import Floats

MOST_ROWS = 512
"""Most rows of a sample: so many show a rank correlation to 0.05 (one standard error)."""

_FEWEST, _SHARE = 32, 8


MOST_COLUMNS = 64
"""So many columns of numbers are sampled, the first ones."""

_ALL = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowSample:
    """Rows of a profile, of its numbers alone.

    Attributes
    ----------
    names
        The features that hold numbers, at most `MOST_COLUMNS`.
    hashes
        Of the rows' events, 32 bits each, ascending.
    values
        By row and feature; NaN is no finite number. As they are written, they are the nearest ones
        of the column's sketch.
    limit
        All rows with a hash up to it are here.
    """

    names: tuple[str, ...]
    hashes: NDArray[np.uint32]
    values: Floats
    limit: int = _ALL

    def __len__(self) -> int:
        """Return how many rows it has."""
        return len(self.hashes)

    def column(self, name: str) -> Floats:
        """Return the values of a feature; NaN for one that is not here."""
        if name not in self.names:
            return np.full(len(self), np.nan)
        return self.values[:, self.names.index(name)]

    def _first(self, rows: int) -> RowSample:
        if len(self) <= rows:
            return self
        hashes = self.hashes[:rows]
        return replace(self, hashes=hashes, values=self.values[:rows], limit=int(hashes[-1]))


def rows_of_slice(total: int) -> int:
    """Return how many of a minute's rows are sampled: an eighth, 32 at least.

    Examples
    --------
    >>> [rows_of_slice(total) for total in (20, 1000, 100_000)]
    [32, 125, 512]
    """
    return min(max(total // _SHARE, _FEWEST), MOST_ROWS)


def sampled_rows(hashes: Hashes, rows: int) -> NDArray[np.int64]:
    """Return the places of the rows with the smallest hashes, at most ``rows`` of them."""
    if len(hashes) <= rows:
        return np.argsort(hashes, kind="stable")
    few = np.argpartition(hashes, rows)[:rows]
    return few[np.argsort(hashes[few], kind="stable")]


def sample_of(columns: Iterable[tuple[str, Floats]], hashes: Hashes, total: int) -> RowSample:
    """Return a sample from the rows that are in it.

    Parameters
    ----------
    columns
        Name and values, NaN for no number: of the rows with these ``hashes``, which ascend.
    total
        Of so many rows these have the smallest hashes.
    """
    kept = list(columns)[:MOST_COLUMNS]
    values = np.empty((len(hashes), len(kept)))
    for place, (_, each) in enumerate(kept):
        values[:, place] = np.where(np.isfinite(each), each, np.nan)
    short = (hashes >> np.uint64(32)).astype(np.uint32)
    limit = int(short[-1]) if total > len(hashes) else _ALL
    return RowSample(
        names=tuple(name for name, _ in kept), hashes=short, values=values, limit=limit
    )


def merge_samples(samples: Sequence[RowSample | None]) -> RowSample | None:
    """Return the sample of all rows together; None when some of them were not sampled."""
    found = [each for each in samples if each is not None]
    if not found or len(found) < len(samples):
        return None
    if len(found) == 1:
        return found[0]
    names = tuple(dict.fromkeys(chain.from_iterable(each.names for each in found)))[:MOST_COLUMNS]
    limit = min(each.limit for each in found)
    hashes = np.concatenate([each.hashes for each in found])
    order = np.argsort(hashes, kind="stable")
    order = order[: np.searchsorted(hashes[order], limit, side="right")]
    if all(each.names == names for each in found):
        values = np.concatenate([each.values for each in found])
    else:
        values = np.concatenate(
            [np.stack([each.column(name) for name in names], axis=1) for each in found]
        )
    merged = RowSample(names=names, hashes=hashes[order], values=values[order], limit=limit)
    return merged._first(MOST_ROWS)
