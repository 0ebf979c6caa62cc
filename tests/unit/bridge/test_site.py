"""The bridge's HTTP side for people: files, headers, reports."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from bridge_story import BridgeStory, served
from modelwatch.domain.episodes.notes import Acknowledgement
from modelwatch.domain.episodes.record import EpisodeRecord
from modelwatch.domain.episodes.slots import FeatureStory, Observation, Slot
from modelwatch_bridge.serving import site as site_module
from modelwatch_bridge.serving.site import Site


@pytest.fixture
def story(tmp_path: Path) -> Iterator[BridgeStory]:
    story = BridgeStory(tmp_path)
    story.analyze("wine", "3", "drift", {"ash": 0.8})
    story.show()
    yield story
    story.close()


def test_the_page_and_its_files_come_from_here_alone(story: BridgeStory) -> None:
    with served(story) as url:
        page = httpx.get(url)
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script>" not in page.text
        assert not re.search(r"\son\w+=|style=|https?://", page.text)
        for path in re.findall(r'(?:href|src)="(page/[^"]+)"', page.text):
            file = httpx.get(f"{url}/{path}")
            assert file.status_code == 200, path
            assert "https://" not in file.text, path


def test_every_file_of_the_page_is_served_and_is_small() -> None:
    folder = Path(site_module.__file__).parent / "page"
    files = {file.name: len(file.read_bytes()) for file in folder.iterdir()}
    assert set(files) == set(site_module._TYPES)
    assert sum(files.values()) < 60_000


@pytest.mark.parametrize(
    "path",
    [
        "/page/../server.py",
        "/page/%2e%2e/site.py",
        "/page/",
        "/api/",
        "/api/secrets",
        "/reports",
        "/reports/",
        "/api/drift",
        "/api/drift?model=wine&version=99",
    ],
)
def test_there_is_nothing_else(story: BridgeStory, path: str) -> None:
    with served(story) as url:
        request = urllib.request.Request(url + path)  # httpx would tidy the path up
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(request)


def test_text_is_never_set_as_html() -> None:
    folder = Path(site_module.__file__).parent / "page"
    for file in folder.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function",
            file.read_text(),
        ), file.name


def test_reports_are_listed_and_shown_in_an_origin_of_their_own(story: BridgeStory) -> None:
    with served(story) as url:
        (result,) = httpx.get(f"{url}/api/reports").json()["results"]
        assert result["has_report"]
        report = httpx.get(f"{url}/reports/{result['name']}")
        assert result["name"] in report.text
        policy = report.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox allow-scripts")
        assert "allow-same-origin" not in policy
        assert "connect-src" not in policy  # so default-src 'none' holds


def test_open_episodes_are_listed_with_what_people_said(story: BridgeStory) -> None:
    opened = datetime(2026, 3, 2, 13, tzinfo=UTC)
    feature = FeatureStory(first=opened, worst=opened, strength=2.0)
    slot = Slot(drift=opened, last=opened, features={"<b>": feature}, drifted=1)
    record = EpisodeRecord(model_name="wine").add(Observation("3", "PT1H", opened, slot))
    note = Acknowledgement(
        episode=record.episodes()[0].id, who="ada", note="<i>ours</i>", at=datetime.now(UTC)
    )
    story.results.episodes = record.acknowledge(note).episodes()
    with served(story) as url:
        (episode,) = httpx.get(f"{url}/api/reports").json()["episodes"]
    assert (episode["id"], episode["status"]) == ("3-20260302T130000Z", "acknowledged")
    assert (episode["features"], episode["notes"]) == (["<b>"], ["ada: <i>ours</i>"])


def test_what_was_read_for_results_completes_the_list_of_models(story: BridgeStory) -> None:
    result = replace(story.results.found[0], model_name="old", name="old.3.20261101T000000Z")
    story.results.found.append(result)
    with served(story) as url:
        (known,) = httpx.get(f"{url}/api/overview").json()["all"]
        asked = len(story.results.asked)
        httpx.get(f"{url}/api/reports")
        found = httpx.get(f"{url}/api/overview").json()["all"]
        own = httpx.get(f"{url}/api/overview?model=old").json()["models"]
        assert len(story.results.asked) == asked + 1
    assert (known["model"], [each["model"] for each in found]) == ("wine", ["old", "wine"])
    assert [(each["model"], each["status"], each["analyzed_ms"]) for each in own] == [
        ("old", "drift", None)
    ]


def test_a_dashboard_finds_the_newest_report_of_a_version(story: BridgeStory) -> None:
    with served(story) as url:
        newest = httpx.get(f"{url}/reports/newest?model=wine&version=3", follow_redirects=True)
        assert story.results.found[0].name in newest.text
        assert httpx.get(f"{url}/reports/newest?model=wine&version=4").status_code == 404
        assert httpx.get(f"{url}/reports/newest").status_code == 404


def test_the_newest_report_is_found_behind_many_results_without_one(story: BridgeStory) -> None:
    with_report = story.results.found[0].name
    link = "/reports/newest?model=wine&version=3"
    with served(story) as url:
        for count in (40, 5, 200):  # before someone looks, while someone looks, when no one does
            for _ in range(count):
                story.clock.advance(60)
                story.analyze("wine", "3", "ok", {"ash": 0.1})
            response = httpx.get(url + link)
            assert response.headers["Location"] == with_report, count
        story.clock.advance(60)
        story.analyze("wine", "3", "drift", {"ash": 0.9})
        assert httpx.get(url + link).headers["Location"] == story.results.found[0].name


def test_a_store_that_does_not_respond_is_reported_and_asked_again(story: BridgeStory) -> None:
    story.results.problem = "the bucket is gone"
    with served(story) as url:
        assert httpx.get(f"{url}/api/reports").json()["problem"] == "the bucket is gone"
        story.results.problem = ""
        story.clock.advance(20)
        assert httpx.get(f"{url}/api/reports").json()["problem"] == ""


def test_a_result_that_cannot_be_read_is_reported(story: BridgeStory) -> None:
    story.results.found = [None]  # type: ignore[list-item]
    with served(story) as url:
        assert "AttributeError" in httpx.get(f"{url}/api/reports").json()["problem"]


def test_without_a_store_there_are_no_reports(story: BridgeStory) -> None:
    site = Site(story.history, story.health, None, "local")
    assert site.respond("/reports/wine.3.20260102T030405Z", {}).status == 404
    assert site.respond("/api/reports", {}).body == (
        b'{"results":[],"reports":[],"problem":"","episodes":[]}'
    )


def test_a_bridge_whose_page_no_one_opens_carries_no_library_of_the_analysis() -> None:
    code = "import sys, modelwatch_bridge.main; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "pyarrow", "pandas", "scipy"} & set(done.stdout.split())


def test_a_report_that_someone_asked_for_counts_if_it_is_the_newest(story: BridgeStory) -> None:
    story.clock.advance(60)
    story.analyze("wine", "3", "drift", {"ash": 0.9})
    newest, scheduled = story.results.found[:2]
    state = story.results.states()[0]
    older = replace(state, report=scheduled.name, report_end=scheduled.window_end)
    story.results.states = lambda _model: [older]  # type: ignore[method-assign]
    with served(story) as url:
        link = httpx.get(f"{url}/reports/newest?model=wine&version=3")
        assert link.headers["Location"] == newest.name


def test_a_models_page_has_that_models_own_results(story: BridgeStory) -> None:
    for number in range(20):
        story.clock.advance(60)
        story.analyze("beer", str(number), "ok", {"ash": 0.1})
    with served(story) as url:
        everything = httpx.get(f"{url}/api/reports").json()["results"]
        assert {each["model"] for each in everything} == {"beer"}
        own = httpx.get(f"{url}/api/reports", params={"model": "wine"}).json()
        assert [each["model"] for each in own["results"]] == ["wine"]
        assert [each["model"] for each in own["reports"]] == ["wine"]
        none = httpx.get(f"{url}/api/reports", params={"model": "gin"}).json()
        assert (none["results"], none["problem"]) == ([], "")


def test_what_has_not_changed_is_neither_read_nor_sent_again(story: BridgeStory) -> None:
    with served(story) as url:
        first = httpx.get(f"{url}/api/reports")
        assert first.headers["Cache-Control"] == "private, no-cache"
        tag = {"If-None-Match": first.headers["ETag"]}
        story.results.asked.clear()
        story.clock.advance(30)
        again = httpx.get(f"{url}/api/reports", headers=tag)
        assert (again.status_code, again.content) == (304, b"")
        assert story.results.asked == []
        story.analyze("wine", "3", "ok", {"ash": 0.1})
        story.show()
        changed = httpx.get(f"{url}/api/reports", headers=tag)
        assert (changed.status_code, len(changed.json()["results"])) == (200, 2)
        assert story.results.asked == [""]
        story.clock.advance(60)
        assert httpx.get(f"{url}/api/reports").json() == changed.json()
        assert story.results.asked == ["", ""]
