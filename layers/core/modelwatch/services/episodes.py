"""Episodes: what scheduled results say of them, and the metrics that alerts follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from modelwatch.domain.episodes.joining import Episode
from modelwatch.domain.episodes.notes import PlannedChange
from modelwatch.domain.episodes.slots import Observation, Slot, observe
from modelwatch.domain.verdict.results import AnalysisResult, WindowVerdict
from modelwatch.metric_names import EPISODE_OPENED, EPISODE_STATUS, EPISODE_STATUS_VALUES
from modelwatch.ports.analysis import EpisodeStore
from modelwatch.ports.metrics import Sample
from modelwatch.services.analysis_requests import AnalysisTask

_SHOWN_CLOSED = timedelta(days=1)
"""So long metrics say of another version that its episode is over: they need to hear it once."""


def note_result(
    store: EpisodeStore, result: AnalysisResult, planned: Sequence[PlannedChange] = ()
) -> list[Sample]:
    """Add a result of the schedule to its model's record; return the metrics of its episodes.

    ``planned`` is what the model's monitor expects. Raises StoreError when the record cannot be
    read or written.
    """
    seen = observe(result)
    changes = tuple(each.expectation() for each in planned)
    record = store.update(result.model_name, lambda record: record.add(seen).planning(changes))
    newest: dict[str, Episode] = {}
    for episode in record.episodes():  # the open ones first, the newest first
        newest.setdefault(episode.model_version, episode)
    version = result.model_version
    samples = list(_samples(result.model_name, version, newest.pop(version, None)))
    for version, episode in newest.items():
        if episode.closed is None or result.window_end - episode.closed < _SHOWN_CLOSED:
            samples += _samples(result.model_name, version, episode)
    return samples


def episode_sentences(
    store: EpisodeStore, task: AnalysisTask, verdict: WindowVerdict, variant: str
) -> tuple[str, ...]:
    """Return which episode of a version is open, once this verdict is noted; empty: none is.

    Raises StoreError when the record cannot be read.
    """
    record, end = store.load(task.name), task.window.end
    if verdict.status == "drift" and not (task.ad_hoc or variant):
        slot = Slot(drift=end, last=end)
        record = record.add(Observation(task.version, task.title, end, slot))
    return tuple(
        f"Episode {each.id}, {each.status} since {each.opened:%Y-%m-%d %H:%M} UTC"
        for each in record.open_episodes()
        if each.model_version == task.version
    )


def _samples(model_name: str, version: str, episode: Episode | None) -> Iterator[Sample]:
    labels = {"model_name": model_name, "model_version": version}
    is_open = episode is not None and episode.closed is None
    status = EPISODE_STATUS_VALUES[episode.status if episode else "closed"]
    yield Sample(EPISODE_STATUS, status, labels)
    opened = episode.opened.timestamp() if episode and is_open else 0
    yield Sample(EPISODE_OPENED, opened, labels)
