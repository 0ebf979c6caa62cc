"""What capture needs from outside: queues, and stores of records and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import date, datetime

    import pyarrow as pa

    from modelwatch.domain.blocks import Block
    from modelwatch.domain.labels import Label
    from modelwatch.domain.model_capture import MonitorCapture
    from modelwatch.domain.records import Record
    from modelwatch.domain.windows import Window
from modelwatch.ports.metrics import Sample


class WaitingRecords(Protocol):
    """Records that wait to be sent with later ones."""

    def due_in(self) -> float | None:
        """Return in how many seconds they are due, or None when there are none."""
        ...

    def flush(self, *, is_last: bool = False) -> list[Sample]:
        """Send them now; return what became of them. After the last time none wait."""
        ...


class CaptureMonitors(Protocol):
    """Says what models' monitors say of their capture."""

    def of(self, model_name: str) -> MonitorCapture | None:
        """Return what holds now for a model; None: its monitor says nothing, or it has none.

        Raises
        ------
        StoreError
            When the store does not respond.
        MonitorError
            When what is there cannot be read.
        """
        ...


class RecordQueue(Protocol):
    """Takes records on their way to the store."""

    def send(self, records: Sequence[Record]) -> None:
        """Hand ``records`` over; raises QueueError when any was not taken.

        Raises RecordTooLargeError when some are larger than it ever takes: then none was taken.
        """
        ...


class Deliveries(Protocol):
    """Messages that the queue has delivered and that are not done with."""

    def release(self, delays_seconds: Mapping[str, int]) -> None:
        """Let messages be delivered again after a while each, by receipt; never raises.

        What cannot be released comes again when the queue's own time for it is over.
        """
        ...


class LabelQueue(Protocol):
    """Takes labels on their way to the store."""

    def send(self, labels: Sequence[Label]) -> None:
        """Hand ``labels`` over; raises QueueError when any was not taken."""
        ...


class LabelWriter(Protocol):
    """Keeps labels, by the hour of their predictions."""

    def write(self, labels: Sequence[Label]) -> str:
        """Store labels of one hour; the same labels again change nothing.

        Returns the name of the stored object; raises StoreError when it cannot be written.
        """
        ...


class LabelStore(LabelWriter, Protocol):
    """Gives the labels back, too."""

    def objects(self, day: date) -> dict[datetime, list[str]]:
        """Return the names of what is stored for a day, sorted, by the hour of the predictions.

        What is behind a name never changes.
        """
        ...

    def read(self, names: Sequence[str]) -> pa.Table:
        """Return the labels that hold among those behind ``names``, one a prediction, by its id.

        The columns are ``event_id``, ``predicted_at``, ``labelled_at``, ``label`` (the number),
        ``label_text``, ``source`` and ``label_cell`` (see `Label.cell`).
        """
        ...


class DeadLetters(Protocol):
    """Keeps the messages, and records of messages, that cannot be used, for people to look at."""

    def put(self, message_id: str, body: str, reason: str) -> None:
        """Keep ``body``, from a message, and why it cannot be used.

        Raises QueueError when it was not taken.
        """
        ...


class RecordStore(Protocol):
    """Keeps captured records, by model version and hour."""

    def write(self, records: Sequence[Record] | Sequence[Block]) -> str:
        """Store records of one model version and hour; the same records again change nothing.

        Returns the name of the stored object; raises StoreError when it cannot be written.
        """
        ...

    def versions(self, window: Window) -> list[tuple[str, str]]:
        """Return (model name, version) of everything captured in ``window``, sorted."""
        ...

    def read(self, model_name: str, model_version: str, window: Window) -> pa.Table:
        """Return the distinct records of a version in ``window`` (columns: `records.parquet`)."""
        ...
