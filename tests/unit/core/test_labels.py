"""Labels: what is taken, when it holds, and where it is kept."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.adapters.aws.queues import MESSAGE_LIMIT_BYTES, label_bodies
from modelwatch.adapters.captures.labels import LABEL_SCHEMA, _newest_rows, labels_table
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.labels import (
    Label,
    decode_label,
    decode_labels,
    encode_label,
    is_label_message,
    newest,
    sort_label_message,
)
from modelwatch.errors import InvalidInputError

NOW = datetime(2026, 11, 23, 10, 0, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
ID = new_event_id(NOW_MS - 3_600_000)
V4 = "3c4b2f2e-9a4e-4f6c-8d2b-1f0e2d3c4b5a"


def body(**changes) -> bytes:
    return msgspec.json.encode({"event_id": ID, "label": 1, **changes})


def test_the_time_of_the_prediction_is_in_its_id():
    label = decode_label(body(), NOW_MS)
    assert label.hour == datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert label.labelled_at == NOW


def test_what_was_given_goes_before_what_the_id_says():
    given_at = "2026-11-22T23:59:59.9999+01:00"
    label = decode_label(body(predicted_at=given_at, labelled_at=given_at), NOW_MS)
    assert label.predicted_at == datetime(2026, 11, 22, 22, 59, 59, 999000, tzinfo=UTC)
    assert label.labelled_at == label.predicted_at


@pytest.mark.parametrize("value", [1, 0, -2.5, True, False, "red", "1", 2**62])
def test_a_label_is_a_number_a_text_or_a_boolean(value):
    label = decode_label(body(label=value), NOW_MS)
    assert label.label == value
    assert type(label.label) is type(value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"label": None}, "label"),
        ({"label": [1]}, "label"),
        ({"label": ""}, "label"),
        ({"label": 10**30}, "label"),
        ({"event_id": "42"}, "event_id"),
        ({"event_id": V4}, "predicted_at"),
        ({"event_id": new_event_id(NOW_MS + 10**9)}, "predicted_at"),
        ({"predicted_at": "2026-11-23T10:10:00Z"}, "predicted_at"),
        ({"predicted_at": "2026-11-23T10:00:00"}, "predicted_at"),
        ({"predicted_at": "9999-12-31T23:59:59-23:00"}, "predicted_at"),
        ({"labelled_at": "2026-11-23T10:10:00Z"}, "labelled_at"),
        ({"labelled_at": "0001-01-01T00:00:00+14:00"}, "labelled_at"),
        ({"labeled_at": "2026-11-23T10:00:00Z"}, "labeled_at"),
        ({"source": 1}, "source"),
    ],
)
def test_what_is_no_label_is_refused_by_field(changes, field):
    with pytest.raises(InvalidInputError) as error:
        decode_label(body(**changes), NOW_MS)
    assert error.value.field == field


def test_an_infinite_number_is_no_label():
    with pytest.raises(InvalidInputError):
        decode_label(f'{{"event_id": "{ID}", "label": 1e999}}', NOW_MS)


def test_an_id_without_a_time_needs_the_time_of_the_prediction():
    with pytest.raises(InvalidInputError, match="UUID of version 7"):
        decode_label(body(event_id=V4), NOW_MS)
    label = decode_label(body(event_id=V4, predicted_at="2026-11-23T08:00:00Z"), NOW_MS)
    assert label.hour.hour == 8


def test_a_list_names_the_label_that_is_wrong():
    with pytest.raises(InvalidInputError) as error:
        decode_labels(b"[" + body() + b"," + body(label=None) + b"]", NOW_MS)
    assert error.value.field == "[1].label"


def test_a_message_of_labels_is_distinguished_from_one_of_records():
    label = decode_label(body(), NOW_MS)
    (message,) = label_bodies([label, label])
    assert is_label_message(message)
    assert sort_label_message(message, NOW_MS) == ([label, label], [])
    assert not is_label_message("[" + encode_label(label).decode() + "]")
    assert not is_label_message(encode_label(label).decode())


def test_many_labels_are_few_messages():
    label = decode_label(body(label="x" * 1000), NOW_MS)
    messages = list(label_bodies([label] * 10_000))
    assert max(len(message.encode()) for message in messages) <= MESSAGE_LIMIT_BYTES
    assert sum(len(sort_label_message(message, NOW_MS)[0]) for message in messages) == 10_000
    assert len(messages) < 60


several = st.lists(
    st.builds(
        Label,
        event_id=st.sampled_from([f"018bcfe5-6800-7000-8000-{number:012d}" for number in range(3)]),
        label=st.sampled_from([0, 1, 1.0, True, "1", "true", "red"]),
        labelled_at=st.integers(0, 2).map(lambda days: NOW + timedelta(days=days)),
        predicted_at=st.just(NOW),
        source=st.sampled_from(["clinic", "audit"]),
        cell=st.sampled_from([None, "1.0", "01"]),
    ),
    min_size=1,
    max_size=12,
)


def said(labels):
    return [
        (each.event_id, each.labelled_at, each.text, each.number, each.source, each.cell)
        for each in labels
    ]


@given(several, st.randoms())
def test_which_label_holds_does_not_depend_on_the_order_or_on_repeats(labels, random):
    shuffled = [*labels, *random.sample(labels, len(labels) // 2)]
    random.shuffle(shuffled)
    assert said(newest(shuffled)) == said(newest(labels))


@given(several)
def test_the_store_and_the_consumer_agree_which_label_holds(labels):
    rows = _newest_rows(labels_table(labels)).sort_by("event_id")
    assert rows.schema == LABEL_SCHEMA
    assert [
        (
            row["event_id"],
            row["labelled_at"],
            row["label_text"],
            row["label"],
            row["source"],
            row["label_cell"],
        )
        for row in rows.to_pylist()
    ] == said(newest(labels))
