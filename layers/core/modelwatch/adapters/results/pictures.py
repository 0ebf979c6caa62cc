"""A picture of a drifted column: the reference beside the window, of all rows, from profiles."""

from __future__ import annotations

from html import escape

import numpy as np

from modelwatch.domain.numbers import rounded
from modelwatch.domain.statistics.distributions import Distribution, cumulative

_BARS = 24
_CATEGORIES = 12
_WIDTH, _HEIGHT, _FLOOR = 360, 130, 110
_LONGEST = 14


def picture(name: str, reference: Distribution, window: Distribution) -> str:
    """Return a column's shares on both sides as SVG; empty where they cannot be compared.

    Numbers stand in equal steps from the least to the greatest one but a hundredth at each end,
    which the outer bars hold; of texts the most frequent ones stand apart.
    """
    if reference.kind != window.kind or reference.kind == "empty":
        return ""
    sides = (reference, window)
    if reference.kind == "numerical":
        ends = np.array([side.quantiles([0.01, 0.99]) for side in sides])
        edges = np.linspace(ends[:, 0].min(), ends[:, 1].max(), _BARS + 1)
        inner = edges[1:-1]
        shares = [np.diff([0.0, *(cumulative(side, inner) / side.size), 1.0]) for side in sides]
        labels = {0: rounded(edges[0], 4), _BARS - 1: rounded(edges[-1], 4)}
    else:
        most = {
            text: max(side.counts.get(text, 0) / side.size for side in sides)
            for text in {**reference.counts, **window.counts}
        }
        texts = sorted(most, key=lambda text: (-most[text], text))[:_CATEGORIES]
        shares = [
            np.array([side.counts.get(text, 0) / side.size for text in texts]) for side in sides
        ]
        labels = {place: text[:_LONGEST] for place, text in enumerate(texts)}
    return _svg(name, np.array(shares), labels)


def _svg(name: str, shares: np.ndarray, labels: dict[int, str]) -> str:
    step = _WIDTH / shares.shape[1]
    heights = shares / max(float(shares.max()), 1e-9) * (_FLOOR - 10)
    bars = [
        f'<rect class="{side}" x="{(place + 0.1 + 0.4 * at) * step:.1f}" y="{_FLOOR - high:.1f}" '
        f'width="{0.4 * step:.1f}" height="{high:.1f}"><title>{side}: {share:.1%}</title></rect>'
        for at, side in enumerate(("reference", "window"))
        for place, (high, share) in enumerate(zip(heights[at], shares[at], strict=True))
    ]
    texts = [
        f'<text x="{(place + 0.5) * step:.1f}" y="{_FLOOR + 14}">{escape(label)}</text>'
        for place, label in labels.items()
    ]
    title = escape(f"{name}: reference beside window")
    box = f"-24 0 {_WIDTH + 48} {_HEIGHT}"
    return (
        f'<figure><figcaption>{escape(name)}</figcaption><svg viewBox="{box}" '
        f'role="img" aria-label="{title}">{"".join(bars + texts)}</svg></figure>'
    )
