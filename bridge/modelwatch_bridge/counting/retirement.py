"""Which series belong to a model version or function that has fallen silent."""

from __future__ import annotations

from collections.abc import Mapping

from modelwatch.metric_names import Metric
from modelwatch_bridge.counting.totals import SeriesKey, Totals

Owner = tuple[str, ...]


def retired_series(
    totals: Totals, catalog: Mapping[str, Metric], silent_since_ms: int
) -> list[SeriesKey]:
    """Return the series whose owner was last heard of before a time.

    A series belongs to its model version, else its model, else its function; a word from any
    series of an owner keeps all of them, so that the gauge of a load stays for as long as the
    version that was loaded predicts. What belongs to none of them stays.
    """
    heard: dict[Owner, int] = {}
    owners: dict[SeriesKey, Owner] = {}
    for key, sample in totals.series():
        metric = catalog.get(key[0])
        owner = () if metric is None else _owner(metric, key[1])
        if not owner:
            continue
        owners[key] = owner
        # a word from a version is a word from its model
        for heard_of in (owner, owner[:2]):
            heard[heard_of] = max(heard.get(heard_of, 0), sample.at_ms)
    return [key for key, owner in owners.items() if heard[owner] < silent_since_ms]


def _owner(metric: Metric, labels: tuple[str, ...]) -> Owner:
    values = dict(zip(metric.labels, labels, strict=True))
    version = values.get("model_version", values.get("version"))
    if "model_name" in values:
        model = values["model_name"]
        return ("model", model) if version is None else ("model", model, version)
    if "function" in values:
        return ("function", values["function"])
    return ()
