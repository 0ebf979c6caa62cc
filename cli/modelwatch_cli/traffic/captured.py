"""Counts the predictions that have arrived on S3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.domain.sampling import is_sampled
from modelwatch.domain.windows import Window
from modelwatch.errors import ModelwatchError, NotFoundError
from modelwatch_cli.console import progress
from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic.labels import Predicted
from modelwatch_cli.waiting import wait_until

PATIENCE_SECONDS = 90
CLOCK_MARGIN = timedelta(minutes=1)
"""How much another machine's clock may differ from this one's."""

Version = tuple[str, str]
"""Name and version of a model."""


@dataclass(frozen=True, slots=True)
class Captured:
    """How many predictions should be on S3, and how many are."""

    wanted: int
    found: int

    @property
    def is_complete(self) -> bool:
        """Whether all are on S3."""
        return self.found == self.wanted


class CaptureCount:
    """Counts which of some predictions are on S3; each object is read once."""

    def __init__(
        self, store: S3RecordStore, wanted: Mapping[Version, set[str]], began: datetime
    ) -> None:
        self._store = store
        self._missing = {version: set(ids) for version, ids in wanted.items()}
        self._wanted = sum(map(len, self._missing.values()))
        self._began = began - CLOCK_MARGIN
        self._read: set[str] = set()

    def count(self) -> Captured:
        """Count again."""
        window = Window(self._began, datetime.now(UTC) + CLOCK_MARGIN)
        for (name, version), missing in self._missing.items():
            if not missing:
                continue
            for each in self._store.objects(name, version, window):
                if each.key in self._read:
                    continue
                try:
                    rows = self._store.rows(each.key)
                except NotFoundError:
                    continue  # merged into another object, which the next look lists
                self._read.add(each.key)
                missing.difference_update(rows["event_id"].to_pylist())
        return Captured(self._wanted, self._wanted - sum(map(len, self._missing.values())))


def captured_ids(settings: Settings, predicted: Iterable[Predicted]) -> dict[Version, set[str]]:
    """Return the event ids that capture samples (``CAPTURE_SAMPLE_RATE``), by version."""
    rate = settings.capture_sample_rate
    wanted: dict[Version, set[str]] = {}
    for each in predicted:
        if is_sampled(each.event_id, rate):
            wanted.setdefault((each.model_name, each.model_version), set()).add(each.event_id)
    return wanted


def wait_for_captures(
    settings: Settings,
    predicted: Iterable[Predicted],
    began: datetime,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Captured:
    """Wait until the predictions are on S3, with a progress bar; return how many are.

    Parameters
    ----------
    predicted
        The responses of the predict API.
    began
        When the first request was sent, in UTC.
    patience_seconds
        The longest time without a new prediction; then the current number is returned.
    """
    store = S3RecordStore(s3_client(settings), settings.capture_bucket)
    counting = CaptureCount(store, captured_ids(settings, predicted), began)
    captured = counting.count()
    with progress() as bar:
        task = bar.add_task("captured on S3", total=captured.wanted)

        def more() -> bool:
            nonlocal captured
            before, captured = captured, counting.count()
            bar.update(task, completed=captured.found)
            return captured.is_complete or captured.found > before.found

        while not captured.is_complete and wait_until(more, patience_seconds, every_seconds=0.5):
            pass
    return captured


def require_captured(captured: Captured, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Return if all predictions are on S3.

    Raises ModelwatchError when some are not.
    """
    if not captured.is_complete:
        raise ModelwatchError(
            f"{captured.found} of {captured.wanted} predictions were captured, and no other within "
            f"{patience_seconds:g} s; see `modelwatch logs capture`"
        )
