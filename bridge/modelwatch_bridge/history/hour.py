"""The slots of the last hour, by metric and time, and quantiles of their histograms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from modelwatch.metric_names import CATALOG
from modelwatch_bridge.history.history import SLOT_MS, SLOTS, Added, Slot, View

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_MINUTE = 60_000 // SLOT_MS


def quantile(bounds: Sequence[float], counts: Sequence[int], q: float) -> float | None:
    """Return a quantile from the counts between bounds, as PromQL's `histogram_quantile` does.

    Parameters
    ----------
    bounds
        Upper bounds of the buckets but the last, rising.
    counts
        Observations per bucket, not cumulative; the last is above all bounds.
    q
        From 0 to 1.

    Examples
    --------
    >>> quantile((1.0, 2.0), (2, 2, 0), 0.75)
    1.5
    >>> quantile((1.0, 2.0), (0, 0, 3), 0.5), quantile((1.0, 2.0), (0, 0, 0), 0.5)
    (2.0, None)
    """
    total = sum(counts)
    if not total:
        return None
    rank = q * total
    below = 0
    for place, count in enumerate(counts[:-1]):
        if count and below + count >= rank:
            lower = bounds[place - 1] if place else min(0.0, bounds[0])
            return lower + (bounds[place] - lower) * (rank - below) / count
        below += count
    return bounds[-1]


class Hour:
    """The slots of a view, by time."""

    def __init__(self, view: View) -> None:
        end_ms = view.now_ms - view.now_ms % SLOT_MS
        self.first_ms = end_ms - SLOTS * SLOT_MS
        self.slots: list[Slot | None] = [None] * SLOTS
        for slot in view.slots:
            place = (slot.at_ms - self.first_ms) // SLOT_MS
            if 0 <= place < SLOTS:
                self.slots[place] = slot
        self._groups: dict[str, dict[tuple[str, ...], list[tuple[int, Added]]]] = {}
        for place, held in enumerate(self.slots):
            for (name, labels), added in held.added.items() if held else ():
                self._groups.setdefault(name, {}).setdefault(labels, []).append((place, added))

    def keys(self, name: str) -> Iterable[tuple[str, ...]]:
        """Return the label values that a metric had."""
        return self._groups.get(name, {})

    def series(self, name: str, keys: Iterable[tuple[str, ...]]) -> list[float | None]:
        """Return what was counted in each slot, over some label values together."""
        values: list[float | None] = [None if slot is None else 0.0 for slot in self.slots]
        for labels in keys:
            for place, added in self._groups.get(name, {}).get(labels, ()):
                count = sum(added) if isinstance(added, tuple) else added
                values[place] = (values[place] or 0.0) + count
        return values

    def sums(self, name: str) -> dict[tuple[str, ...], float]:
        """Return what was counted in the hour, by label values."""
        return {
            labels: sum(sum(added) if isinstance(added, tuple) else added for _, added in entries)
            for labels, entries in self._groups.get(name, {}).items()
        }

    def quantiles(self, name: str, labels: tuple[str, ...] = ()) -> dict[str, float | None]:
        """Return the quantiles of a histogram over the hour."""
        metric = CATALOG[name]
        counts = [0] * (len(metric.buckets) + 1)
        for _, added in self._groups.get(name, {}).get(labels, ()):
            if isinstance(added, tuple):
                counts = list(map(int.__add__, counts, added))
        return {key: quantile(metric.buckets, counts, q) for key, q in QUANTILES.items()}

    def quantiles_over_time(self, name: str) -> dict[str, list[float | None]]:
        """Return the quantiles of a histogram without labels in the minute up to each slot."""
        bounds = CATALOG[name].buckets
        lists: dict[str, list[float | None]] = {key: [None] * SLOTS for key in QUANTILES}
        entries = {
            place: added
            for place, added in self._groups.get(name, {}).get((), ())
            if isinstance(added, tuple)
        }
        for end in range(SLOTS):
            minute = [entries[at] for at in range(end - _MINUTE + 1, end + 1) if at in entries]
            if minute and self.slots[end] is not None:
                counts = [sum(column) for column in zip(*minute, strict=True)]
                for key, q in QUANTILES.items():
                    lists[key][end] = quantile(bounds, counts, q)
        return lists
