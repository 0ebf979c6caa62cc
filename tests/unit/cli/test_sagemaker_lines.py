"""SageMaker's JSON lines: what is written is read back, and what SageMaker writes is understood."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any_records import records, values
from modelwatch.domain.event_ids import is_event_id
from modelwatch.domain.records import Record
from modelwatch.errors import InvalidInputError
from modelwatch_cli.capture.cells import read_rows, value_of, write_row
from modelwatch_cli.capture.sagemaker.form import Encoding, encode_line, files
from modelwatch_cli.capture.sagemaker.lines import GroundTruth, decode_line, id_of_row
from modelwatch_cli.capture.sagemaker.payloads import Reading

NOW_MS = 1_800_000_000_000
EVENT_ID = "018bcfe5-6800-7000-8000-000000000001"
WINE = Reading("wine", "3", "AllTraffic", ("alcohol", "colour"))


def typed(record: Record) -> list[tuple[type, Any]]:
    """Return the values with their types: to Python, True is 1, and 1 is 1.0."""
    return [(type(value), value) for value in [*record.features.values(), record.prediction]]


@given(st.lists(values, min_size=1))
@settings(deadline=None)
def test_a_row_of_cells_is_read_back(row):
    (cells,) = read_rows(write_row(row))
    read = [str(cell) if cell.quoted else value_of(cell) for cell in cells]
    assert [(type(value), value) for value in read] == [(type(value), value) for value in row]


@given(records(), st.sampled_from(Encoding))
@settings(deadline=None)
def test_a_record_is_read_back_as_it_was(record, encoding):
    line = encode_line(record, encoding)
    (read,) = decode_line(line, Reading(feature_names=tuple(record.features)), NOW_MS)
    assert read == record
    assert typed(read) == typed(record)


@given(records())
@settings(deadline=None)
def test_a_header_brings_the_names(record):
    line = encode_line(record, Encoding.CSV, header=True)
    (read,) = decode_line(line, Reading(header=True), NOW_MS)
    assert (read, typed(read)) == (record, typed(record))


@given(st.lists(records(), max_size=5), st.randoms())
@settings(deadline=None)
def test_the_same_records_lie_in_the_same_files(given_records, random):
    first = list(files(given_records, Encoding.JSON))
    random.shuffle(given_records)
    assert list(files(given_records, Encoding.JSON)) == first
    assert sum(count for *_, count in first) == len(given_records)


def test_lines_and_keys_look_as_sagemaker_writes_them():
    record = Record(
        event_id=EVENT_ID,
        captured_at=datetime(2026, 1, 11, 17, 5, 39, 42_000, tzinfo=UTC),
        model_name="wine",
        model_version="3",
        features={"alcohol": 13.5, "colour": "red"},
        prediction=2,
    )
    ((key, content, lines),) = files([record], Encoding.CSV)
    assert key.startswith("wine/AllTraffic/2026/01/11/17/05-39-042-")
    assert uuid.UUID(key.removesuffix(".jsonl")[-36:]).version == 4
    assert (content.count(b"\n"), lines) == (1, 1)
    line = json.loads(content)
    (attributes,) = line["eventMetadata"].pop("customAttributes")
    assert json.loads(attributes)["modelwatch"]["captured_at_ms"] == record.captured_at_ms
    assert line == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv",
                "mode": "INPUT",
                "data": "13.5,red",
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": "text/csv",
                "mode": "OUTPUT",
                "data": "2",
                "encoding": "CSV",
            },
        },
        "eventMetadata": {
            "eventId": EVENT_ID,
            "inferenceId": EVENT_ID,
            "inferenceTime": "2026-01-11T17:05:39Z",
        },
        "eventVersion": "0",
    }


def captured(
    given: object,
    came: object,
    encoding: str = "CSV",
    content_type: str = "text/csv",
    **metadata: object,
) -> bytes:
    """Return a line as an endpoint writes it."""
    sides = {"endpointInput": given, "endpointOutput": came}
    return msgspec.json.encode(
        {
            "captureData": {
                side: {
                    "observedContentType": content_type,
                    "mode": side.removeprefix("endpoint").upper(),
                    "data": data,
                    "encoding": encoding,
                }
                for side, data in sides.items()
                if data is not None
            },
            "eventMetadata": {
                "eventId": EVENT_ID,
                "inferenceTime": "2022-01-11T17:00:39Z",
                **metadata,
            },
            "eventVersion": "0",
        }
    )


def test_a_line_of_an_endpoint_is_a_record():
    (record,) = decode_line(captured("13.5,red\n", "0.0767"), WINE, NOW_MS)
    assert record == Record(
        event_id=EVENT_ID,
        captured_at=datetime(2022, 1, 11, 17, 0, 39, tzinfo=UTC),
        model_name="wine",
        model_version="3",
        features={"alcohol": 13.5, "colour": "red"},
        prediction=0.0767,
        variant="AllTraffic",
        source="sagemaker",
    )


@pytest.mark.parametrize(
    ("given_text", "encoding", "content_type"),
    [
        ('{"alcohol": 13.5, "colour": "red"}', "JSON", "application/json"),
        ({"alcohol": 13.5, "colour": "red"}, "JSON", "application/json"),
        ('[13.5, "red"]', "JSON", "application/json"),
        ('{"features": [13.5, "red"]}', "JSON", "application/json"),
        ('{"instances": [{"features": [13.5, "red"]}]}', "JSON", "application/json"),
        ('{"instances": [[13.5, "red"]]}', "JSON", "application/json; charset=utf-8"),
        ("13.5,red", "CSV", "text/csv"),
        ('"13.5","red"\r\n', "CSV", "text/csv"),
        ("13.5,red", "BASE64", "text/csv; charset=utf-8"),
        ('{"alcohol": 13.5, "colour": "red"}', "BASE64", "application/json"),
        ('{"alcohol": 13.5, "colour": "red"}\n', "BASE64", "application/jsonlines"),
    ],
)
def test_inputs_are_read_in_every_form(given_text, encoding, content_type):
    came = "1"
    if encoding == "BASE64":
        given_text = base64.b64encode(given_text.encode()).decode()
        came = base64.b64encode(b"1").decode()
    line = captured(given_text, came, encoding, content_type)
    (record,) = decode_line(line, WINE, NOW_MS)
    assert record.features == {"alcohol": 13.5, "colour": "red"}
    assert record.prediction == 1


@pytest.mark.parametrize(
    ("came", "reading", "prediction", "probabilities"),
    [
        ("[2]", {}, 2, None),
        ('{"prediction": "red", "probabilities": [0.5, 0.5]}', {}, "red", None),
        ('{"predictions": [{"score": 0.25}]}', {}, 0.25, None),
        (
            '{"predictions": [{"predicted_label": 1, "score": [0.25, 0.75]}]}',
            {"probability_attribute": "score"},
            1,
            [0.25, 0.75],
        ),
        (
            '{"out": {"label": "red", "p": 0.75}}',
            {"inference_attribute": "out.label", "probability_attribute": "out.p"},
            "red",
            [0.75],
        ),
    ],
)
def test_predictions_are_found(came, reading, prediction, probabilities):
    line = captured('[13.5, "red"]', came, "JSON", "application/json")
    (record,) = decode_line(line, replace(WINE, **reading), NOW_MS)
    assert (record.prediction, record.probabilities) == (prediction, probabilities)


def test_scores_that_are_no_probabilities_are_refused():
    reading = replace(WINE, inference_attribute="1", probability_attribute="0")
    with pytest.raises(InvalidInputError, match="sum 1"):
        decode_line(captured("1,red", "2.5,yes"), reading, NOW_MS)


def test_columns_of_an_output_are_chosen_by_their_places():
    reading = replace(WINE, inference_attribute="1", probability_attribute="0")
    (record,) = decode_line(captured("1,red", "0.75,yes"), reading, NOW_MS)
    assert (record.prediction, record.probabilities) == ("yes", [0.75])


@pytest.mark.parametrize("came", ["0.25\n0.75\n", "0.25,0.75"])
def test_a_request_of_several_rows_is_as_many_records(came):
    first, second = decode_line(captured("1,red\n2,\n", came), WINE, NOW_MS)
    assert (first.features["alcohol"], first.prediction) == (1, 0.25)
    assert (second.features, second.prediction) == ({"alcohol": 2, "colour": None}, 0.75)
    assert (first.event_id, second.event_id) == (EVENT_ID, id_of_row(EVENT_ID, 1))
    assert is_event_id(second.event_id)


def test_event_ids_follow_from_inference_ids():
    def event_id(model: str = "wine", **metadata: object) -> str:
        line = captured("1,red", "1", **metadata)
        (record,) = decode_line(line, replace(WINE, model_name=model), NOW_MS)
        return record.event_id

    other = "F0000000-0000-4000-8000-000000000002"
    assert event_id(inferenceId=other) == other.lower()
    assert event_id(inferenceId="42") == event_id(inferenceId="42")
    assert is_event_id(event_id(inferenceId="42"))
    assert event_id(inferenceId="42") != event_id(inferenceId="43")
    assert event_id(inferenceId="42") != event_id("beer", inferenceId="42")


def test_types_of_columns_are_kept():
    reading = replace(WINE, types={"alcohol": "l", "colour": "s"})
    (record,) = decode_line(captured("1.0,007", "1"), reading, NOW_MS)
    assert (record.features, record.types) == ({"alcohol": 1, "colour": "007"}, "ls")


def test_ground_truth_is_of_the_same_event():
    truth = {
        "groundTruthData": {"data": "red\n", "encoding": "CSV"},
        "eventMetadata": {"eventId": "42"},
        "eventVersion": "0",
    }
    (label,) = decode_line(msgspec.json.encode(truth), WINE, NOW_MS)
    (record,) = decode_line(captured("1,red", "1", inferenceId="42"), WINE, NOW_MS)
    assert label == GroundTruth("wine", record.event_id, "red")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "truncated"),
        (b'{"eventMetadata": {"eventId": "1"}}', "neither captureData nor groundTruthData"),
        (captured("1", "1"), "1 values for 2 feature names"),
        (captured("1,2\n3,4", "1"), "2 rows went in and 1 came out"),
        (captured('"1"2', "1"), "row 1 of the CSV has a quote in the wrong place"),
        (captured("1,2", None), "endpointOutput: was not captured"),
        (captured("1,2", ""), "has no prediction"),
        (captured("1,2", "0.1,0.2"), "give --inference-attribute"),
        (captured('{"a": {"b": 1}}', "1", "JSON"), "data.a: is nested"),
        (captured("{1}", "1", "JSON"), "is not JSON"),
        (captured("?", "?", "BASE64"), "is not text in BASE64"),
        (captured("AAAA", "AAAA", "BASE64", "image/png"), "'image/png' is neither CSV nor JSON"),
        (captured("1,2", "1", "XML"), "'XML' is none of CSV, JSON and BASE64"),
        (captured("1,2", "1", inferenceTime=None), "inferenceTime: is missing"),
        (captured("1,2", "1", inferenceTime="2027-02-01T00:00:00Z"), "is in the future"),
        (captured("1,2", "1", inferenceTime="2022-02-01T00:00:00"), "has no time zone"),
        (captured("1,2", "1", eventId=""), "neither inferenceId nor eventId"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(line, words):
    with pytest.raises(InvalidInputError, match=words):
        decode_line(line, WINE, NOW_MS)


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (Reading("", "3", "", ("a", "b")), "--model"),
        (Reading("wine", "", "", ("a", "b")), "--version"),
        (Reading("wine", "3"), "--feature-names"),
        (Reading("wine", "3", "", ("a", "a")), "name is there twice"),
        (Reading("wine", "3", "", ("a", "b"), types={"b": "d"}), "data.b: found 'red', expected"),
    ],
)
def test_what_no_one_said_is_asked_for(reading, words):
    with pytest.raises(InvalidInputError, match=words):
        decode_line(captured("1,red", "1"), reading, NOW_MS)
