"""Releases stand side by side: what earlier ones sent and stored, and what a newer one may send."""

import json
import logging

import pytest

import modelwatch
import stored_formats
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.differences import differences
from modelwatch.domain.labels import Label, decode_labels
from modelwatch.domain.profiles import merge_profiles
from modelwatch.domain.records import decode_records
from modelwatch.errors import InvalidInputError
from modelwatch.services.deliveries import Message, read_message
from modelwatch.services.replay import evaluate_again
from modelwatch_cli.capture.sagemaker.exporting import records_of
from stored_formats import NOW, WINDOW, Stored

NOW_MS = int(NOW.timestamp() * 1000)
RECORDS = stored_formats.sample_records()


@pytest.fixture(params=sorted(stored_formats.FOLDER.iterdir()), ids=lambda path: path.name)
def release(request) -> Stored:
    return stored_formats.read(request.param)


def s3(release: Stored):
    return InMemoryS3(dict(release.objects)), "bucket"


def received(bodies):
    """Return the records or labels of messages, all of which can be used."""
    found = []
    for body in bodies:
        good, letters = read_message(Message("m", body), NOW_MS)
        assert letters == []
        is_labels = isinstance(good[0], Label)
        found += good if is_labels else [each for block in good for each in block.records()]
    return found


def test_what_this_version_stores_is_kept():
    assert stored_formats.path_of(modelwatch.__version__).exists(), stored_formats.__doc__


def test_messages_of_every_release_are_read(release):
    assert received(release.messages["packed"]) == RECORDS
    assert received(release.messages["list"]) == stored_formats.other_records()
    assert received(release.messages["labels"]) == stored_formats.sample_labels()


def test_captures_and_labels_of_every_release_are_read(release):
    table = S3RecordStore(*s3(release)).read("wine", "1", WINDOW)
    found = sorted(records_of(table, "wine", "1"), key=lambda record: record.event_id)
    assert found == RECORDS
    profile = S3ProfileStore(*s3(release)).profiles("wine", "1", WINDOW).variants["champion"]
    assert (profile.rows, profile.features["alcohol"].nulls) == (60, 1)
    labels = S3LabelStore(*s3(release))
    objects = labels.objects(NOW.date())
    rows = labels.read([name for names in objects.values() for name in names]).to_pylist()
    assert {row["event_id"]: row["label_text"] for row in rows} == {
        each.event_id: each.text for each in stored_formats.sample_labels()
    }


def test_results_and_baselines_of_every_release_are_read(release):
    reports = S3ReportStore(*s3(release))
    (result,) = reports.results(9)
    assert (result.status, result.rows, result.ad_hoc) == ("ok", 60, False)
    assert reports.last("wine", "1")["PT1H"].name == result.name
    # another processor may round otherwise
    for each in differences(result, evaluate_again(result, reports.evidence(result))):
        assert each.now == pytest.approx(each.given, rel=1e-9)
    baselines = S3BaselineStore(*s3(release))
    (baseline,) = baselines.baselines("wine")
    assert merge_profiles([baselines.profile(baseline)]).rows == baseline.rows == 60
    assert baselines.constraints(baseline).columns.keys() >= {"alcohol", "colour"}


def test_a_result_of_a_newer_release_is_listed(release):
    for key in [key for key in release.objects if key.endswith(("/result.json", "/last.json"))]:
        document = json.loads(release.objects[key])
        for each in (document, *(value for value in document.values() if isinstance(value, dict))):
            each["shap"] = [1]
        if key.endswith("/last.json"):
            del document["shap"]  # it has a window at each name
        release.objects[key] = json.dumps(document).encode()
    test_results_and_baselines_of_every_release_are_read(release)


def newer(body: str, path: str) -> str:
    """Return a message with a field that a release after this one might add, at ``path``."""
    document = json.loads(body)
    place = document
    for part in filter(None, path.split(".")):
        place = place[int(part) if part.isdecimal() else part]
    place["shap\nvalues"] = [[0.5]]
    return json.dumps(document, separators=(",", ":"))


@pytest.mark.parametrize(
    ("form", "path"),
    [("packed", ""), ("packed", "head"), ("list", "1"), ("labels", ""), ("labels", "labels.0")],
)
def test_a_field_of_a_newer_release_is_no_dead_letter(form, path, caplog):
    bodies = stored_formats.messages()[form]
    caplog.set_level(logging.WARNING)
    assert received([newer(body, path) for body in bodies]) == received(bodies)
    # an envelope holds nothing of its own
    said = r"'shap\nvalues'" in caplog.text
    assert said or (form, path) in (("packed", "head"), ("labels", ""))


def test_a_record_alone_too_and_what_is_wrong_stays_wrong():
    record = json.loads(stored_formats.messages()["list"][0])[0]
    (found,) = received([json.dumps(record | {"shap": 1})])
    assert found == stored_formats.other_records()[0]
    bad = json.dumps(record | {"shap": 1, "prediction": [1], "model_name": ""})
    good, (letter,) = read_message(Message("m", bad), NOW_MS)
    assert (good, letter.body) == ([], bad)
    assert "prediction" in letter.reason
    assert "shap" not in letter.reason


def test_a_caller_of_the_api_is_told_of_the_field():
    messages = stored_formats.messages()
    for decode, elements in (
        (decode_records, json.loads(messages["list"][0])),
        (decode_labels, json.loads(messages["labels"][0])["labels"]),
    ):
        body = json.dumps([*elements, elements[0] | {"shap": 1}]).encode()
        with pytest.raises(InvalidInputError) as caught:
            decode(body, NOW_MS)
        assert caught.value.field == f"[{len(elements)}].shap"
