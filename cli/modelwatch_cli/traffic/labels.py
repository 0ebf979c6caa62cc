"""Labels for simulated traffic: they follow the predictions, and some differ from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import batched

import numpy as np

from modelwatch.client import Client
from modelwatch.domain.labels import as_text

LABELS_AT_ONCE = 500
"""Labels of one request."""

Outcome = float | int | str | bool
"""A prediction or a label."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """A prediction that the API returned.

    Attributes
    ----------
    event_id, prediction
        As in the response.
    predicted_at
        The response's timestamp.
    received_at
        When the response came, in seconds of `time.monotonic`.
    model_name, model_version
        The version that served.
    """

    event_id: str
    prediction: Outcome
    predicted_at: str
    received_at: float
    model_name: str
    model_version: str


def simulate_labels(predictions: Sequence[Outcome], accuracy: float, seed: int) -> list[Outcome]:
    """Return a label for each prediction, the same for the same seed.

    Parameters
    ----------
    accuracy
        Probability that a prediction is right, 0 to 1. The label of a wrong one is a prediction
        of another row; if all predictions are equal, it is a value that was not predicted.

    Returns
    -------
    list
        One value per prediction, in their order and of their types.
    """
    generator = np.random.default_rng(seed)
    right = generator.random(len(predictions)) < accuracy
    classes = {as_text(prediction): prediction for prediction in predictions}
    labels: list[Outcome] = []
    for prediction, is_right in zip(predictions, right, strict=True):
        if is_right:
            labels.append(prediction)
            continue
        others = [each for each in sorted(classes) if each != as_text(prediction)]
        chosen = classes[others[generator.integers(len(others))]] if others else None
        labels.append(_unlike(prediction) if chosen is None else chosen)
    return labels


def send_labels(
    client: Client,
    predicted: Sequence[Predicted],
    labels: Sequence[Outcome],
    delay_seconds: float,
    on_sent: Callable[[int], None] = lambda _: None,
) -> None:
    """Post the label of each prediction to ``POST /ground-truth``, after a delay.

    Raises ApiError when they are not accepted.

    Parameters
    ----------
    client
        Of the capture API.
    delay_seconds
        Time from a prediction to its label; the last of a request's labels sets when it is sent.
    """
    pairs = sorted(zip(predicted, labels, strict=True), key=lambda pair: pair[0].received_at)
    for batch in batched(pairs, LABELS_AT_ONCE, strict=False):
        time.sleep(max(0.0, batch[-1][0].received_at + delay_seconds - time.monotonic()))
        body = [
            {
                "event_id": each.event_id,
                "label": label,
                "predicted_at": each.predicted_at,
                "source": "simulation",
            }
            for each, label in batch
        ]
        client.send_labels(body)
        on_sent(len(batch))


def _unlike(prediction: Outcome) -> Outcome:
    """Return a value of the same type that was not predicted."""
    if isinstance(prediction, bool):
        return not prediction
    return f"not {prediction}" if isinstance(prediction, str) else prediction + 1
