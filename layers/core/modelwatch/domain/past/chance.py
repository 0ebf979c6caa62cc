"""How likely a rate is by chance alone: of few rows, some value is always the most frequent."""

from __future__ import annotations

from modelwatch.domain.binomial import fisher_tail, upper_tail
from modelwatch.domain.past.scores import MISSING, UNSEEN, rise
from modelwatch.domain.statistics.distributions import Distribution, Floats


def chance_of_rate(
    name: str, reference: Distribution, window: Distribution, trace: Floats, before: Floats
) -> float:
    """Return how likely such a rate is, or a higher one, when nothing changed: at most this.

    Parameters
    ----------
    name
        Of the score: ``spike``, ``unseen`` or ``missing``.
    window
        Of ten values at least.
    trace, before
        Of the window, and of the windows just before.
    """
    if name == "missing":
        rows = round(window.size / (1 - trace[MISSING]))
        return float(upper_tail(rows - window.size, rows, max(before[MISSING], 0.0)))
    if name == "unseen":
        count = round(trace[UNSEEN] * window.size)
        return float(fisher_tail(count, window.size, reference.rest + 1, reference.size + 1))
    _, _, share, known = rise(reference, window)
    counts = round(share * window.size), round(known * reference.size)
    # it is the most frequent of so many values
    return window.distinct * float(fisher_tail(counts[0], window.size, counts[1], reference.size))
