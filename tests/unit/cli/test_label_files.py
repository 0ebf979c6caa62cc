"""`modelwatch labels import`: what is read, refused by line, and sent."""

import json

import pytest

from modelwatch.client import Client
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.labels import Label, decode_label
from modelwatch.errors import ModelwatchError
from modelwatch_cli.capture import labels
from modelwatch_cli.capture.label_files import Problem, read_labels
from stand_in import stand_in

NOW_MS = 1_790_000_000_000
IDS = [new_event_id(NOW_MS - 1000 * number) for number in range(4)]


def read(tmp_path, text, **options):
    path = tmp_path / "labels"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_labels(path, NOW_MS, **options))


def test_csv_with_types_by_their_looks(tmp_path):
    rows = "\n".join(
        f"{event_id},{label},2026-01-01T00:00:00Z"
        for event_id, label in zip(IDS, ["2", '"a, b"', "True", "007"], strict=True)
    )
    text = f"\ufeffevent_id,label,labelled_at\n{rows}\n\n"
    assert [found.label for found in read(tmp_path, text)] == [2, "a, b", True, 7]
    assert [found.cell for found in read(tmp_path, text)] == [None, None, "True", "007"]
    assert [found.label for found in read(tmp_path, text, as_text=True)] == [
        "2",
        "a, b",
        "True",
        "007",
    ]


def test_values_may_be_separated_by_semicolons_but_not_have_a_decimal_comma(tmp_path):
    text = f"event_id;label\n{IDS[0]};2.5\n{IDS[1]};2,5\n"
    good, bad = read(tmp_path, text)
    assert good.label == 2.5
    assert (bad.line, bad.field) == (3, "label")
    assert bad.problem.startswith("'2,5' has a decimal comma; write numbers with a point")
    assert [found.label for found in read(tmp_path, text, as_text=True)] == ["2.5", "2,5"]


@pytest.mark.parametrize("join", ["\n".join, lambda lines: "[" + ",\n".join(lines) + "]"])
def test_json_lines_and_lists(tmp_path, join):
    lines = [json.dumps({"event_id": each, "label": n}) for n, each in enumerate(IDS)]
    assert [found.label for found in read(tmp_path, join(lines))] == [0, 1, 2, 3]


def test_problems_are_reported_by_line(tmp_path):
    text = f"event_id,label\n{IDS[0]},1\nx,1\n{IDS[1]},\n{IDS[2]}\n{IDS[3]},0\n"
    found = read(tmp_path, text)
    assert [each.line for each in found if isinstance(each, Problem)] == [3, 4, 5]
    assert (
        str(found[1])
        == "line 3: event_id: 'x' is not a UUID, such as 018bcfe5-6800-7000-8000-000000000000"
    )
    assert [each.label for each in found if isinstance(each, Label)] == [1, 0]


@pytest.mark.parametrize(
    "text",
    ["event_id,truth\n", "label\n1\n", "event_id,label,label\n", "", "[1", b"event_id,label\n\xff"],
)
def test_files_of_another_kind_are_refused_whole(tmp_path, text):
    with pytest.raises(ModelwatchError):
        read(tmp_path, text)


class Api:
    """A capture API that responds with the given statuses in turn, then with 202."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.bodies = []

    def respond(self, request):
        body = json.loads(request.body)
        status = self.statuses.pop(0) if self.statuses else 202
        if status != 202:
            return status, b""
        self.bodies.append((request.path, body))
        return 202, {"accepted": len(body), "event_ids": []}


def some_labels(count):
    for _ in range(count):
        body = json.dumps({"event_id": new_event_id(NOW_MS), "label": 1})
        yield decode_label(body, NOW_MS)


def test_labels_are_sent_many_at_once_and_again_after_a_failure():
    api = Api(202, 503)
    sent, pauses = [], []
    with stand_in(api.respond) as url, Client(capture=url, pause=pauses.append) as client:
        taken = labels.send_labels(client, some_labels(12_000), sent.append)
    assert (taken, len(pauses)) == (12_000, 1)
    assert [(path, len(body)) for path, body in api.bodies] == [
        ("/ground-truth", 5000),
        ("/ground-truth", 5000),
        ("/ground-truth", 2000),
    ]
    assert sent == [5000, 5000, 2000]


def test_a_refusal_is_reported_with_what_was_taken_before():
    with (
        stand_in(Api(202, 400).respond) as url,
        Client(capture=url) as client,
        pytest.raises(ModelwatchError, match=r"5000 labels were accepted, and then: .*400"),
    ):
        labels.send_labels(client, some_labels(6_000))


def test_labels_are_sent_in_the_order_of_their_predictions(tmp_path):
    rows = "\n".join(f"{event_id},1" for event_id in IDS)
    found = labels.in_order(read(tmp_path, f"event_id,label\n{rows}\n"))
    assert [each.event_id for each in found] == IDS[::-1]
