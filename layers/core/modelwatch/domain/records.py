"""The record of one prediction, as it travels from predict to the capture bucket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import msgspec

from modelwatch.domain.event_ids import is_event_id
from modelwatch.domain.names import Name, check_feature_names
from modelwatch.errors import InvalidInputError

Value = float | int | str | bool | None
"""A feature's value: a number, a string, a truth value, or null for a missing one."""

FUTURE_TOLERANCE_MS = 5 * 60 * 1000
"""How far ahead of our clock a caller's clock may be."""

PREDICT_SOURCE = "predict"
"""The source of predict's own records; what its capture policy dropped is missing in them."""


class Record(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One prediction.

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
        The model's answer; only in a record of predict's own may it be null, where it was dropped
        or where there is an ``error``.
    probabilities
        Of the classes, in the model's order; None where the model has none.
    latency_ms
        Time that the model took, in milliseconds.
    source
        Who sent it: ``predict``, or an external application's name.
    types
        Type of each feature in the order of ``features``, a letter each: d number, l whole number,
        s string, b truth value. Empty where nobody knows: then the values tell.
    sample_rate
        Share of the predictions that is captured, of which this is one; each stands for
        ``1 / sample_rate`` of them.
    lost_before
        Records of the same version and variant that its sender could not hand over, since the last
        one that it could.
    error
        Why the model gave no prediction that can be used; then ``prediction`` is null. Only in a
        record of predict's own.
    """

    event_id: str
    captured_at: datetime
    model_name: Name
    model_version: Name
    features: Annotated[dict[str, Value], msgspec.Meta(max_length=10_000)]
    prediction: float | int | str | bool | None
    variant: str = ""
    probabilities: list[float] | None = None
    latency_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    source: str = "external"
    types: Annotated[str, msgspec.Meta(pattern="^[dlsb]*$")] = ""
    sample_rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    lost_before: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    error: Annotated[str, msgspec.Meta(max_length=200)] = ""

    @property
    def captured_at_ms(self) -> int:
        """``captured_at`` in milliseconds since 1970."""
        return int(self.captured_at.timestamp() * 1000)


class Refusal(NamedTuple):
    """An element of a list that is no record: its JSON text, and what is wrong with it."""

    body: str
    error: InvalidInputError


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)
_list_decoder = msgspec.json.Decoder(list[Record])
_many_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def encode_record(record: Record) -> bytes:
    """Return ``record`` as JSON."""
    return _encoder.encode(record)


def decode_record(body: bytes | str, now_ms: int) -> Record:
    """Read one record from JSON and check what its types alone cannot say.

    Parameters
    ----------
    body
        JSON text of one record.
    now_ms
        The present, in milliseconds since 1970: a record from the future is refused.

    Raises
    ------
    InvalidInputError
        When it is not JSON, or breaks the contract; names the field.
    """
    try:
        record = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_json(error) from None
    return _checked(record, now_ms)


def _checked(record: Record, now_ms: int) -> Record:
    if not is_event_id(record.event_id):
        raise InvalidInputError("event_id", f"'{record.event_id[:60]}' is not a UUID")
    if record.source != PREDICT_SOURCE:
        if not record.features:
            raise InvalidInputError("features", "is empty; give one feature or more")
        check_feature_names(record.features)
        if record.prediction is None:
            raise InvalidInputError("prediction", "is null; expected a number, string or boolean")
        if record.error:
            raise InvalidInputError("error", "is only for records of predict's own")
    if record.error and record.prediction is not None:
        raise InvalidInputError("error", "stands beside a prediction; give one of the two")
    if record.captured_at.tzinfo is None:
        raise InvalidInputError("captured_at", "has no time zone; end it with 'Z' for UTC")
    if record.types and len(record.types) != len(record.features):
        problem = f"has {len(record.types)} letters for {len(record.features)} features"
        raise InvalidInputError("types", problem)
    if not 1970 < record.captured_at.year < 9999:
        # the year 1 is in another year elsewhere, and an object's name holds no time before 1970
        raise InvalidInputError("captured_at", f"{record.captured_at.isoformat()} is no such time")
    if record.captured_at.tzinfo is not UTC:
        record.captured_at = record.captured_at.astimezone(UTC)
    if record.captured_at.timestamp() * 1000 > now_ms + FUTURE_TOLERANCE_MS:
        raise InvalidInputError("captured_at", f"{record.captured_at.isoformat()} is in the future")
    return record


def decode_records(body: bytes | str, now_ms: int) -> list[Record]:
    """Read a JSON list of records, or one record alone.

    Raises
    ------
    InvalidInputError
        For the first element that breaks the contract; the field starts with its index.
    """
    records, refusals = sort_records(body, now_ms)
    if refusals:
        raise refusals[0].error
    return records


def sort_records(body: bytes | str, now_ms: int) -> tuple[list[Record], list[Refusal]]:
    """Read a JSON list of records, or one record alone, and part the good from the others.

    Returns
    -------
    tuple[list[Record], list[Refusal]]
        The records, and the elements of the list that break the contract, both in the list's
        order; the field of a refusal starts with the element's index.

    Raises
    ------
    InvalidInputError
        When it is no JSON, or one record alone that breaks the contract.
    """
    body = body.encode() if isinstance(body, str) else body
    if not body.lstrip().startswith(b"["):
        return [decode_record(body, now_ms)], []
    try:
        # most lists are good, and read at once in half the time
        return [_checked(record, now_ms) for record in _list_decoder.decode(body)], []
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidInputError):
        return _sort_elements(body, now_ms)


def _sort_elements(body: bytes, now_ms: int) -> tuple[list[Record], list[Refusal]]:
    try:
        elements = _many_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_json(error) from None
    records = []
    refusals = []
    for index, element in enumerate(elements):
        try:
            records.append(decode_record(bytes(element), now_ms))
        except InvalidInputError as error:
            field = f"[{index}].{error.field}" if error.field else f"[{index}]"
            text = bytes(element).decode(errors="replace")
            refusals.append(Refusal(text, InvalidInputError(field, error.problem)))
    return records, refusals


def invalid_json(error: Exception) -> InvalidInputError:
    """Turn msgspec's complaint into ours: the JSON path becomes the field.

    Examples
    --------
    >>> invalid_json(ValueError("Expected `str`, got `int` - at `$.features.alcohol`")).field
    'features.alcohol'
    """
    problem, _, path = str(error).partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".")
    return InvalidInputError("" if field.startswith("key") else field, problem.replace("`", "'"))
