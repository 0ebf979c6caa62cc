"""Records as JSON: what is taken, and what is refused."""

import json
from datetime import UTC, datetime

import pytest

from modelwatch.domain.event_ids import are_event_ids, is_event_id, new_event_id
from modelwatch.domain.records import decode_record, decode_records, encode_record, sort_records
from modelwatch.errors import InvalidInputError

NOW_MS = 1_800_000_000_000
BODY = {
    "event_id": "018bcfe5-6800-7000-8000-000000000000",
    "captured_at": "2026-11-23T09:00:00.123+01:00",
    "model_name": "wine",
    "model_version": "1",
    "features": {"alcohol": 13.5, "colour": "red", "hue": None},
    "prediction": 2,
}


def refusal(**changes):
    with pytest.raises(InvalidInputError) as caught:
        decode_record(json.dumps({**BODY, **changes}), NOW_MS)
    return caught.value


def test_a_record_survives_the_way_through_json():
    record = decode_record(json.dumps(BODY), NOW_MS)
    assert record.captured_at == datetime(2026, 11, 23, 8, 0, 0, 123000, tzinfo=UTC)
    assert decode_record(encode_record(record), NOW_MS) == record


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"event_id": "7"}, "event_id"),
        ({"captured_at": "2026-11-23T09:00:00"}, "captured_at"),
        ({"captured_at": "2099-01-01T00:00:00Z"}, "captured_at"),
        ({"captured_at": "0001-01-01T00:00:00+14:00"}, "captured_at"),
        ({"captured_at": "9999-12-31T23:59:59-14:00"}, "captured_at"),
        ({"captured_at": "1970-01-01T00:00:00+14:00"}, "captured_at"),
        ({"captured_at": "1971-01-01T00:30:00+01:00"}, "captured_at"),
        ({"captured_at": "yesterday"}, "captured_at"),
        ({"model_name": "../../etc"}, "model_name"),
        ({"model_name": ".."}, "model_name"),
        ({"model_version": ""}, "model_version"),
        ({"model_version": "."}, "model_version"),
        ({"features": {}}, "features"),
        ({"features": {"a": [1]}}, "features.a"),
        ({"features": {"a": 1, "b": 10**400}}, "features.b"),
        ({"features": {"b": 2**63}}, "features.b"),
        ({"prediction": 2**63}, "prediction"),
        ({"latency_ms": 10**400}, "latency_ms"),
        ({"prediction": None}, "prediction"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"sample_rate": 1e-300}, "sample_rate"),
        ({"probabilities": [-1.5, 2.5]}, "probabilities"),
        ({"probabilities": [0.75, 0.75]}, "probabilities"),
        ({"probabilities": [1.5]}, "probabilities"),
        ({"probabilities": []}, "probabilities"),
    ],
)
def test_a_field_that_is_wrong_is_named(changes, field):
    assert refusal(**changes).field == field


@pytest.mark.parametrize("probabilities", [[0.25, 0.75], [1.0, 0.0, 0.0], [0.75], [0.3333] * 3])
def test_probabilities_are_taken_as_they_are(probabilities):
    record = decode_record(json.dumps({**BODY, "probabilities": probabilities}), NOW_MS)
    assert record.probabilities == probabilities


def test_probabilities_that_predict_made_coarse_are_taken_from_our_own_queue():
    coarse = {**BODY, "source": "predict", "probabilities": [0.0, 0.5]}
    assert decode_record(json.dumps(coarse), NOW_MS, is_ours=True).probabilities == [0.0, 0.5]


def test_what_is_no_record_is_refused():
    for body in (b"", b"{", b"7", b'{"a": NaN}', b"\xff", b"[" * 100_000):
        with pytest.raises(InvalidInputError):
            decode_record(body, NOW_MS)


def test_a_list_says_which_element_is_wrong():
    assert len(decode_records(json.dumps([BODY, BODY]), NOW_MS)) == 2
    assert len(decode_records(json.dumps(BODY), NOW_MS)) == 1
    with pytest.raises(InvalidInputError) as caught:
        decode_records(json.dumps([BODY, {**BODY, "latency_ms": "x"}]), NOW_MS)
    assert caught.value.field == "[1].latency_ms"


def test_a_list_is_parted_into_records_and_refusals_with_their_text():
    other = {**BODY, "latency_ms": -1}
    body = f'[{json.dumps(BODY)}, {json.dumps(other)}, "\u00e9" ,[1],{json.dumps(BODY)}]'
    for given in (body, body.encode()):
        records, refusals = sort_records(given, NOW_MS)
        assert [record.prediction for record in records] == [2, 2]
        assert [refusal.body for refusal in refusals] == [json.dumps(other), '"é"', "[1]"]
        fields = [refusal.error.field for refusal in refusals]
        assert fields == ["[1].latency_ms", "[2]", "[3]"]
    assert len(sort_records(json.dumps(BODY), NOW_MS)[0]) == 1
    for broken in (body[:-1], json.dumps(other), "", "[1] [2]"):
        with pytest.raises(InvalidInputError):
            sort_records(broken, NOW_MS)


def test_event_ids_are_uuids_that_sort_by_time():
    ids = [new_event_id(ms) for ms in (1, 2, 1_000_000, NOW_MS)]
    assert ids == sorted(ids)
    assert all(is_event_id(event_id) and event_id[14] == "7" for event_id in ids)
    assert len({new_event_id(NOW_MS) for _ in range(1000)}) == 1000


EVENT_ID = "018bcfe5-6800-7000-8000-00000000000a"


@pytest.mark.parametrize(
    ("texts", "are"),
    [
        ([], True),
        ([EVENT_ID], True),
        ([EVENT_ID, EVENT_ID.upper()], True),
        ([EVENT_ID, EVENT_ID + "\n"], False),
        ([EVENT_ID[:-1], "0" + EVENT_ID], False),
        ([EVENT_ID[:-1], EVENT_ID + "0"], False),
        ([EVENT_ID, ""], False),
        ([EVENT_ID.replace("-", "0")], False),
        ([EVENT_ID[:-1] + "g"], False),
        ([EVENT_ID[:-1] + "é"], False),
        ([EVENT_ID[:-1] + "٣"], False),
        ([EVENT_ID[:-1] + "\ud800"], False),
    ],
)
def test_event_ids_are_known_together_as_one_by_one(texts, are):
    assert are_event_ids(texts) == all(map(is_event_id, texts)) == are


def test_only_a_record_of_predict_may_have_everything_dropped():
    body = {**BODY, "features": {}, "prediction": None, "source": "predict"}
    record = decode_record(json.dumps(body), NOW_MS, is_ours=True)
    assert (record.features, record.prediction) == ({}, None)
    with pytest.raises(InvalidInputError):
        decode_record(json.dumps({**body, "source": "another"}), NOW_MS, is_ours=True)


def test_only_a_record_of_predict_may_say_why_there_is_no_prediction():
    failed = {**BODY, "prediction": None, "error": "the prediction is NaN", "source": "predict"}
    record = decode_record(json.dumps(failed), NOW_MS, is_ours=True)
    assert (record.prediction, record.error) == (None, "the prediction is NaN")
    for wrong in ({**failed, "prediction": 1}, {**BODY, "error": "mine"}):
        with pytest.raises(InvalidInputError) as caught:
            decode_record(json.dumps(wrong), NOW_MS, is_ours=True)
        assert caught.value.field == "error"


@pytest.mark.parametrize("source", ["predict", "external", ""])
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"features": {}}, "features"),
        ({"features": {"a\tb": 1}}, "features"),
        ({"prediction": None}, "prediction"),
        ({"error": "mine"}, "error"),
    ],
)
def test_a_caller_that_says_it_is_predict_is_checked_like_others(source, wrong, field):
    body = json.dumps({**BODY, "source": source, **wrong})
    for given in (body, f"[{body}]"):
        with pytest.raises(InvalidInputError) as caught:
            decode_records(given, NOW_MS)
        assert any(fault.field.endswith(field) for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("source", "s" * 251),
        ("source", "a\nb"),
        ("source", "a\n"),
        ("variant", "v" * 251),
        ("variant", "a/b"),
        ("variant", "a\x00"),
    ],
)
def test_source_and_variant_are_short_names(field, text):
    with pytest.raises(InvalidInputError) as caught:
        decode_record(json.dumps({**BODY, field: text}), NOW_MS)
    assert caught.value.field == field


def test_source_and_variant_may_be_empty_and_of_any_language():
    for text in ("", "größe 模型", "a" * 250):
        body = {**BODY, "source": text, "variant": text}
        assert decode_record(json.dumps(body), NOW_MS).variant == text


@pytest.mark.parametrize("name", ["", "  ", "a\tb", "a\n", "\x7f", "n" * 251])
def test_a_feature_has_a_name_that_everything_behind_can_hold(name):
    with pytest.raises(InvalidInputError, match="is no name of a feature") as caught:
        decode_record(json.dumps({**BODY, "features": {"alcohol": 1.0, name: 1.0}}), NOW_MS)
    assert caught.value.field == "features"
    for good in ("a=b", "0", "größe", "a b", "n" * 250):
        assert decode_record(json.dumps({**BODY, "features": {good: 1.0}}), NOW_MS)
