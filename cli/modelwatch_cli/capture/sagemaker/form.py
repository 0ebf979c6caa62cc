"""SageMaker's form of captured data: JSON lines, and the keys of their files.

``<prefix>/<endpoint>/<variant>/yyyy/mm/dd/hh/<minute>-<second>-<ms>-<uuid>.jsonl`` has a line for
each request, with its input, output and time. Sources: the pages "Capture data from real-time
endpoint", "Preprocessing and Postprocessing" and "Ingest Ground Truth labels" of the Amazon
SageMaker AI developer guide.

A line has no field for some fields of a record (version, milliseconds, latency, types). They are in
``eventMetadata.customAttributes``, where SageMaker keeps its callers' own data.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from modelwatch.domain.names import Name
from modelwatch.domain.records import FIELDS, Record, Types
from modelwatch_cli.capture.cells import write_row

DEFAULT_VARIANT = "AllTraffic"
"""SageMaker's name for the only variant; a record whose variant is not known has it, too."""

LINES_PER_FILE = 10_000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""


class Encoding(StrEnum):
    """How payloads are written."""

    CSV = "csv"
    JSON = "json"


class Payload(msgspec.Struct, rename="camel", omit_defaults=True):
    """An input or an output: text in its encoding (CSV, JSON, or BASE64 of either)."""

    data: Any
    encoding: str
    observed_content_type: str | None = None
    mode: str = ""


class CaptureData(msgspec.Struct, rename="camel", omit_defaults=True):
    """The input and the output of a request; each may be missing."""

    endpoint_input: Payload | None = None
    endpoint_output: Payload | None = None


class EventMetadata(msgspec.Struct, rename="camel", omit_defaults=True):
    """``event_id`` is SageMaker's, ``inference_id`` its caller's."""

    event_id: str = ""
    inference_id: str | None = None
    custom_attributes: list[str] | str | None = None
    inference_time: datetime | None = None


class Line(msgspec.Struct, rename="camel", omit_defaults=True):
    """A captured request, or the ground truth of one."""

    event_metadata: EventMetadata
    capture_data: CaptureData | None = None
    ground_truth_data: Payload | None = None
    event_version: str = msgspec.field(default="")


class Attributes(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The fields of a record that SageMaker does not have: these, and the others of `OWN_FIELDS`.

    ``probabilities`` is the number of columns with probabilities after the prediction in a CSV
    output; None if the model has none.
    """

    model_name: Name
    model_version: Name
    captured_at_ms: Annotated[int, msgspec.Meta(ge=0, le=_LAST_MS)]
    # old captures have any text in these two
    variant: str = ""
    source: str = "external"
    types: Types = ""
    probabilities: Annotated[int, msgspec.Meta(ge=0)] | None = None


OWN_FIELDS = tuple(field.name for field in FIELDS.values() if not field.form.sagemaker)
"""The fields of a record for which SageMaker has no place."""

ATTRIBUTES = msgspec.defstruct(
    "AllAttributes",
    [
        (name, FIELDS[name].type, FIELDS[name].default)
        for name in OWN_FIELDS
        if name not in Attributes.__struct_fields__
    ],
    bases=(Attributes,),
    kw_only=True,
)


def encode_line(record: Record, encoding: Encoding, header: bool = False) -> bytes:
    """Return ``record`` as SageMaker writes it, without an end of line.

    The prediction is the first column of a CSV output, its probabilities are the others; in JSON
    they are ``prediction`` and ``probabilities``. What was not captured is left out.

    Parameters
    ----------
    header
        Put the features' names above their values; CSV alone.
    """
    probabilities = record.probabilities
    if encoding is Encoding.CSV:
        rows = [write_row(list(record.features))] if header else []
        rows.append(write_row(list(record.features.values())))
        # a row of one null is empty; the end of its line shows that it is there
        given = "\n".join(rows) + ("" if rows[-1] else "\n")
        result = write_row([record.prediction, *(probabilities or ())])
    else:
        output: dict[str, Any] = {"prediction": record.prediction}
        if probabilities is not None:
            output["probabilities"] = probabilities
        given, result = _json(record.features), _json(output)
    kind = "text/csv" if encoding is Encoding.CSV else "application/json"
    has_output = record.prediction is not None or probabilities is not None
    captured = CaptureData(
        Payload(given, encoding.upper(), kind, "INPUT") if record.features else None,
        Payload(result, encoding.upper(), kind, "OUTPUT") if has_output else None,
    )
    attributes = ATTRIBUTES(
        captured_at_ms=record.captured_at_ms,
        probabilities=None if probabilities is None else len(probabilities),
        **{name: getattr(record, name) for name in OWN_FIELDS},
    )
    line = Line(
        capture_data=captured,
        event_metadata=EventMetadata(
            event_id=record.event_id,
            inference_id=record.event_id,
            custom_attributes=[_json({"modelwatch": attributes})],
            inference_time=record.captured_at.replace(microsecond=0),
        ),
        event_version="0",
    )
    return msgspec.json.encode(line)


def files(
    records: Iterable[Record], encoding: Encoding, header: bool = False
) -> Iterator[tuple[str, bytes, int]]:
    """Divide records into files as SageMaker does.

    Parameters
    ----------
    records
        Records of one model version and hour.

    Yields
    ------
    tuple[str, bytes, int]
        Key below the prefix, content, and number of lines. The same records give the same keys and
        contents, in any order.
    """
    variants: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda each: (each.captured_at, each.event_id)):
        variants.setdefault(record.variant or DEFAULT_VARIANT, []).append(record)
    for variant, members in variants.items():
        for start in range(0, len(members), LINES_PER_FILE):
            part = members[start : start + LINES_PER_FILE]
            content = b"\n".join(encode_line(record, encoding, header) for record in part)
            yield _key(variant, part), content + b"\n", len(part)


def _key(variant: str, records: Sequence[Record]) -> str:
    first = records[0]
    at = first.captured_at
    ids = "".join(f"{record.model_version}/{record.event_id}\n" for record in records)
    name = uuid.UUID(bytes=hashlib.sha256(ids.encode()).digest()[:16], version=4)
    return (
        f"{quote(first.model_name, safe=' ')}/{quote(variant, safe=' ')}/{at:%Y/%m/%d/%H}/"
        f"{at:%M-%S}-{at.microsecond // 1000:03}-{name}.jsonl"
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
