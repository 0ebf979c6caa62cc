"""How likely a rate is by chance alone: of few rows, some value is always the most frequent."""

from __future__ import annotations

from modelwatch.domain.binomial import fisher_tail, upper_tail
from modelwatch.domain.past.scores import MISSING, rise, unseen_share
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
        return chance_of_unseen(reference, window)
    risen = rise(reference, window)
    counts = round(risen.share * window.size), round(risen.known * reference.size)
    # it is the most frequent of so many values
    return window.distinct * float(fisher_tail(counts[0], window.size, counts[1], reference.size))


def chance_of_unseen(reference: Distribution, window: Distribution) -> float:
    """Return how likely so many rows of categories are that the reference does not have.

    A row of the window is of an unseen category as often as one of the reference is alone in its
    category (Good, *The population frequencies of species and the estimation of population
    parameters*, 1953), so the shares of both are compared by Fisher's test. The rows of one unseen
    category come together: no more of them count than the reference has rows.

    Examples
    --------
    >>> counts = Distribution.of_counts
    >>> few, many = counts({"a": 80, "b": 62}), counts({"a": 5600, "b": 4400})
    >>> [round(chance_of_unseen(each, counts({"a": 485, "c": 15})), 3) for each in (few, many)]
    [0.183, 0.0]
    """
    alone = sum(count == 1 for count in reference.counts.values())
    part = min(1.0, reference.size / window.size)
    count = round(unseen_share(reference, window) * window.size * part)
    tail = fisher_tail(
        count, round(window.size * part), alone + reference.rest + 1, reference.size + 1
    )
    return float(tail)
