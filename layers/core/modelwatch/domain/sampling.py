"""Which predictions are captured where only a share of them is."""

from __future__ import annotations

import hashlib


def is_sampled(event_id: str, rate: float) -> bool:
    """Return whether the event is among the share ``rate`` of all that is captured.

    The result follows from the two arguments alone: in every process it is the same for a
    prediction, its label and its shadow. What is sampled at a rate is sampled at every higher one.
    The BLAKE2 hash of the id is uniform, and personalised, so that it has nothing to do with the
    variant that the same id was routed to (`Routing.choose`).

    Parameters
    ----------
    event_id
        UUID of the prediction, in capitals or not; a shadow asks with that of its original.
    rate
        Share that is sampled: 0 for nothing, 1 for everything.

    Examples
    --------
    >>> sum(is_sampled(str(number), 0.1) for number in range(10_000))
    1033
    >>> is_sampled("018bcfe5-6800-7000-8000-000000000000", 1), is_sampled("anything", 0)
    (True, False)
    """
    digest = hashlib.blake2b(event_id.lower().encode(), digest_size=8, person=b"sampling").digest()
    return int.from_bytes(digest) < rate * 2**64
