"""Erasure: afterwards no object and no dead letter has anything of the events; the rest stays."""

from __future__ import annotations

import copy
import json
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import numpy as np
import pytest
from botocore.exceptions import ClientError

from in_memory_s3 import FAILURES, Failure, InMemoryS3
from in_memory_sqs import InMemorySqs
from modelwatch.adapters.captures.compaction import S3Compaction
from modelwatch.adapters.captures.label_compaction import S3LabelCompaction
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.parquet import decompress, read_notes, read_table
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.erasure.erased import S3Erasures
from modelwatch.adapters.erasure.rows import Events
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.constraints import Quality, Violation, learn_constraints
from modelwatch.domain.event_ids import derived_event_id
from modelwatch.domain.labels import Label
from modelwatch.domain.profiles import decode_slices, merge_profiles
from modelwatch.domain.profiles.hashes import hash_event_ids
from modelwatch.domain.records import Record, encode_record
from modelwatch.domain.verdict.evidence import CodeVersion, Evidence
from modelwatch.domain.verdict.results import AnalysisResult, ResultName
from modelwatch.domain.verdict.rules import AnalysisRules
from modelwatch.domain.verdict.sides import Reference, WindowProfiles
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.domain.windows import Window
from modelwatch.errors import ModelwatchError, StoreError
from modelwatch.services.replay import evidence_of
from modelwatch_cli.capture.dead_letters import DeadLetterBox
from modelwatch_cli.capture.forgetting import Erased, Forgetting, read_ids, without
from wine_records import wine_record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS = Window(NOON - timedelta(days=3), NOON + timedelta(days=3))
NOTHING = np.empty(0, np.uint64)
QUEUE, DEAD = "https://sqs.example/captures", "https://sqs.example/captures-dead"
TEXT, NUMBER = "Ada Lovelace", 987654.25


def record(second: float, event_id: str = "", version: str = "3", **changes) -> Record:
    given = {
        "captured_at": NOON + timedelta(seconds=second),
        "model_name": "wine quality",
        "model_version": version,
        "variant": "production",
        "features": {"a": second % 7, "name": "x"},
    }
    return wine_record(**(given | ({"event_id": event_id} if event_id else {}) | changes))


def marked(second: float, **changes) -> Record:
    return record(second, features={"a": NUMBER, "name": TEXT}, **changes)


class World:
    """A bucket and queues with three predictions to be erased, each stored in many places."""

    def __init__(self) -> None:
        self.s3 = InMemoryS3()
        self.sqs = InMemorySqs()
        self.store = S3RecordStore(self.s3, "bucket")
        self.labels = S3LabelStore(self.s3, "bucket")
        self.reports = S3ReportStore(self.s3, "bucket")
        self.kept: list[Record] = []

        first, third = marked(65), marked(7300, event_id=str(uuid.uuid4()))
        second = marked(-4000, version="4")
        shadow = marked(
            66, event_id=derived_event_id(first.event_id, "next"), version="5", variant="next"
        )
        self.events = Events([first.event_id, second.event_id.upper(), third.event_id])
        self.erased = [first, second, third, shadow]

        for batch in range(3):
            rows = [record(30 * batch + each) for each in range(15)]
            self.keep(*rows[:10], also=[first] if batch != 1 else [])
            self.keep(*rows[5:])
        S3Compaction(self.s3, "bucket").merge(self.hours()[0], NOTHING)
        self.keep(record(70), record(71), also=[first])
        self.keep(*[record(-4000 + each, version="4") for each in range(4)], also=[second])
        self.keep(also=[third])
        self.keep(record(66, version="5", variant="next"), also=[shadow])
        self.keep(record(90_000))
        # of an interrupted compaction
        (sample,) = (key for key in self.s3.objects if key.endswith(".sample.parquet"))
        self.s3.objects[sample.replace(".sample", "0.sample")] = self.s3.objects[sample]

        for time in (first.captured_at, NOON + timedelta(minutes=1)):
            self.labels.write(
                [self.label(first, TEXT, time), self.label(self.kept[0], "fine", time)]
            )
        self.labels.write([self.label(third, TEXT, third.captured_at)])
        self.labels.write([self.label(self.kept[-1], "fine", self.kept[-1].captured_at)])
        for second in range(8):
            time = NOON + timedelta(days=1, seconds=second)
            self.labels.write([self.label(each, "late", time) for each in (self.kept[1], first)])
        for end in (NOON + timedelta(hours=1), NOON + timedelta(days=1)):
            self.report(end)
        day = "performance/model_name=wine quality/model_version=3/date=2026-03-01"
        sums = {NOON: TEXT.encode(), NOON + timedelta(hours=1): b"other"}
        self.s3.objects[f"{day}.profiles"] = msgspec.msgpack.encode(sums)
        # as older releases kept them
        for hour, kept in sums.items():
            self.s3.objects[f"{day}/hour={hour:%H}.profile"] = kept
        good, bad = (encode_record(each).decode() for each in (self.kept[0], first))
        self.sqs.put(DEAD, bad, reason="wrong")
        self.sqs.put(DEAD, good, reason="wrong")
        self.sqs.put(DEAD, f"[{good},{bad}]", reason="wrong too")
        self.sqs.put(DEAD, encode_record(shadow).decode(), reason="wrong")
        self.sqs.put(DEAD, '{"labels": [' + json.dumps({"event_id": first.event_id}) + "]}")
        self.sqs.put(DEAD, f"no JSON {first.event_id} {TEXT}")

    def keep(self, *records: Record, also: list[Record] | None = None) -> None:
        self.kept += records
        self.store.write([*records, *(also or [])])

    def label(self, of: Record, text: str, time: datetime) -> Label:
        return Label(
            event_id=of.event_id, label=text, labelled_at=time, predicted_at=of.captured_at
        )

    def report(self, end: datetime) -> None:
        violation = Violation(
            feature="name", check="x", found=1.0, expected=0.0, rows=1, sentence=f"such as '{TEXT}'"
        )
        quiet = end != NOON + timedelta(hours=1)
        result = AnalysisResult(
            name=str(ResultName("wine quality", "3", end, "PT1H")),
            model_name="wine quality",
            model_version="3",
            window="PT1H",
            window_start=end - timedelta(hours=1),
            window_end=end,
            status="drift",
            reason="drifted",
            rows=10,
            reference_rows=10,
            quality=None
            if quiet
            else Quality(status="violated", evaluated=1, violations=(violation,)),
            has_report=True,
        )
        html = b"<html>fine" if quiet else f"<html>{TEXT}".encode()
        files = {"report.html": html}
        self.reports.save(result, files, None if quiet else self.evidence(result))

    def evidence(self, result: AnalysisResult) -> Evidence:
        """What the result was made of: a window and a reference with the events in them."""
        version = ("wine quality", "3")
        profiles = S3ProfileStore(self.s3, "bucket")
        profile = merge_profiles(list(profiles.profiles(*version, DAYS).variants.values()))
        reference = Reference(
            title="the day", profile=profile, constraints=learn_constraints(profile), window=DAYS
        )
        rules = AnalysisRules(plans=(WindowPlan(timedelta(hours=1)),), min_rows=2)
        code = CodeVersion("0.1.0")
        found = WindowProfiles(
            model_name=version[0],
            model_version=version[1],
            window=Window(result.window_start, result.window_end),
            profile=profile,
            objects=("a", "b"),
        )
        return evidence_of(result.name, found, reference, rules, code)

    def hours(self):
        return [
            hour
            for hour in S3Compaction(self.s3, "bucket").hours()
            if hour.hour == NOON and "model_version=3" in hour.name
        ]

    def forget(self, **options) -> Erased:
        forgetting = Forgetting(self.s3, "bucket", "bucket", lambda _name, _total: lambda: None)
        found = forgetting.find(self.events, **options)
        return forgetting.erase(
            self.events, found, lambda: DeadLetterBox(self.sqs, QUEUE, DEAD), 1_800_000_000_000
        )

    def traces(self) -> list[str]:
        """Everything that the bucket and the queue still tell of the events."""
        found = []
        hashes = hash_event_ids([each.event_id for each in self.erased])
        words = [TEXT, repr(NUMBER), *(each.event_id.lower() for each in self.erased)]
        for key, data in self.s3.objects.items():
            if key.startswith("erasures/"):
                continue
            said, numbers = readable(key, data)
            found += [f"{key}: {word}" for word in words if word.lower() in said.lower()]
            found += [f"{key}: {NUMBER}"] * (NUMBER in numbers)
            found += [f"{key}: hash" for each in hashes if each.tobytes() in data]
            found += [f"{key}: hash" for each in hashes if each.tobytes().decode("latin1") in said]
        for body in self.sqs.bodies(DEAD):
            found += [f"letter: {word}" for word in words if word in body]
        return found

    def check_rest(self) -> None:
        """All other records, labels and reports are there, and profiles are theirs alone."""
        for version in ("3", "4", "5"):
            mine = [each for each in self.kept if each.model_version == version]
            ids = sorted({each.event_id for each in mine})
            rows = self.store.read("wine quality", version, DAYS)
            assert sorted(rows["event_id"].to_pylist()) == ids
            profiles = S3ProfileStore(self.s3, "bucket")
            found = profiles.profiles("wine quality", version, DAYS)
            assert sum(each.rows for each in found.variants.values()) == len(ids)
            sample = profiles.sample("wine quality", version, DAYS, 1000)
            assert sorted(sample["event_id"].to_pylist()) == ids
        names = [name for day in (1, 2) for name in self.label_names(day)]
        labelled = self.labels.read(names)["event_id"].to_pylist()
        assert set(labelled) == {self.kept[index].event_id for index in (0, 1, -1)}
        newest, oldest = self.reports.results(10)
        assert (newest.has_report, oldest.has_report, oldest.quality) == (True, False, None)
        assert (
            b"fine" in self.s3.objects["analyses/wine quality/3/20260302T120000Z.PT1H/report.html"]
        )
        day = "performance/model_name=wine quality/model_version=3/date=2026-03-01"
        assert self.s3.objects[f"{day}/hour=13.profile"] == b"other"
        kept = msgspec.msgpack.decode(self.s3.objects[f"{day}.profiles"])
        assert list(kept.values()) == [b"other"]
        assert sum(key.startswith("performance/") for key in self.s3.objects) == 2

    def label_names(self, day: int) -> list[str]:
        hours = self.labels.objects(datetime(2026, 3, day, tzinfo=UTC).date())
        return [name for names in hours.values() for name in names]


def readable(key: str, data: bytes) -> tuple[str, list[float]]:
    """Return all that an object says, compressed or not, as text; and the numbers of sketches."""
    said, numbers = [data.decode("latin1"), key], []
    slices = []
    if key.endswith(".parquet"):
        said.append(repr(read_table(data).to_pylist()))
        notes = read_notes(data)
        said += [note.decode("latin1") for note in notes.values()]
        slices = decode_slices(notes["modelwatch.profile"]) if "modelwatch.profile" in notes else []
    elif key.endswith(".profile") and key.startswith("analyses/"):
        said.append(decompress(data).decode("latin1"))
    elif key.endswith((".hour", ".minutes")):
        said.append(decompress(data).decode("latin1"))
        slices = decode_slices(decompress(data))
    for piece in slices:
        for column in (*piece.profile.features.values(), *piece.profile.outputs.values()):
            numbers += [*column.sketch.weighted()[0], column.minimum, column.maximum]
    return "\n".join(said), numbers


def test_nothing_is_left_of_the_events_and_all_of_the_rest() -> None:
    world = World()
    assert len(world.traces()) > 20
    done = world.forget()
    assert world.traces() == []
    world.check_rest()
    assert done.records == 4
    assert len(done.hours) == 4
    assert (done.reports, done.letters, done.not_found) == (1, 5, [])
    assert done.label_objects == 11
    good = encode_record(world.kept[0]).decode()
    letters = [json.loads(body) for body in world.sqs.bodies(DEAD)]
    assert letters == [json.loads(good), [json.loads(good)]]


def test_a_second_run_finds_nothing() -> None:
    world = World()
    world.forget()
    before = {key for key in world.s3.objects if not key.startswith("erasures/")}
    done = world.forget()
    assert done.records == 0
    assert len(done.not_found) == 3
    assert "no record was found of 3 ids" in done.notes
    assert before == {key for key in world.s3.objects if not key.startswith("erasures/")}


def calls_of_an_erasure() -> list[str]:
    world = World()
    world.s3.calls.clear()
    world.forget()
    return world.s3.calls


@pytest.mark.parametrize("failure", FAILURES)
def test_an_erasure_may_fail_at_every_call(failure: Failure) -> None:
    start = World()
    for number, call in enumerate(calls_of_an_erasure(), 1):
        if call not in FAILURES[failure]:
            continue
        world = again(start)
        world.s3.fail_at, world.s3.failure, world.s3.fails_once = number, failure, True
        try:
            done = world.forget()
            # whether the bucket keeps versions is asked last, and a note may tell that it failed
            assert any("old versions" in note for note in done.notes)
        except StoreError:
            pass
        world.s3.fail_at = None
        world.forget()
        assert world.traces() == []
        world.check_rest()


def test_a_compaction_may_be_at_work_at_the_same_time() -> None:
    start = World()
    for number in range(1, len(calls_of_an_erasure()) + 1, 2):
        world = again(start)
        other = again(world, world.s3.objects)
        world.s3.interrupt_at, world.s3.interruption = number, partial(compact, other)
        world.forget()
        assert world.traces() == []
        world.check_rest()


def test_a_compaction_that_was_at_work_before_brings_nothing_back_for_long() -> None:
    start = World()
    whole = again(start)
    compact(whole)
    for number in range(1, len(whole.s3.calls) + 1):
        world = again(start)
        world.s3.interrupt_at, world.s3.interruption = number, again(world, world.s3.objects).forget
        compact(world)
        compact(world, S3Erasures(world.s3, "bucket").events(1_800_000_000_000))
        assert [trace for trace in world.traces() if not trace.startswith("letter")] == []
        world.check_rest()


def compact(world: World, left_out=NOTHING) -> None:
    compaction = S3Compaction(world.s3, "bucket")
    for hour in compaction.hours():
        if len(hour.objects) > 1:
            compaction.merge(hour, left_out)
    labels = S3LabelCompaction(world.s3, "bucket")
    for hour in labels.hours():
        labels.merge(hour, left_out)


def test_an_event_of_an_unknown_time_is_looked_for_everywhere() -> None:
    world = World()
    (hour,) = {each.captured_at for each in world.erased if each.event_id[14] == "4"}
    assert hour.hour == 14
    again_later = marked(50_000, event_id=world.erased[0].event_id)
    world.events = Events([world.erased[0].event_id])
    world.store.write([again_later])
    world.forget()
    assert any("T01" in trace or "hour=01" in trace for trace in world.traces())
    world.forget(everywhere=True)
    assert not any(again_later.event_id in trace for trace in world.traces())


def again(world: World, objects: dict[str, bytes] | None = None) -> World:
    """The same world once more, or with ``objects`` another process's view of it."""
    other = World.__new__(World)
    other.__dict__ |= world.__dict__
    other.s3 = InMemoryS3(dict(world.s3.objects) if objects is None else objects)
    other.sqs = InMemorySqs(copy.deepcopy(world.sqs.queues))
    other.store = S3RecordStore(other.s3, "bucket")
    other.labels = S3LabelStore(other.s3, "bucket")
    other.reports = S3ReportStore(other.s3, "bucket")
    return other


class LockedS3(InMemoryS3):
    """Keeps what is deleted, and lets no one delete that: as a bucket with Object Lock."""

    def get_bucket_versioning(self, **_: object) -> dict[str, object]:
        return {"Status": "Enabled"}

    def get_paginator(self, name: str) -> InMemoryS3:
        if name == "list_object_versions":
            refusal = {"Error": {"Code": "AccessDenied", "Message": "object protected by a lock"}}
            raise ClientError(refusal, name)
        return self


def test_a_locked_bucket_stops_no_erasure_and_is_reported() -> None:
    world = World()
    locked = again(world)
    locked.s3 = LockedS3(world.s3.objects)
    notes = " ".join(locked.forget().notes)
    assert "old versions of reports and results remain in the bucket" in notes
    assert "object protected by a lock" in notes
    assert locked.traces() == []


def test_queues_that_do_not_respond_are_reported() -> None:
    world = World()
    world.sqs.down.add(DEAD)
    (note,) = world.forget().notes
    assert note.startswith("dead letters and queue were not searched")
    world.sqs.down.clear()
    world.sqs.put(QUEUE, "[]")
    (note, _) = world.forget().notes
    assert note.startswith("about 1 messages are in the capture queue")


def test_what_is_left_of_a_message() -> None:
    gone, kept = "018bcfe5-6800-7000-8000-000000000000", "018bcfe5-6800-7000-8000-000000000001"
    events = Events([gone])
    assert without(json.dumps({"event_id": kept}), events) == json.dumps({"event_id": kept})
    assert without(json.dumps({"event_id": gone.upper()}), events) == ""
    assert without(f'"{gone}"', events) == ""
    labels = {"labels": [{"event_id": gone}, {"event_id": kept}]}
    assert json.loads(without(json.dumps(labels), events)) == {"labels": [{"event_id": kept}]}


def test_ids_of_a_file() -> None:
    event_id = "018bcfe5-6800-7000-8000-000000000000"
    assert read_ids(f"\n {event_id} \n\n") == [event_id]
    with pytest.raises(ModelwatchError, match="line 2: 'x' is no event id"):
        read_ids(f"{event_id}\nx")
