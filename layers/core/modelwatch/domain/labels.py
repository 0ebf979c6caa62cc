"""Ground truth: what a prediction should have been, sent when it is known.

A label belongs to the hour in which its prediction was made. That is ``predicted_at`` where it is
given, and else the time in the prediction's id, if that is a UUID of version 7. Labels come late,
come again and are corrected: of several for one prediction, `rank` says which holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from modelwatch.domain.event_ids import event_time_ms, is_event_id
from modelwatch.domain.faults import MOST_FAULTS, UNREADABLE, Blame, beyond_types, refusal
from modelwatch.domain.names import EventId, Source
from modelwatch.domain.newer import without_unknown
from modelwatch.domain.numbers import Number, exact_whole, is_number
from modelwatch.domain.records import FUTURE_TOLERANCE_MS, Refusal, all_of, time_faults
from modelwatch.errors import Fault, InvalidInputError

MAX_LABELS = 10_000
"""Most labels in one request."""

LONGEST_LABEL = 1000
"""Most characters of a label."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Label(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The ground truth of one prediction.

    Attributes
    ----------
    event_id
        The prediction's id.
    label
        What is true: a class as a number, string or boolean, or a measured number.
    labelled_at
        When that was found out, in UTC; in a decoded label never None.
    predicted_at
        When the prediction was made, in UTC; in a decoded label never None.
    source
        Who says so.
    cell
        The text that ``label`` was read from where nothing gave its type, as in a CSV file: what a
        prediction that is a text is compared with. None where it is ``label`` as text.
    """

    event_id: EventId
    label: Number | bool | Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_LABEL)]
    labelled_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    predicted_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    source: Source = "external"
    cell: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_LABEL)] | None = None

    @property
    def labelled_at_ms(self) -> int:
        """``labelled_at`` in milliseconds since 1970."""
        return _milliseconds(self.labelled_at or _EPOCH)

    @property
    def predicted_at_ms(self) -> int:
        """``predicted_at`` in milliseconds since 1970."""
        return _milliseconds(self.predicted_at or _EPOCH)

    @property
    def hour(self) -> datetime:
        """Start of the hour in which the prediction was made, in UTC."""
        return (self.predicted_at or _EPOCH).replace(minute=0, second=0, microsecond=0)

    @property
    def number(self) -> float | None:
        """The label as a number; None where it is a string."""
        return None if isinstance(self.label, str) else float(self.label)

    @property
    def text(self) -> str:
        """The label as text, as `prediction_label` writes predictions."""
        return as_text(self.label)


class LabelMessage(msgspec.Struct):
    """Labels on their way through the capture queue.

    A message of records is a list, or a record alone, which may not have a field ``labels``: so
    one look separates the two.
    """

    labels: list[msgspec.Raw]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Label)
_message_decoder = msgspec.json.Decoder(LabelMessage)
_many_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_keys_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def as_text(value: Number | str | bool) -> str:
    """Return a prediction or label as the text by which classes are distinguished.

    A whole number of 64 bits has its digits, whatever type holds it.

    Examples
    --------
    >>> as_text(2), as_text(2.0), as_text(True), as_text("red"), as_text(-0.0)
    ('2', '2', 'true', 'red', '0')
    >>> as_text(1e17), as_text(10**17), as_text(0.5)
    ('100000000000000000', '100000000000000000', '0.5')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, float):
        return str(value)
    whole = exact_whole(value)
    return f"{value:.17g}" if whole is None else str(whole)


def rank(label: Label) -> tuple[int, str, bool, str, str]:
    """Return what orders the labels of one prediction: the greatest holds.

    The newest wins; of two from the same millisecond, one wins that does not depend on the order
    in which they came.
    """
    is_text = isinstance(label.label, str)
    return label.labelled_at_ms, label.text, is_text, label.source, label.cell or ""


def newest(labels: Iterable[Label]) -> list[Label]:
    """Return the label that holds for each prediction, by event id.

    Examples
    --------
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> first = Label(event_id="a", label=1, labelled_at=at)
    >>> later = Label(event_id="a", label=2, labelled_at=at + timedelta(days=3))
    >>> [label.label for label in newest([later, first, later])]
    [2]
    """
    held: dict[str, Label] = {}
    for label in labels:
        other = held.setdefault(label.event_id, label)
        if rank(label) > rank(other):
            held[label.event_id] = label
    return [held[event_id] for event_id in sorted(held)]


def encode_label(label: Label) -> bytes:
    """Return ``label`` as JSON."""
    return _encoder.encode(label)


def decode_label(body: bytes | str, now_ms: int, *, is_ours: bool = False) -> Label:
    """Read one label from JSON, and fill in both of its times.

    Raises InvalidInputError when it is not JSON, breaks the contract, or does not say when the
    prediction was made; names the field.

    Parameters
    ----------
    now_ms
        The present, in milliseconds since 1970: ``labelled_at`` of a label that has none.
    is_ours
        Whether it comes from our own queue: fields of a newer release are left out.
    """
    try:
        label = _decoder.decode(body)
    except UNREADABLE as error:
        if is_ours and (known := without_unknown(body, Label)):
            return decode_label(known, now_ms)
        raise refusal(
            body, Label, error, lambda value, found: _further(value, found, now_ms)
        ) from None
    return check_label(label, now_ms)


def check_label(label: Label, now_ms: int) -> Label:
    """Check what types alone cannot say of ``label``, and fill in its times; see `decode_label`."""
    if faults := list(_faults(label, now_ms)):
        raise InvalidInputError.of(faults)
    label.event_id = label.event_id.lower()
    label.labelled_at = _in_utc(label.labelled_at or _EPOCH + timedelta(milliseconds=now_ms))
    predicted_at = label.predicted_at
    if predicted_at is None:
        predicted_at = _EPOCH + timedelta(milliseconds=event_time_ms(label.event_id) or 0)
    label.predicted_at = _in_utc(predicted_at)
    return label


def _faults(label: Label, now_ms: int) -> Iterator[Fault]:
    is_id = is_event_id(label.event_id)
    if not is_id:
        yield Fault("event_id", f"'{label.event_id[:60]}' is not a UUID")
    if not isinstance(label.label, str | bool) and not is_number(label.label):
        yield Fault("label", "is not a finite number of 64 bits")
    if label.labelled_at is not None:
        yield from time_faults("labelled_at", label.labelled_at, now_ms)
    if label.predicted_at is not None:
        yield from time_faults("predicted_at", label.predicted_at, now_ms)
    elif is_id:
        predicted_ms = event_time_ms(label.event_id)
        if predicted_ms is None:
            yield Fault(
                "predicted_at",
                "is missing: the event_id is not a UUID of version 7, which would say when the "
                "prediction was made; give the timestamp of the prediction's response",
            )
        elif predicted_ms > now_ms + FUTURE_TOLERANCE_MS:
            problem = "is missing, and the time in the event_id is in the future"
            yield Fault("predicted_at", problem)


_STAND_INS: Mapping[str, object] = {
    "event_id": "018bcfe5-6800-7000-8000-000000000000",
    "label": 1,
}
"""In the place of fields that are wrong or missing, when the others are checked."""


def _further(value: Any, found: Sequence[Blame], now_ms: int) -> Iterator[Fault]:
    """Yield what types cannot say of the fields that are of the right types."""
    if not isinstance(value, dict):
        return
    wrong = {blame.path[0] for blame in found}
    yield from beyond_types(value, wrong, Label, _STAND_INS, lambda label: _faults(label, now_ms))


def decode_labels(body: bytes, now_ms: int) -> list[Label]:
    """Read a JSON list of labels, or one label alone.

    Raises InvalidInputError for the first `MOST_FAULTS` labels that break the contract (a field
    starts with its label's index), and for a list that is empty or longer than `MAX_LABELS`.
    """
    if not body.lstrip().startswith(b"["):
        return [decode_label(body, now_ms)]
    try:
        elements = _many_decoder.decode(body)
    except UNREADABLE as error:
        raise refusal(body, list[Label], error) from None
    if not elements:
        raise InvalidInputError("", "the list is empty")
    if len(elements) > MAX_LABELS:
        problem = f"the list has {len(elements)} labels; at most {MAX_LABELS} are taken at once"
        raise InvalidInputError("", problem)
    return _decode_each(elements, now_ms)


def is_label_message(body: str) -> bool:
    """Return whether a message of the capture queue is one of labels.

    Examples
    --------
    >>> is_label_message('{"labels": []}'), is_label_message('[]'), is_label_message('{')
    (True, False, False)
    """
    # nearly all messages are of records: they are recognized without being read
    if '"labels"' not in body or not body.lstrip().startswith("{"):
        return False
    try:
        return "labels" in _keys_decoder.decode(body)
    except UNREADABLE:
        return False


def sort_label_message(body: str, now_ms: int) -> tuple[list[Label], list[Refusal]]:
    """Read the labels of a message, and part the good from the others; see `sort_records`.

    A refusal's body is a message of the one label.

    Raises InvalidInputError when it is no such message.
    """
    try:
        message = _message_decoder.decode(body)
    except UNREADABLE as error:
        raise refusal(body, LabelMessage, error) from None
    labels, refusals = _sort(message.labels, now_ms, is_ours=True)
    return labels, [Refusal(f'{{"labels":[{body}]}}', error) for body, error in refusals]


def _decode_each(elements: Iterable[Any], now_ms: int) -> list[Label]:
    labels, refusals = _sort(elements, now_ms, is_ours=False)
    if refusals:
        raise all_of(refusals)
    return labels


def _sort(
    elements: Iterable[Any], now_ms: int, *, is_ours: bool
) -> tuple[list[Label], list[Refusal]]:
    labels = []
    refusals = []
    for index, element in enumerate(elements):
        try:
            labels.append(decode_label(bytes(element), now_ms, is_ours=is_ours))
        except InvalidInputError as error:
            text = bytes(element).decode(errors="replace")
            refusals.append(Refusal(text, error.within(f"[{index}]")))
            if not is_ours and len(refusals) == MOST_FAULTS:
                break  # no more are named
    return labels, refusals


def _in_utc(time: datetime) -> datetime:
    """Return ``time`` in UTC to the millisecond."""
    time = time.astimezone(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)
