"""Ground truth in SageMaker's form becomes labels.

A label belongs to the hour of its prediction, which ground truth does not contain. It is the time
in the event id if that is a UUID of version 7; otherwise the import finds it in the captured
records.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from datetime import datetime

from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.event_ids import event_time_ms
from modelwatch.domain.labels import Label, check_label
from modelwatch.domain.sampling import is_sampled
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError
from modelwatch.ports.capture import LabelStore
from modelwatch_cli.capture.rules import RulesOf
from modelwatch_cli.capture.sagemaker.hours import captured_hours
from modelwatch_cli.capture.sagemaker.lines import GroundTruth
from modelwatch_cli.capture.storing import LabelsOfHour, Stored

TimedGroundTruth = tuple[datetime | None, GroundTruth]
"""The hour of its file, if that is known, and a line's ground truth."""


@dataclass(slots=True)
class StoredLabels(Stored):
    """The counts of a source's labels.

    ``unmatched`` are those whose prediction was not found, ``refused`` those that are no label.
    """

    unmatched: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)


def store_labels(
    labels: LabelStore,
    records: S3RecordStore,
    ground_truth: Iterable[TimedGroundTruth],
    window: Window,
    now_ms: int,
    rules_of: RulesOf,
) -> StoredLabels:
    """Store ``ground_truth`` as labels; stored labels do not change.

    Raises StoreError when an object cannot be read or written.

    Parameters
    ----------
    ground_truth
        A label counts as made in the hour of its file, or with its prediction.
    """
    found = list(ground_truth)
    asked: defaultdict[str, set[str]] = defaultdict(set)
    for _, each in found:
        if event_time_ms(each.event_id) is None:
            asked[each.model_name].add(each.event_id)
    times = {name: dict(_times(records, name, ids, window)) for name, ids in asked.items()}
    done = StoredLabels()
    hours: defaultdict[datetime, list[Label]] = defaultdict(list)
    for hour, each in found:
        predicted_at = times.get(each.model_name, {}).get(each.event_id)
        if predicted_at is None and event_time_ms(each.event_id) is None:
            if not is_sampled(each.event_id, rules_of(each.model_name).sample_rate):
                done.left_out += 1
                continue
            done.unmatched += 1
            done.problems.append(f"event {each.event_id} was not captured in the window")
            continue
        try:
            label = _label(hour, each, predicted_at, now_ms)
        except InvalidInputError as error:
            done.refused += 1
            done.problems.append(f"event {each.event_id}: {error}")
            continue
        hours[label.hour].append(label)
    for hour, labels_of_hour in hours.items():
        for event_id in sorted(LabelsOfHour(labels, hour).add(labels_of_hour, done)):
            done.refused += 1
            done.problems.append(f"event {event_id}: another label of the same time is stored")
    return done


def _times(
    records: S3RecordStore, model_name: str, event_ids: Set[str], window: Window
) -> Iterator[tuple[str, datetime]]:
    for name, version in records.versions(window):
        if name == model_name:
            for hour in captured_hours(records, name, version, window):
                table = records.read(name, version, hour)
                pairs = zip(
                    table["event_id"].to_pylist(), table["captured_at"].to_pylist(), strict=True
                )
                yield from (pair for pair in pairs if pair[0] in event_ids)


def _label(
    hour: datetime | None, ground_truth: GroundTruth, predicted_at: datetime | None, now_ms: int
) -> Label:
    label = Label(
        event_id=ground_truth.event_id,
        label=ground_truth.label,
        labelled_at=hour,
        predicted_at=predicted_at,
        source="sagemaker",
        cell=ground_truth.cell,
    )
    checked = check_label(label, now_ms)
    if hour is None:
        # not the present: the same file must give the same label again
        checked.labelled_at = checked.predicted_at
    return checked
