"""The record of one prediction, as it travels from predict to the capture bucket."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, NamedTuple, get_args

import msgspec

from modelwatch.domain.faults import MOST_FAULTS, UNREADABLE, Blame, beyond_types, refusal
from modelwatch.domain.names import (
    EventId,
    Name,
    Source,
    VariantName,
    feature_name_faults,
    key_faults,
)
from modelwatch.domain.newer import without_unknown
from modelwatch.domain.numbers import Number, SampleRate, probabilities_problem
from modelwatch.errors import Fault, InvalidInputError

Value = Number | str | bool | None
"""A feature's value: a number, a string, a boolean, or null for a missing one."""

Types = Annotated[str, msgspec.Meta(pattern="^[dlsb]*$")]
"""Types of features, a letter each; see `Record.types`."""

FUTURE_TOLERANCE_MS = 5 * 60 * 1000
"""How far ahead of our clock a caller's clock may be."""

PREDICT_SOURCE = "predict"
"""The source of predict's own records; what its capture policy dropped is missing in them."""

MOST_LOST = 1_000_000
"""The most lost records that one record of another application may report: what is lost makes a
window ``unknown``."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Form(NamedTuple):
    """What a record's field is outside of JSON, where it has the field's own name.

    Attributes
    ----------
    packed
        Its list in a packed message, with a value a record. Empty: the message says it once, in its
        head, for all of its records.
    is_always_packed
        Whether a message has the list also where all of its records have the default.
    has_column
        Whether a column of the captures has the field's name and type.
    sagemaker
        Its place in a line of SageMaker's form. Empty: a custom attribute with the field's name.
    since
        The first version that has it. What is older, or does not say it, has the default.
    """

    packed: str = ""
    is_always_packed: bool = False
    has_column: bool = True
    sagemaker: str = ""
    since: str = "0.1.0"


_INPUT, _OUTPUT = "captureData.endpointInput", "captureData.endpointOutput"


class Record(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One prediction: the table of its fields, which all forms of a record follow (`FIELDS`).

    Attributes
    ----------
    event_id
        UUID, made by predict or by the caller; the same id twice is the same prediction.
    captured_at
        When it was made, in UTC, to the millisecond.
    model_name, model_version, variant
        What predicted, and the alias under which it served.
    features
        Value by feature name, as the model received it, or what the capture policy made of it.
        Only a record of predict's own may have none.
    prediction
        Of the model; only in a record of predict's own may it be null, where it was dropped or
        where there is an ``error``.
    probabilities
        Of the classes, in the model's order, from 0 to 1 with the sum 1; one alone is that of the
        second of two classes. None where the model has none.
    latency_ms
        Time that the model took, in milliseconds.
    source
        Who sent it: ``predict``, or an external application's name, which is another.
    types
        Type of each feature in the order of ``features``, a letter each: d number, l whole number,
        s string, b boolean. Empty where no one says it. A value of another type is kept as it
        is, apart from the others.
    sample_rate
        Share of the predictions that is captured, of which this is one; each stands for
        ``1 / sample_rate`` of them.
    lost_before
        Records of the same version and variant that its sender could not send, since the last
        one that it could.
    error
        Why the model gave no prediction that can be used; then ``prediction`` is null. Only in a
        record of predict's own.
    """

    event_id: Annotated[EventId, Form("ids", sagemaker="eventMetadata.inferenceId")]
    captured_at: Annotated[
        datetime, msgspec.Meta(tz=True), Form("at", sagemaker="eventMetadata.inferenceTime")
    ]
    model_name: Annotated[Name, Form(has_column=False)]
    model_version: Annotated[Name, Form(has_column=False)]
    variant: Annotated[VariantName, Form()] = ""
    features: Annotated[
        dict[str, Value],
        msgspec.Meta(max_length=10_000),
        Form("columns", has_column=False, sagemaker=_INPUT),
    ]
    prediction: Annotated[Value, Form("predictions", sagemaker=_OUTPUT)]
    probabilities: Annotated[list[float] | None, Form("probabilities", sagemaker=_OUTPUT)] = None
    latency_ms: Annotated[float, msgspec.Meta(ge=0), Form("latencies", is_always_packed=True)] = 0.0
    source: Annotated[Source, Form()] = "external"
    types: Annotated[Types, Form(has_column=False)] = ""
    sample_rate: Annotated[SampleRate, Form()] = 1.0
    lost_before: Annotated[int, msgspec.Meta(ge=0, le=2**53), Form("lost")] = 0
    error: Annotated[str, msgspec.Meta(max_length=200), Form("errors")] = ""

    @property
    def captured_at_ms(self) -> int:
        """``captured_at`` in milliseconds since 1970."""
        return (self.captured_at - _EPOCH) // _MILLISECOND


class RecordField(NamedTuple):
    """A field of `Record`.

    Attributes
    ----------
    type
        With what it is annotated with.
    value_type
        Without.
    meta
        What holds for its values beside the type.
    default
        `msgspec.NODEFAULT` where every record says it.
    """

    name: str
    type: Any
    value_type: Any
    meta: msgspec.Meta
    default: Any
    form: Form


def _field(field: msgspec.structs.FieldInfo) -> RecordField:
    value_type, *notes = get_args(field.type)
    meta = next((note for note in notes if isinstance(note, msgspec.Meta)), msgspec.Meta())
    form = next(note for note in notes if isinstance(note, Form))
    return RecordField(field.name, field.type, value_type, meta, field.default, form)


FIELDS = {field.name: _field(field) for field in msgspec.structs.fields(Record)}
"""The fields of a record by name, in the order of the columns."""

ROW_FIELDS = tuple(
    field for field in FIELDS.values() if field.form.packed and field.name != "features"
)
"""Those that differ from record to record, but for the features."""


class Refusal(NamedTuple):
    """An element of a list that is no record: its JSON text, and what is wrong with it."""

    body: str
    error: InvalidInputError


def all_of(refusals: Sequence[Refusal]) -> InvalidInputError:
    """Return what is wrong with all elements of a list as one error, of as much as one names."""
    faults = (fault for refusal in refusals for fault in refusal.error.faults)
    return InvalidInputError.of(list(islice(faults, MOST_FAULTS)))


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)
_list_decoder = msgspec.json.Decoder(list[Record])
_many_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def encode_record(record: Record) -> bytes:
    """Return ``record`` as JSON."""
    return _encoder.encode(record)


def decode_record(body: bytes | str, now_ms: int, *, is_ours: bool = False) -> Record:
    """Read one record from JSON and check what its types alone cannot say.

    Raises InvalidInputError when it is not JSON, or breaks the contract; names the field.

    Parameters
    ----------
    now_ms
        The present, in milliseconds since 1970: a record from the future is refused.
    is_ours
        Whether the body comes from our own queue, where a record's source is known to be true: one
        of predict's may lack features and prediction. Of what a caller sends, no record may.
        Fields that a newer release has added are left out; a caller's are refused.
    """
    try:
        record = _decoder.decode(body)
    except UNREADABLE as error:
        if is_ours and (known := without_unknown(body, Record)):
            return decode_record(known, now_ms, is_ours=True)
        raise refusal(
            body, Record, error, lambda value, found: _further(value, found, now_ms, is_ours)
        ) from None
    return _checked(record, now_ms, is_ours)


def _checked(record: Record, now_ms: int, is_ours: bool) -> Record:
    if faults := list(_faults(record, now_ms, is_ours)):
        raise InvalidInputError.of(faults)
    if record.captured_at.tzinfo is not UTC:
        record.captured_at = record.captured_at.astimezone(UTC)
    return record


def _faults(record: Record, now_ms: int, is_ours: bool) -> Iterator[Fault]:
    """Yield what types alone cannot say of a record."""
    for field in ("model_name", "model_version", "variant"):
        yield from key_faults(getattr(record, field), field)
    if not is_ours:
        # on the queue, that name excuses a record from what follows
        if record.source == PREDICT_SOURCE:
            yield Fault("source", "is the name of predict's own records; give another")
        if record.lost_before > MOST_LOST:
            yield Fault("lost_before", f"is more than {MOST_LOST:,}")
    if not is_ours or record.source != PREDICT_SOURCE:
        if not record.features:
            yield Fault("features", "is empty; give one feature or more")
        yield from feature_name_faults(record.features)
        if record.prediction is None:
            yield Fault("prediction", "is null; expected a number, string or boolean")
        if record.error:
            yield Fault("error", "is only for records of predict's own")
        # those of predict were checked, and its capture policy may have made them coarse
        if record.probabilities is not None and (
            problem := probabilities_problem(record.probabilities)
        ):
            yield Fault("probabilities", problem)
    if record.error and record.prediction is not None:
        yield Fault("error", "a record with a prediction has no error; give one of the two")
    if record.types and len(record.types) != len(record.features):
        problem = f"has {len(record.types)} letters for {len(record.features)} features"
        yield Fault("types", problem)
    yield from time_faults("captured_at", record.captured_at, now_ms)


def time_faults(field: str, time: datetime, now_ms: float = math.inf) -> Iterator[Fault]:
    """Yield what is wrong with a time that should have a time zone, and have been by ``now_ms``."""
    if time.tzinfo is None:
        yield Fault(field, "has no time zone; end it with 'Z' for UTC")
    # the year 1 is in another year elsewhere, and an object's name holds no time before 1970
    elif not (1 < time.year < 9999 and 1970 < time.astimezone(UTC).year < 9999):
        yield Fault(field, f"{time.isoformat()} is not a time from 1971 to 9998")
    elif time.timestamp() * 1000 > now_ms + FUTURE_TOLERANCE_MS:
        yield Fault(field, f"{time.isoformat()} is in the future")


_STAND_INS: Mapping[str, object] = {
    "event_id": "00000000-0000-4000-8000-000000000000",
    "captured_at": "2000-01-01T00:00:00Z",
    "model_name": "m",
    "model_version": "1",
    "features": {"f": 1},
    "prediction": 1,
    "source": PREDICT_SOURCE,
}
"""In the place of fields that are wrong or missing, when the others are checked."""


def _further(value: Any, found: Sequence[Blame], now_ms: int, is_ours: bool) -> Iterator[Fault]:
    """Yield what types cannot say of the fields that are of the right types."""
    if not isinstance(value, dict):
        return
    wrong = {blame.path[0] for blame in found}
    if "features" in wrong:
        wrong.add("types")  # no one knows how many there should be
    if "prediction" in wrong:
        wrong.add("error")  # which goes with null alone
    yield from beyond_types(
        value, wrong, Record, _STAND_INS, lambda record: _faults(record, now_ms, is_ours)
    )


def decode_records(body: bytes | str, now_ms: int) -> list[Record]:
    """Read a JSON list of records of a caller's, or one record alone.

    Raises InvalidInputError for the first `MOST_FAULTS` elements that break the contract; a field
    starts with its element's index.
    """
    records, refusals = sort_records(body, now_ms)
    if refusals:
        raise all_of(refusals)
    return records


def sort_records(
    body: bytes | str, now_ms: int, *, is_ours: bool = False
) -> tuple[list[Record], list[Refusal]]:
    """Read a JSON list of records, or one record alone, and part the good from the others.

    ``is_ours`` is as for `decode_record`.

    Raises InvalidInputError when it is no JSON, or one record alone that breaks the contract.

    Returns
    -------
    tuple[list[Record], list[Refusal]]
        The records, and the elements of the list that break the contract, both in the list's
        order; the field of a refusal starts with the element's index. A caller's list is not read
        further than its refusals are named.
    """
    body = body.encode() if isinstance(body, str) else body
    if not body.lstrip().startswith(b"["):
        return [decode_record(body, now_ms, is_ours=is_ours)], []
    try:
        # most lists are good, and read at once in half the time
        return [_checked(record, now_ms, is_ours) for record in _list_decoder.decode(body)], []
    except (*UNREADABLE, InvalidInputError):
        return _sort_elements(body, now_ms, is_ours)


def _sort_elements(body: bytes, now_ms: int, is_ours: bool) -> tuple[list[Record], list[Refusal]]:
    try:
        elements = _many_decoder.decode(body)
    except UNREADABLE as error:
        raise refusal(body, list[Record], error) from None
    records = []
    refusals = []
    for index, element in enumerate(elements):
        try:
            records.append(decode_record(bytes(element), now_ms, is_ours=is_ours))
        except InvalidInputError as error:
            text = bytes(element).decode(errors="replace")
            refusals.append(Refusal(text, error.within(f"[{index}]")))
            if not is_ours and len(refusals) == MOST_FAULTS:
                break  # no more are named: a caller's mistakes must not cost minutes
    return records, refusals
