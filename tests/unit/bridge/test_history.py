"""What the page for people gets to know, and how much of it is kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_story import BridgeStory
from modelwatch.metric_names import CATALOG, LATENCY_BUCKETS
from modelwatch.ports.metrics import Sample
from modelwatch_bridge.counting.collector import TotalsCollector
from modelwatch_bridge.history import analyses
from modelwatch_bridge.history import history as limits
from modelwatch_bridge.history.history import History
from modelwatch_bridge.history.history_file import HistoryFile
from modelwatch_bridge.history.hour import quantile
from modelwatch_bridge.serving.overview import MAX_VERSIONS, drift, overview

WINE = ("wine", "3")


@pytest.fixture
def story(tmp_path: Path) -> Iterator[BridgeStory]:
    story = BridgeStory(tmp_path)
    yield story
    story.close()


def restarted(story: BridgeStory) -> History:
    collector = TotalsCollector(story.ledger.totals)
    return History(story.ledger.totals, collector, CATALOG, story.clock, story.store)


def test_traffic_is_separated_by_version_and_time(story: BridgeStory) -> None:
    for rows in (3, 0, 5):
        story.predict(rows, "wine", "3")
        story.predict(1, "wine", "4", "challenger")
        story.clock.advance(10)
        story.show()

    (champion, challenger) = overview(story.history.view())["models"]
    assert champion["traffic"][-3:] == [3, 0, 5]
    assert champion["traffic"][-4] is None  # the bridge did not run
    assert (champion["predictions"], challenger["predictions"]) == (8, 3)
    assert (champion["variants"], challenger["variants"]) == (["production"], ["challenger"])
    assert 0 < champion["latency"]["p50"] <= champion["latency"]["p99"]


def test_a_version_without_analysis_or_with_too_little_data_is_not_ok(story: BridgeStory) -> None:
    story.predict(2, "wine", "3")
    story.clock.advance(10)
    story.show()
    assert [model["status"] for model in overview(story.history.view())["models"]] == ["unknown"]

    story.analyze("wine", "3", "ok", {"ash": 0.1})
    story.show()
    assert overview(story.history.view())["models"][0]["status"] == "ok"

    story.clock.advance(60)
    story.analyze("wine", "3", "unknown")
    story.show()
    (model,) = overview(story.history.view())["models"]
    assert (model["status"], model["drifted"], model["share"]) == ("unknown", [], None)


def test_a_version_shows_how_it_stands_by_all_of_its_windows(story: BridgeStory) -> None:
    of = {"model_name": "wine", "model_version": "3"}
    for main, standing, shown in (
        ("unknown", 0, "ok"),
        ("ok", 1, "drift"),
        ("unknown", 2, "unknown"),
    ):
        story.analyze("wine", "3", main)
        story.emit(Sample("evidently_version_status", standing, of))
        story.show()
        (model,) = overview(story.history.view())["models"]
        assert (model["main"], model["status"]) == (main, shown)
        story.clock.advance(60)


def test_models_are_listed_worst_first_with_their_owners(story: BridgeStory) -> None:
    for model, version, status in (
        ("calm", "1", "ok"), ("calm", "2", "warning"), ("busy", "9", "ok"), ("bad", "1", "drift"),
    ):  # fmt: skip
        story.predict(9 if model == "busy" else 1, model, version)
        story.analyze(model, version, status, {"ash": 0.1})
    story.predict(1, "new", "1")
    story.emit(Sample("model_monitor_info", 1, {"model_name": "bad", "owner": "before"}))
    story.clock.advance(10)
    story.emit(Sample("model_monitor_info", 1, {"model_name": "bad", "owner": "team"}))
    story.show()
    found = overview(story.history.view())
    listed = [(each["model"], each["status"], each["versions"]) for each in found["all"]]
    assert listed[:2] == [("bad", "drift", 1), ("calm", "warning", 2)]
    assert {each[0] for each in listed[2:]} == {"busy", "new"}
    assert [each["owner"] for each in found["all"]][:2] == ["team", ""]
    own = overview(story.history.view(), "calm")
    assert [each["version"] for each in own["models"]] == ["2", "1"]
    assert own["all"] == found["all"]


def test_models_without_a_card_are_in_the_list(story: BridgeStory) -> None:
    for number in range(MAX_VERSIONS + 6):
        story.predict(1, f"model {number}", "1")
    story.clock.advance(10)
    story.show()
    found = overview(story.history.view())
    assert (len(found["models"]), len(found["all"])) == (MAX_VERSIONS, MAX_VERSIONS + 6)
    (last,) = overview(story.history.view(), found["all"][-1]["model"])["models"]
    assert last["model"] == found["all"][-1]["model"]


def test_models_whose_analyses_were_not_seen_are_listed_by_their_stored_results(story, tmp_path):
    (tmp_path / "before").mkdir()
    before = BridgeStory(tmp_path / "before")
    before.analyze("old", "3", "drift", {"ash": 0.8})
    before.analyze("busy", "1", "drift", {"ash": 0.8})
    before.analyze("seen", "1", "drift", {"ash": 0.8})
    before.close()
    story.clock.advance(60)
    story.predict(1, "busy", "1")
    story.analyze("seen", "1", "ok", {"ash": 0.1})
    story.show()
    found = overview(story.history.view(), stored=before.results.states())["all"]
    ended = story.clock() - 60_000
    assert [(each["model"], each["status"], each["stored_ms"]) for each in found] == [
        ("busy", "drift", ended), ("old", "drift", ended), ("seen", "ok", None),
    ]  # fmt: skip
    assert [each["analyzed_ms"] is None for each in found] == [True, True, False]


def test_features_over_time_worst_first_with_gaps_where_nothing_is_known(story):
    for status, scores in (
        ("ok", {"ash": 0.1, "hue": 0.05}),
        ("unknown", None),
        ("drift", {"ash": 0.1, "hue": 0.9, "new": 0.15}),
    ):
        story.analyze("wine", "3", status, scores, {"hue": 0.25})
        story.show()
        story.clock.advance(60)

    found = drift(story.history.view(), WINE)
    assert found is not None
    assert [entry["status"] for entry in found["analyses"]] == ["ok", "unknown", "drift"]
    assert [feature["name"] for feature in found["features"]] == ["hue", "new", "ash"]
    assert found["features"][0]["cells"] == [[0.05, 0, 0.25, 0.2], None, [0.9, 1, 0.25, 0.2]]
    assert found["features"][1]["cells"] == [None, None, [0.15, 0, 0, 0.2]]
    assert drift(story.history.view(), ("wine", "99")) is None


def test_what_comes_late_of_an_analysis_completes_it(story: BridgeStory) -> None:
    of = {"model_name": "wine", "model_version": "3"}
    story.emit(Sample("evidently_drift_status", 1, of))
    story.show()
    story.clock.advance(2)
    score = Sample("evidently_feature_drift_score", 0.7, {**of, "feature": "ash", "method": "psi"})
    story.emit(score)
    story.show()

    (analysis,) = story.history.view().analyses[WINE]
    assert (analysis.features, analysis.methods) == (("ash",), ("psi",))


def test_it_outlives_a_restart_and_counts_nothing_again(story: BridgeStory) -> None:
    story.predict(4, "wine", "3")
    story.analyze("wine", "3", "drift", {"ash": 0.8})
    story.clock.advance(10)
    story.show()
    before = story.history.view()
    story.clock.advance(60)

    again = restarted(story)
    again.observe({})
    story.clock.advance(10)
    again.observe({})

    view = again.view()
    assert view.slots[: len(before.slots)] == before.slots
    assert all(not slot.added for slot in view.slots[len(before.slots) :])
    assert drift(view, WINE) == drift(before, WINE)
    (model,) = overview(view)["models"]
    assert (model["predictions"], model["status"]) == (4, "drift")


def test_a_warning_outlives_a_restart_and_is_ok_to_an_earlier_version(
    story: BridgeStory, tmp_path: Path
) -> None:
    story.analyze("wine", "3", "warning", {"ash": 0.8, "hue": 0.1, "alcohol": 0.1})
    story.show()
    story.clock.advance(60)
    again = restarted(story)
    again.observe({})
    (model,) = overview(again.view())["models"]
    assert (model["status"], model["drifted"]) == ("warning", ["ash"])
    story.store.close()
    ((body,),) = sqlite3.connect(tmp_path / "state-history.sqlite").execute(
        "SELECT body FROM analysis"
    )
    assert json.loads(body)[0] == 0


def test_memory_is_bounded(story: BridgeStory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SERIES", 5)
    monkeypatch.setattr(limits, "MAX_VERSIONS", 3)
    monkeypatch.setattr(analyses, "MAX_FEATURES", 2)
    story.analyze("old", "1", "unknown")
    story.show()
    story.clock.advance(100_000)
    for round_ in range(limits.ANALYSES + 5):
        for version in range(5):
            story.predict(1, "wine", str(version))
            scores = {f"f{n}": n / 10 for n in range(4)}
            story.analyze("wine", str(version), "drift", scores)
        story.clock.advance(60 if round_ % 2 else 3600)
        story.show()

    view = story.history.view()
    assert len(view.slots) <= limits.SLOTS
    assert max(len(slot.added) for slot in view.slots) == 5
    assert view.left_out > 0
    assert len(view.analyses) == 3
    assert {len(ring) for ring in view.analyses.values()} == {limits.ANALYSES}
    assert ("old", "1") not in view.analyses
    # the worst are kept
    assert {a.features for ring in view.analyses.values() for a in ring} == {("f2", "f3")}
    assert len(list(story.store.slots(0))) <= limits.SLOTS + 1


def test_any_name_gets_through_as_it_is(story: BridgeStory) -> None:
    hostile = [
        "<img src=x onerror=alert(1)>",
        '"};alert(1)//',
        "__proto__",
        "\u202eevil",
        "\ud7ff😀",
    ]
    for model in hostile:
        story.predict(1, model, "1")
        story.analyze(model, "1", "drift", {"constructor": 0.9, "</script>": 0.5})
    story.clock.advance(10)
    story.show()

    response = story.site.respond("/api/overview", {})
    assert {model["model"] for model in json.loads(response.body)["models"]} == set(hostile)
    assert response.content_type == "application/json"
    again = restarted(story)
    again.observe({})
    assert again.view().analyses == story.history.view().analyses


def test_a_broken_file_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"this is no database, and long enough to be taken for one" * 100)
    file = HistoryFile(path)
    assert list(file.slots(0)) == []
    assert "is replaced" in caplog.text
    file.close()


def test_a_file_that_cannot_be_made_is_reported(tmp_path, caplog):
    file = HistoryFile(tmp_path)
    assert list(file.analyses(3)) == []
    assert "is not kept" in caplog.text
    file.close()


@given(
    st.lists(st.integers(0, 1000), min_size=len(LATENCY_BUCKETS) + 1, max_size=14),
    st.sampled_from([0.5, 0.95, 0.99]),
)
def test_a_quantile_lies_in_the_bucket_that_holds_it(counts: list[int], q: float) -> None:
    value = quantile(LATENCY_BUCKETS, counts, q)
    if not any(counts):
        assert value is None
        return
    assert value is not None
    bounds = (0.0, *LATENCY_BUCKETS, float("inf"))
    below = 0
    for lower, upper, count in zip(bounds, bounds[1:], counts, strict=False):
        below += count
        if below >= q * sum(counts) and count:
            assert lower <= value <= min(upper, LATENCY_BUCKETS[-1])
            return


def test_requests_errors_queues_and_functions_are_summed_up(story: BridgeStory) -> None:
    story.hour("wine")
    found = overview(story.history.view())
    assert sum(filter(None, found["requests"]["2xx"])) == sum(
        model["predictions"] for model in found["models"]
    )
    assert sum(filter(None, found["requests"]["5xx"])) == 2
    assert found["errors"] == [{"model": "wine", "type": "ModelUnavailableError", "count": 2}]
    (queue, dead) = found["queues"]
    assert (queue["dead"], dead["dead"], dead["states"]) == (False, True, {"visible": 1})
    assert dead["visible"][-1] == 1
    functions = {entry["name"]: entry for entry in found["functions"]}
    assert functions["modelwatch-local-predict"]["invocations"] == 360
    assert functions["modelwatch-local-analyze"]["cold_starts"] == 1
    assert 1 < functions["modelwatch-local-analyze"]["duration"]["p50"] <= 2.5
    drifting = next(model for model in found["models"] if model["version"] == "3")
    assert (drifting["status"], len(drifting["drifted"])) == ("drift", 7)
    assert drifting["missing"][0][0] == "ash"
