"""A drift is one episode: in any order of the runs, twice, at once, and after an aborted one."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_stage import AnalysisStage, records
from examples import examples
from in_memory_s3 import FAILURES, InMemoryS3
from modelwatch.adapters.results.episodes import S3EpisodeStore
from modelwatch.domain.episodes.notes import (
    MOST_NOTE_CHARACTERS,
    Acceptance,
    Acknowledgement,
    Expectation,
    check_expectation,
    check_text,
)
from modelwatch.domain.episodes.record import EpisodeRecord, decode_record, encode_record
from modelwatch.domain.episodes.series import MOST_SLOTS, Series
from modelwatch.domain.episodes.slots import MOST_FEATURES, FeatureStory, Observation, Slot
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.errors import InvalidInputError, NotFoundError, StoreError

SUPPORT = Path(__file__).parents[2] / "support"
START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def seen(
    after: timedelta,
    status: str,
    *names: str,
    length: str = "PT1H",
    version: str = "1",
    strength: float = 2.0,
) -> Observation:
    end = START + after
    slot = Slot(quiet=end) if status == "ok" else Slot()
    if status == "drift":
        stories = {
            name: FeatureStory(first=end, worst=end, strength=strength) for name in names or ("a",)
        }
        slot = Slot(drift=end, last=end, features=stories, drifted=len(stories))
    return Observation(version, length, end, slot)


def recorded(*observations: Observation) -> EpisodeRecord:
    record = EpisodeRecord(model_name="wine")
    for each in observations:
        record = record.add(each)
    return record


def hours(statuses: str, length: str = "PT1H", step: timedelta = HOUR, **more) -> list[Observation]:
    """Return results one after the other: d(rift), o(k), u(nknown)."""
    words = {"d": "drift", "o": "ok", "u": "unknown"}
    return [
        seen((at + 1) * step, words[each], length=length, **more)
        for at, each in enumerate(statuses)
    ]


def spans(record: EpisodeRecord) -> list[tuple[float, float | None]]:
    """Return when episodes open and close, in hours, the oldest first."""
    return sorted(
        (
            (each.opened - START) / HOUR,
            None if each.closed is None else (each.closed - START) / HOUR,
        )
        for each in record.episodes()
    )


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("oooo", []),
        ("oodd", [(3, None)]),
        ("oddo", [(2, None)]),  # one quiet hour is not enough
        ("oddoo", [(2, 5)]),
        ("odododoo", [(2, 8)]),  # it opens once
        ("odoood", [(2, 4), (6, None)]),
        ("oduuuuuu", [(2, None)]),  # what is unknown closes none
        ("uuuu", []),
        ("oduuuo", [(2, 6)]),
    ],
)
def test_an_episode_opens_once_and_closes_when_it_is_quiet(statuses, expected):
    assert spans(recorded(*hours(statuses))) == expected


def test_windows_of_every_minute_do_not_flap():
    minute = timedelta(minutes=1)
    flapping = "o" * 60 + "do" * 60
    record = recorded(*hours(flapping + "o" * 100, step=minute))
    assert len(record.episodes()) == 1
    assert record.episodes()[0].closed is None
    later = recorded(*hours(flapping + "o" * 140, step=minute))
    (episode,) = later.episodes()
    assert episode.closed is not None
    assert episode.reason == "quiet"
    assert timedelta(hours=1, minutes=45) <= episode.closed - episode.last <= 2.25 * HOUR


def test_one_fault_that_several_lengths_see_is_one_episode():
    # a bad afternoon: the hours see it at once, the day at midnight, the week for a week
    hourly = hours("o" * 12 + "ddd" + "o" * 200)
    daily = [seen(DAY, "drift", "a", length="P1D")]
    daily += [seen(day * DAY, "ok", length="P1D") for day in range(2, 10)]
    weekly = [seen(day * DAY, "drift", "a", "b", length="P7D") for day in range(1, 7)]
    first = recorded(*hourly[:20])
    assert [each.closed for each in first.episodes()] != [None]
    (episode,) = recorded(*hourly, *daily, *weekly).episodes()
    assert episode.closed is None
    assert [each.length for each in episode.lengths] == ["PT1H", "P1D", "P7D"]
    assert episode.features["a"].first == START + 13 * HOUR
    quiet = [seen(day * DAY, "ok", length="P7D") for day in (7, 8)]
    (episode,) = recorded(*hourly, *daily, *weekly, *quiet).episodes()
    assert episode.closed == START + 8 * DAY


def test_a_length_joins_the_newest_episode_that_it_looks_at():
    hourly = hours("oddoo" + "o" * 150 + "dd")
    weekly = [seen(7 * DAY, "drift", length="P7D")]
    newest, oldest = recorded(*hourly, *weekly).episodes()
    assert (oldest.closed, len(oldest.lengths)) == (START + 5 * HOUR, 1)
    assert {each.length for each in newest.lengths} == {"PT1H", "P7D"}


def test_each_version_has_its_own_and_one_that_is_not_analyzed_any_more_is_over():
    old = hours("odd")
    new = hours("o" * 40, version="2")
    record = recorded(*old, *new)
    assert record.episodes()[0].status == "open"
    record = recorded(*old, *new, *hours("o" * 80, version="2"))
    (episode,) = record.episodes()
    assert (episode.model_version, episode.reason) == ("1", "no longer analyzed")


_STATUS = st.sampled_from(["ok", "drift", "unknown"])
_LENGTH = st.sampled_from([("PT1H", HOUR), ("PT1H", timedelta(minutes=7)), ("P1D", DAY)])


@st.composite
def sequences(draw: st.DrawFn) -> list[Observation]:
    found: dict[tuple[str, datetime], Observation] = {}
    for _ in range(draw(st.integers(1, 3))):
        length, step = draw(_LENGTH)
        for at in draw(st.lists(st.integers(0, 60), max_size=25)):
            names = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))
            strength = draw(st.sampled_from([1.0, 2.0, 3.0]))
            each = seen(at * step, draw(_STATUS), *names, length=length, strength=strength)
            found.setdefault((length, each.end), each)
    return list(found.values())


@settings(max_examples=examples(80), deadline=None)
@given(sequences(), st.randoms())
def test_neither_order_nor_repetition_changes_anything(observations, random):
    inorder = sorted(observations, key=lambda each: each.end)
    shuffled = observations * 2
    random.shuffle(shuffled)
    one, other = recorded(*inorder), recorded(*shuffled)
    assert one == other
    assert one.episodes() == other.episodes()
    assert decode_record(encode_record(one)) == one


@settings(max_examples=examples(60), deadline=None)
@given(sequences(), st.integers(0, 400))
def test_what_is_settled_says_the_same(observations, at):
    series = Series()
    for each in observations:
        if each.length == "PT1H":
            series = series.add(each)
    numbers = sorted(series.slots)
    if numbers:
        settled = series.settle(numbers[at % len(numbers)])
        assert settled.all_spans() == series.all_spans()


def test_a_record_stays_small():
    names = [f"feature {number}" for number in range(300)]
    record = EpisodeRecord(model_name="wine")
    for at in range(3 * MOST_SLOTS):
        record = record.add(seen(at * HOUR, "drift", *names))
    (episode,) = record.episodes()
    assert (episode.opened, episode.drifted) == (START, 300)
    assert len(episode.features) == MOST_FEATURES
    assert len(record.series["1"]["PT1H"].slots) == MOST_SLOTS
    for version in range(40):
        record = record.add(seen(300 * HOUR, "drift", version=str(version)))
    assert len(record.series) == 20
    late = seen(HOUR, "ok")  # long settled
    assert recorded(*hours("d" * 3 * MOST_SLOTS)).add(late).episodes()[0].closed is None


def acknowledged(record: EpisodeRecord, at: datetime) -> EpisodeRecord:
    episode = record.episodes()[0].id
    return record.acknowledge(Acknowledgement(episode=episode, who="ada", note="ours", at=at))


def test_an_acknowledged_episode_does_not_alert_while_it_is_open():
    record = acknowledged(recorded(*hours("odd")), START + 4 * HOUR)
    assert record.episodes()[0].status == "acknowledged"
    # a window before it that comes late changes its id, and the note stays
    earlier = record.add(seen(HOUR, "drift"))
    (episode,) = earlier.episodes()
    assert (episode.status, episode.opened) == ("acknowledged", START + HOUR)
    assert earlier.find(record.episodes()[0].id) == episode
    closed = recorded(*hours("oddoo"))
    with pytest.raises(InvalidInputError, match="closed"):
        acknowledged(closed, START + 6 * HOUR)
    # the next one alerts, and so does one that another length opens again
    more = record
    for each in hours("oddooodd")[3:]:
        more = more.add(each)
    assert [each.status for each in more.episodes()] == ["open", "closed"]
    again = record.add(seen(5 * HOUR, "ok")).add(seen(DAY, "drift", length="P1D"))
    assert [each.status for each in again.episodes()] == ["open"]


def expected(*features: str, start: float = 0, end: float = 4) -> Expectation:
    return Expectation(
        id=0,
        features=features,
        start=START + start * HOUR,
        end=START + end * HOUR,
        reason="sale",
        who="ada",
        at=START,
    )


def status(record: EpisodeRecord) -> str:
    return record.episodes()[0].status


def test_drift_that_is_expected_does_not_alert_until_its_end():
    record = recorded(*hours("odd"))
    assert status(record.expect(expected())) == "expected"
    assert status(record.expect(expected("a", "b"))) == "expected"
    assert status(record.expect(expected("b"))) == "open"
    assert status(record.expect(expected(start=3))) == "open"  # windows before it
    both = record.expect(expected("b")).add(seen(3 * HOUR + HOUR / 8, "drift", "a", "b"))
    assert status(both) == "open"
    assert status(both.expect(expected("a"))) == "expected"  # together they name both
    # after its end windows without a part of it alert, in the same episode
    over = record.expect(expected())
    assert status(over.add(seen(4.5 * HOUR, "drift"))) == "expected"
    assert status(over.add(seen(5 * HOUR, "drift"))) == "open"
    withdrawn = record.expect(expected()).withdraw(1, "bob", START + HOUR)
    assert status(withdrawn) == "open"
    assert withdrawn.notes.expected[0].status(START) == "withdrawn"
    with pytest.raises(InvalidInputError):
        withdrawn.withdraw(1, "bob", START + HOUR)
    with pytest.raises(NotFoundError):
        withdrawn.withdraw(7, "bob", START + HOUR)


def test_an_accepted_episode_is_over_and_what_it_saw_joins_no_other():
    record = recorded(*hours("odd"), seen(DAY, "drift", length="P1D"))
    episode = record.episodes()[0].id
    note = Acceptance(
        episode=episode, baseline="b", before="", who="ada", note="", at=START + 26 * HOUR
    )
    accepted = record.accept(note)
    (over,) = accepted.episodes()
    assert (over.status, over.reason, over.closed) == ("closed", "accepted", note.at)
    assert over.accepted is not None
    assert over.accepted.baseline == "b"
    assert accepted.add(seen(20 * HOUR, "drift")).episodes() == [over]  # it came late
    later = accepted.add(seen(2 * DAY, "drift", length="P1D"))
    assert [each.status for each in later.episodes()] == ["open", "closed"]
    reverted = later.revert(episode, "bob", "no", START + 50 * HOUR)
    assert [each.reason for each in reverted.episodes()] == ["reverted", "accepted"]
    assert reverted.find(episode).accepted.reverted_by == "bob"
    with pytest.raises(InvalidInputError, match="not accepted"):
        reverted.revert(episode, "bob", "no", START + 50 * HOUR)


@pytest.mark.parametrize(
    "text", ["", "   ", "a\nb", "a\x1b[2Jb", "a\x00", "\ud800", "a\u2028b", "x" * 501]
)
def test_notes_are_one_line_of_bounded_length(text):
    with pytest.raises(InvalidInputError):
        check_text(text, "--note")
    assert check_text(" ok ", "--note") == "ok"
    assert MOST_NOTE_CHARACTERS == 500


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"end": START}, "not after"),
        ({"end": START + 93 * DAY}, "92 days"),
        ({"at": START + DAY}, "past"),
        ({"features": ("a\tb",)}, "feature"),
        ({"features": tuple(map(str, range(51)))}, "50"),
    ],
)
def test_an_expectation_has_an_end_and_names(changes, says):
    with pytest.raises(InvalidInputError, match=says):
        check_expectation(msgspec.structs.replace(expected(), **changes))


def test_runs_at_once_lose_nothing():
    s3 = InMemoryS3()
    given = hours("odddododdddduuoooddd" * 4)

    def write(some: list[Observation]) -> None:
        store = S3EpisodeStore(s3, "reports")
        for each in some:
            store.update("wine/1", lambda record, each=each: record.add(each))

    threads = [threading.Thread(target=write, args=(given[at::2],)) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = S3EpisodeStore(s3, "reports")
    assert (
        stored.load("wine/1").episodes()
        == msgspec.structs.replace(recorded(*given), model_name="wine/1").episodes()
    )
    assert list(stored.models()) == ["wine/1"]
    calls = len(s3.calls)
    stored.update("wine/1", lambda record: record.add(given[3]))
    assert s3.calls[calls:] == ["get"]  # nothing new, nothing written


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("number", range(1, 5))
def test_an_aborted_write_leaves_the_old_record_or_the_new_one(failure, number):
    s3 = InMemoryS3()
    store = S3EpisodeStore(s3, "reports")
    first, second = hours("od")
    store.update("wine", lambda record: record.add(first))
    s3.calls.clear()
    s3.fail_at, s3.failure, s3.fails_once = number, failure, True
    for _ in range(2):
        try:
            store.update("wine", lambda record: record.add(second))
        except StoreError:
            continue
    s3.fail_at = None
    assert store.load("wine") == recorded(first, second)


def test_a_record_that_format_1_stored_is_read():
    record = decode_record((SUPPORT / "episodes-1.json").read_bytes())
    newest, accepted = record.episodes()
    assert (newest.status, newest.opened) == ("open", START + 90 * HOUR)
    assert (accepted.status, accepted.reason) == ("closed", "accepted")
    assert [each.note for each in accepted.acknowledged] == ["ours"]
    assert accepted.accepted is not None
    assert (accepted.accepted.note, accepted.accepted.reverted_by) == ("new market", "bob")
    assert {each.length for each in accepted.lengths} == {"PT1H", "P1D"}
    assert record.notes.expected[0].status(START) == "withdrawn"
    assert decode_record(encode_record(record)) == record


def test_a_record_of_another_format_is_refused():
    with pytest.raises(StoreError, match="format 2; this code reads 1"):
        decode_record(b'{"model_name": "wine", "format": 2}')
    with pytest.raises(StoreError, match="cannot be read"):
        decode_record(b'{"model_name": 1}')


def test_the_schedule_opens_one_and_what_someone_asks_for_does_not():
    stage = AnalysisStage(plans=(WindowPlan(HOUR), WindowPlan(DAY)), history_days=0)
    stage.store.write(records(100, 5.0))
    stage.analyze()
    assert stage.episodes.load("wine").episodes() == []
    stage.run_after(seconds=1)
    (episode,) = stage.episodes.load("wine").episodes()
    assert (episode.status, set(episode.features)) == ("open", {"alcohol"})
    assert {each.length for each in episode.lengths} == {"PT1H", "P1D"}
    before = dict(stage.s3.objects)
    stage.service.analyze_due(stage.now)
    assert stage.s3.objects == before
    shown = {each.name: each.value for each in stage.metrics.samples}
    assert shown["evidently_episode_status"] == 1
    assert shown["evidently_episode_opened_timestamp_seconds"] == episode.opened.timestamp()


def test_the_report_of_a_drift_names_its_episode():
    stage = AnalysisStage(history_days=0)
    stage.store.write(records(100, 5.0))
    stage.run_after(seconds=1)
    (episode,) = stage.episodes.load("wine").episodes()
    assert any(episode.id in note for note in stage.reporter.notes)


def test_a_run_that_could_not_note_its_result_does_it_again():
    stage = AnalysisStage(history_days=0)
    stage.store.write(records(100, 5.0))

    class Away(S3EpisodeStore):
        def update(self, *_given):
            raise StoreError("S3 is away")

    stage.make_service(episodes=Away(stage.s3, "reports"))
    assert "store" in stage.run_after(seconds=1).failures["wine version 1"]
    stage.make_service()
    stage.service.analyze_due(stage.now)
    assert len(stage.episodes.load("wine").episodes()) == 1
