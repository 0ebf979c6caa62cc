"""No more segments of a column than people can watch, however many values come together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from modelwatch.domain.segments.keys import MOST_SEGMENTS, SegmentKey


def folded(rows: Iterable[tuple[SegmentKey, int]]) -> Mapping[SegmentKey, SegmentKey]:
    """Return for each segment what it is to be counted as, for no column to have too many.

    The rarer values of a column become its rest; everything else stays what it is.

    Parameters
    ----------
    rows
        Segments and their rows; the same one may come several times.

    Examples
    --------
    >>> keys = [SegmentKey(f"a={n}", "a") for n in range(30)]
    >>> together = folded((key, n) for n, key in enumerate(keys))
    >>> together[keys[29]].name, together[keys[9]].name
    ('a=29', 'a=(other)')
    """
    totals: Counter[SegmentKey] = Counter()
    for key, count in rows:
        totals[key] += count
    columns: dict[str, list[SegmentKey]] = {}
    for key in totals:
        if key.column and not key.is_rest:
            columns.setdefault(key.column, []).append(key)
    found = {key: key for key in totals}
    for keys in columns.values():
        for key in sorted(keys, key=lambda each: (-totals[each], each))[MOST_SEGMENTS:]:
            found[key] = key.rest
    return found
