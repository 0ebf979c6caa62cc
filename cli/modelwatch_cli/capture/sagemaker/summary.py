"""An import, from the check of a source to the summary."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import msgspec

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.windows import Window
from modelwatch.errors import ModelwatchError
from modelwatch_cli.capture.places import place
from modelwatch_cli.capture.rules import import_rules
from modelwatch_cli.capture.sagemaker import ground_truth, importing
from modelwatch_cli.capture.sagemaker.payloads import Reading
from modelwatch_cli.console import error_console, progress
from modelwatch_cli.monitors.held import held_segments
from modelwatch_cli.settings import Settings

_WEEK = timedelta(days=7)
_HOUR = timedelta(hours=1)
_AHEAD = timedelta(minutes=5)


class RecordCounts(msgspec.Struct):
    """The counts of a source's records: stored now, known before, left out by the monitor."""

    found: int
    stored: int = 0
    known: int = 0
    left_out: int = 0


class LabelCounts(RecordCounts):
    """The same of its labels: unmatched without a prediction, refused as no labels."""

    unmatched: int = 0
    refused: int = 0


class ImportSummary(msgspec.Struct):
    """The result of an import; without ``imported`` nothing was stored."""

    source: str
    files: int
    imported: bool
    records: RecordCounts
    labels: LabelCounts
    invalid: int
    problems: list[str]


def import_source(
    settings: Settings, source: str, reading: Reading, window: Window | None, skip_invalid: bool
) -> ImportSummary:
    """Check a source, and store its records and labels.

    Parameters
    ----------
    source
        A folder, a file, or an address such as s3://bucket/prefix.
    window
        The window in which predictions of labels are searched; None for the records of the
        source and the week before the labels.
    skip_invalid
        Store the good lines of a source with bad ones.

    Raises
    ------
    ModelwatchError
        When there is no file to import.
    StoreError
        When a file or an object cannot be read or written.
    """
    now_ms = time.time_ns() // 1_000_000
    where = place(source, settings)
    with error_console.status("listing"):
        files = list(where.keys(importing.SUFFIX))
    if not files:
        raise ModelwatchError(f"{source} has no file that ends in {importing.SUFFIX}")
    client, bucket = s3_client(settings), settings.capture_bucket
    rules_of = import_rules(settings, client)
    store = S3RecordStore(client, bucket, held_segments(settings, client))
    with progress() as bar:
        task = bar.add_task("checking files", total=len(files))
        checked = importing.check(where, files, reading, now_ms, lambda: bar.advance(task))
        summary = ImportSummary(
            source=source,
            files=len(files),
            imported=skip_invalid or not checked.problem_count,
            records=RecordCounts(checked.records),
            labels=LabelCounts(checked.labels),
            invalid=checked.problem_count,
            problems=[str(problem) for problem in checked.problems],
        )
        if checked.records and summary.imported:
            task = bar.add_task("importing files", total=len(files))
            stored = importing.store_records(
                store, where, checked, reading, now_ms, lambda: bar.advance(task), rules_of
            )
            summary.records = RecordCounts(
                checked.records, stored.stored, stored.known, stored.left_out
            )
    if checked.labels and summary.imported:
        labels = list(importing.read_ground_truth(where, checked, reading, now_ms))
        searched = window or _searched(checked.first, [hour for hour, _ in labels if hour])
        with error_console.status("importing labels"):
            done = ground_truth.store_labels(
                S3LabelStore(client, bucket), store, labels, searched, now_ms, rules_of
            )
        summary.labels = LabelCounts(
            checked.labels, done.stored, done.known, done.left_out, done.unmatched, done.refused
        )
        summary.problems += done.problems
    return summary


def _searched(first: datetime | None, labelled: list[datetime]) -> Window:
    """Return the window of the labels' predictions: from a week before the first label on."""
    now = datetime.now(UTC)
    starts = [hour - _WEEK for hour in labelled] or [now - _WEEK]
    end = max(labelled) + _HOUR if labelled else now + _AHEAD
    return Window(min([*starts, *([first] if first else [])]), end)
