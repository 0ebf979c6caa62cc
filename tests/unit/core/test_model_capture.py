"""What is captured by a model's monitor: how it is read, and what holds while it cannot be."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from in_memory import ConstantModel, InMemoryMetrics, InMemoryQueue
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.analysis_settings import monitored
from modelwatch.adapters.results.capture_monitors import S3CaptureMonitors, captured_segments
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.domain.capture_policy import read_policy
from modelwatch.domain.model_capture import CaptureRules, MonitorCapture
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.monitors import Monitor, MonitorSet, decode_monitors, encode_monitors
from modelwatch.domain.sampling import is_sampled
from modelwatch.domain.schemas import Column, Schema
from modelwatch.domain.segments import SEGMENTS_SETTING, read_segments
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, MonitorError, StoreError
from modelwatch.services.capturing import LONGEST_UNREAD_SECONDS, ModelCapture
from modelwatch.services.monitors import MonitorReader, declared_segments
from modelwatch.settings.analysis import AnalysisSettings
from predict_app import service_with
from wine_records import wine_record

KEY = "a key of sixteen characters or more"
SCHEMA = Schema((Column("email", "string"), Column("age", "long"), Column("hue", "double")))
VERSION = ModelVersion("wine", "1", "m")
ROW = {"email": "ada@example.org", "age": 36, "hue": 0.5}


def applied(s3, capture=None, number=1, **others):
    own = Monitor(stage="local", capture=capture)
    S3MonitorStore(s3, "reports").append(
        MonitorSet(number=number, monitors={"wine": own, **others})
    )


class Stage:
    """The rules of one model, read from monitors on S3, at a time."""

    def __init__(self, policy="", rate=1.0, key=KEY) -> None:
        self.s3 = InMemoryS3()
        self.now = 1_000_000.0
        defaults = CaptureRules(read_policy(policy, key), rate)
        monitors = S3CaptureMonitors(self.s3, "reports")
        self.capture = ModelCapture("wine", defaults, monitors, 30, lambda: self.now)

    def captured(self):
        """Read the rules again; return what is captured of a row."""
        self.capture.refresh()
        return self.holds()

    def holds(self):
        plan = self.capture.now().plan(VERSION, SCHEMA)
        return None if plan is None else plan.features(ROW)


def test_without_a_monitor_the_deployments_settings_hold():
    stage = Stage('{"email": "drop"}', 0.5)
    assert stage.captured() == {"age": 36, "hue": 0.5}
    assert stage.capture.now().sample_rate == 0.5
    applied(stage.s3)  # one that says nothing of capture
    assert stage.captured() == {"age": 36, "hue": 0.5}
    assert (stage.capture.now().sample_rate, stage.capture.problem) == (0.5, "")


def test_a_monitor_overrides_what_it_names_and_holds_without_a_deployment():
    stage = Stage('{"email": "drop"}')
    stage.captured()
    applied(stage.s3, MonitorCapture(sample_rate=0.25, fields={"age": {"bucket": 10}}))
    assert stage.captured() == {"age": 30, "hue": 0.5}
    assert stage.capture.now().sample_rate == 0.25
    applied(stage.s3, MonitorCapture(fields={"*": "drop", "hue": "keep"}), 2)
    assert stage.captured() == {"hue": 0.5}
    assert stage.capture.now().sample_rate == 1
    applied(stage.s3, None, 3)
    assert stage.captured() == {"age": 36, "hue": 0.5}


def test_a_version_is_read_once():
    stage = Stage()
    applied(stage.s3, MonitorCapture(sample_rate=0.5))
    stage.captured()
    stage.s3.calls.clear()
    for _ in range(3):
        stage.captured()
    assert stage.s3.calls == ["get"] * 3  # of the number that is not there yet


def test_what_was_read_holds_for_a_while_where_that_is_asked_for():
    stage, now = Stage(), [0.0]
    monitors = S3CaptureMonitors(stage.s3, "reports", 15, lambda: now[0])
    assert monitors.of("wine") is None
    applied(stage.s3, MonitorCapture(sample_rate=0.5))
    now[0] = 15
    assert monitors.of("wine") is None
    now[0] = 15.1
    assert monitors.of("wine") == MonitorCapture(sample_rate=0.5)


@pytest.mark.parametrize(
    "capture",
    [
        MonitorCapture(fields={"email": "hash"}),  # without a key
        MonitorCapture(fields={"email": "scramble"}),  # a rule of a newer release
        MonitorCapture(sample_rate=1e-12),
    ],
)
def test_rules_that_cannot_be_followed_let_nothing_be_captured(capture):
    stage = Stage(key="")
    assert stage.captured() == ROW
    applied(stage.s3, capture)
    assert stage.captured() is None
    assert stage.capture.problem.startswith("nothing is captured: ")
    assert "ada" not in stage.capture.problem
    applied(stage.s3, MonitorCapture(fields={"email": "drop"}), 2)
    assert stage.captured() == {"age": 36, "hue": 0.5}
    assert stage.capture.problem == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored.replace(b'"sample_rate"', b'"rate_of_tomorrow"'),
        lambda stored: stored.replace(b'"sample_rate":0.5', b'"sample_rate":"half"'),
        lambda stored: stored.replace(b'"format":1', b'"format":2'),
        lambda stored: stored[:-9],
    ],
)
def test_a_monitor_that_cannot_be_read_lets_nothing_be_captured(change):
    stage = Stage()
    applied(stage.s3, MonitorCapture(sample_rate=0.5))
    key = "monitors/000001.json"
    stage.s3.objects[key] = change(stage.s3.objects[key])
    assert stage.captured() is None
    assert "monitor" in stage.capture.problem


def test_what_another_monitor_says_that_no_one_can_read_is_its_own_affair():
    stage = Stage()
    beer = Monitor(stage="local", capture=MonitorCapture(fields={"a": "b"}))
    applied(stage.s3, MonitorCapture(fields={"email": "drop"}), beer=beer)
    key = "monitors/000001.json"
    stage.s3.objects[key] = stage.s3.objects[key].replace(b'"fields":{"a"', b'"of_tomorrow":{"a"')
    assert stage.captured() == {"age": 36, "hue": 0.5}


def test_while_the_store_does_not_respond_known_rules_hold_for_ten_minutes():
    stage = Stage()
    applied(stage.s3, MonitorCapture(fields={"email": "drop"}))
    known = stage.captured()
    stage.s3.fail_at = 1
    stage.now += LONGEST_UNREAD_SECONDS + 30
    assert stage.captured() == known
    assert stage.capture.problem == (
        "what to capture cannot be read: the object store cannot be used now; the function's log "
        "says why"
    )
    stage.now += 1
    assert stage.captured() is None
    stage.s3.fail_at = None
    assert stage.captured() == known


def test_what_was_never_read_lets_nothing_be_captured():
    stage = Stage()
    stage.s3.fail_at = 1
    assert stage.captured() is None


class Refusing:
    """Monitors that no one can read."""

    def of(self, model_name):
        raise StoreError(f"no one is there to ask for {model_name}")


def test_predictions_go_on_and_what_is_not_captured_counts_as_lost():
    metrics, queue = InMemoryMetrics(), InMemoryQueue()
    service = service_with(
        ConstantModel(schema=SCHEMA, prediction=2.5), metrics, queue=queue, monitors=Refusing()
    )
    body = b'{"features": {"email": "ada@example.org", "age": 36, "hue": 0.5}}'
    response, samples = service.predict(body)
    counts = {
        each.labels["outcome"]: each.value
        for each in samples
        if each.name == "capture_records_total"
    }
    assert (response.prediction, counts) == (2.5, {"accepted": 1, "lost": 1})
    assert not [each for each in samples if each.name == "model_prediction_value"]
    assert queue.records == []
    assert "what to capture cannot be read" in service.health()["capture_problem"]


def test_rules_of_an_old_release_stay_readable():
    monitors = {"wine": Monitor(stage="local", capture=MonitorCapture(fields={"a": "drop"}))}
    stored = encode_monitors(MonitorSet(number=1, monitors=monitors))
    assert decode_monitors(stored).monitors == monitors
    assert Monitor(stage="local").digest == Monitor(stage="local", capture=None).digest


def others(rules=None, rate=1.0):
    return CaptureRules(read_policy("", KEY)).overridden(
        MonitorCapture(sample_rate=rate, fields=rules or {})
    )


def test_a_record_of_another_application_is_captured_by_the_same_rules():
    record = wine_record(
        features=ROW, types="sld", prediction=7.25, probabilities=[0.25, 0.75], source="shop"
    )
    rules = others(
        {"email": "hash", "age": {"bucket": 2.5}, "hue": "drop", "probabilities": {"bucket": 0.5}}
    )
    found = rules.of_another(record)
    assert set(found.features) == {"email", "age"}
    assert len(found.features["email"]) == 16
    assert (found.features["age"], found.types) == (35.0, "sd")
    assert (found.prediction, found.probabilities) == (7.25, None)
    assert (found.event_id, found.sample_rate) == (record.event_id, 1)


def test_a_record_of_another_application_without_rules_stays_as_it_came():
    record = wine_record(sample_rate=0.5, source="shop")
    assert others().of_another(record) is record
    assert CaptureRules().overridden(None).of_another(record) is record


@pytest.mark.parametrize(
    ("rules", "field"),
    [({"*": "drop"}, "features"), ({"prediction": "drop"}, "prediction")],
)
def test_a_record_of_which_nothing_would_be_left_is_refused(rules, field):
    with pytest.raises(InvalidInputError) as caught:
        others(rules).of_another(wine_record(source="shop"))
    assert caught.value.faults[0].field == field


def test_records_of_other_applications_are_sampled_once():
    ids = [f"018bcfe5-6800-7000-8000-{number:012}" for number in range(200)]
    rules = others(rate=0.3)
    kept = [rules.of_another(wine_record(event_id=each, source="shop")) for each in ids]
    assert [each.event_id for each in kept if each] == [e for e in ids if is_sampled(e, 0.3)]
    assert {each.sample_rate for each in kept if each} == {0.3}
    sampled = wine_record(event_id=ids[0], sample_rate=0.5, source="shop")
    assert rules.of_another(sampled).sample_rate == 0.5
    assert others(rate=0).of_another(wine_record(source="shop")) is None


def test_a_hash_without_a_key_is_no_rule():
    with pytest.raises(MonitorError, match=r"CAPTURE_HASH_KEY: is not set, and its \[capture\]"):
        CaptureRules().overridden(MonitorCapture(fields={"email": "hash"}))


def segmented(s3, number, segments):
    own = Monitor(stage="local", settings={} if segments is None else {SEGMENTS_SETTING: segments})
    S3MonitorStore(s3, "reports").append(MonitorSet(number=number, monitors={"wine": own}))


def test_a_monitors_segments_are_profiled_and_read_in_place_of_the_deployments():
    s3 = InMemoryS3()
    segments_of = captured_segments(S3CaptureMonitors(s3, "reports"), "colour")
    reader = MonitorReader(
        S3MonitorStore(s3, "reports"), "local", partial(monitored, AnalysisSettings({}))
    )

    def read(model, minute):
        at = wine_record().captured_at.replace(minute=minute)
        features = {"alcohol": 14.0, "colour": "red"}
        S3RecordStore(s3, "captures", segments_of).write(
            [wine_record(model_name=model, captured_at=at, features=features)]
        )
        profiles = S3ProfileStore(s3, "captures", declared_segments(reader.current))
        window = Window.ending(at + timedelta(minutes=1), seconds=60)
        (version,) = {found for name, found in profiles.versions(window) if name == model}
        return {each.name for each in profiles.profiles(model, version, window).segments}

    segmented(s3, 1, "strong: alcohol > 13; `colour`")
    assert read("wine", 1) == {"strong", "colour=red"}
    assert segments_of("beer") == read_segments("colour")
    segmented(s3, 2, "")
    assert read("wine", 2) == set()
    segmented(s3, 3, None)
    assert segments_of("wine") == read_segments("colour")


def test_segments_of_a_monitor_that_cannot_be_read_lose_no_capture(caplog):
    s3 = InMemoryS3()
    segments_of = captured_segments(S3CaptureMonitors(s3, "reports"), "colour")
    segmented(s3, 1, "alcohol >>> 13")  # of a newer release
    assert segments_of("wine") == read_segments("colour")
    assert "wine has the segments of the deployment" in caplog.text
