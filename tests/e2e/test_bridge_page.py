"""The bridge's page in a real browser: large, small, with hostile names, and without a bridge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from bridge_story import BridgeStory, served
from modelwatch.domain.episodes.notes import Acknowledgement
from modelwatch.domain.episodes.record import EpisodeRecord
from modelwatch.domain.episodes.slots import FeatureStory, Observation, Slot

pytestmark = pytest.mark.servers

HOSTILE = "<img src=x onerror=\"document.title='owned'\">\"';</script><script>alert(1)</script>"
LONG = "a_model_whose_name_is_as_long_as_a_label_may_be_" * 2 + "and_then_some_more_of_it"


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeStory]:
    """A bridge after an hour; it changes no more."""
    story = BridgeStory(tmp_path_factory.mktemp("bridge"))
    story.hour()
    yield story
    story.close()


class Visit:
    """A page, and what it did that it should not."""

    def __init__(
        self, browser: Browser, url: str, width: int = 1280, scheme: str = "light"
    ) -> None:
        context = browser.new_context(
            viewport={"width": width, "height": 844},
            color_scheme=scheme,  # type: ignore[arg-type]
            has_touch=width < 600,
            timezone_id="UTC",
        )
        self.page: Page = context.new_page()
        self.problems: list[str] = []
        self.hosts: set[str | None] = set()
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("dialog", lambda dialog: self.problems.append(dialog.message))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname))
        self.page.goto(url)

    def end(self) -> None:
        assert self.problems == []
        assert self.hosts == {"127.0.0.1"}
        self.page.context.close()


def test_the_three_answers_look_different(chromium: Browser, hour: BridgeStory) -> None:
    with served(hour) as url:
        visit = Visit(chromium, url)
        chips = visit.page.locator("#models .status")
        expect(chips).to_have_text(["drift", "unknown", "no drift"])  # the worst first
        looks = chips.evaluate_all(
            """chips => chips.map(chip => {
                const style = getComputedStyle(chip);
                return [style.color, style.backgroundColor, style.backgroundImage,
                        style.borderStyle, chip.querySelector("svg").innerHTML];
            })"""
        )
        for part in (0, 1, 4):  # colour, background, shape
            assert len({look[part] for look in looks}) == 3
        unknown = looks[1]
        assert unknown[3] == "dashed"
        assert "gradient" in unknown[2]
        visit.end()


def test_everything_is_there(chromium: Browser, hour: BridgeStory) -> None:
    with served(hour) as url:
        visit = Visit(chromium, url)
        page = visit.page
        expect(
            page.get_by_role("button", name=re.compile("wine_quality_model v3"))
        ).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".heat tbody tr")).to_have_count(13)
        for fact in ("accuracy91 %", "expected88 %", "labelled62 %"):
            expect(page.locator(".card.drift .facts")).to_contain_text(fact)
        expect(page.locator(".card.unknown .facts")).not_to_contain_text("accuracy")
        why = "no verdict: 12 rows in the window; 100 are needed, "
        expect(page.locator(".card.unknown .says")).to_contain_text(why)
        expect(page.locator(".heat tbody tr").first).to_contain_text("flavanoids")
        assert page.locator(".heat td.hot").count() > 30
        expect(page.locator(".heat thead td.unknown")).to_have_count(2)
        assert page.locator(".heat thead td.warning").count() > 1
        for title in ("traffic", "latency", "answers", "queues"):
            assert page.locator(f"#{title} path.line").count() >= 1
        expect(page.locator("#latency .legend")).to_contain_text("p99")
        expect(page.locator(".tile.alarm")).to_contain_text("dead letters")
        expect(page.locator("#errors")).to_contain_text("ModelUnavailableError 2")
        expect(page.locator("#functions tbody tr")).to_have_count(3)
        expect(page.locator("#reports")).to_contain_text("12 rows in the window")
        expect(page.locator("#reports td[data-label=length]").first).to_have_text("1h")
        expect(page.locator("#past")).to_have_text(
            "Windows of 1h: Critical scores are from past windows of 40 days "
            "(30 of the training rows, 10 of captures)."
        )
        page.get_by_role("button", name="Missing values").click()
        assert page.locator(".heat td.lack").count() > 100
        page.get_by_role("button", name=re.compile("churn")).click()
        expect(page.locator("#drift-of")).to_have_text("churn v12")
        expect(page.locator(".heat tbody tr")).to_have_count(3)
        visit.end()


def test_the_score_of_a_feature_is_drawn_with_its_critical_line(
    chromium: Browser, hour: BridgeStory
) -> None:
    with served(hour) as url:
        visit = Visit(chromium, url)
        page = visit.page
        expect(page.locator("#score-of")).to_have_text("flavanoids")
        expect(page.locator("#score .legend")).to_contain_text("critical score0.200")
        expect(page.locator("#score path.line")).to_have_count(2)
        rises = page.locator("#score path.line.k0").get_attribute("d") or ""
        ends = [float(point.split()[1]) for point in rises[1:].split("L")]
        assert ends[-1] < ends[0]  # a high score is near the top
        row = page.locator(".heat tbody tr").nth(12)
        row.locator("td[aria-label]").last.click()
        expect(page.locator("#score-of")).to_have_text(row.locator("th").inner_text())
        visit.end()


def test_an_open_episode_is_a_line_above_the_results(chromium: Browser, tmp_path: Path) -> None:
    story = BridgeStory(tmp_path)
    story.predict(3, "wine", "3")
    story.analyze("wine", "3", "drift", {"ash": 0.8})
    story.clock.advance(10)
    story.show()
    opened = datetime.fromtimestamp(story.clock() / 1000, UTC) - timedelta(hours=5)
    feature = FeatureStory(first=opened, worst=opened, strength=2.0)
    slot = Slot(drift=opened, last=opened, features={"<b>ash": feature}, drifted=1)
    record = EpisodeRecord(model_name="wine").add(Observation("3", "PT1H", opened, slot))
    note = Acknowledgement(
        episode=record.episodes()[0].id, who="ada", note="<i>ours</i>", at=datetime.now(UTC)
    )
    story.results.episodes = record.acknowledge(note).episodes()
    with served(story) as url:
        visit = Visit(chromium, url)
        line = visit.page.locator("#reports .episode")
        expect(line).to_contain_text(
            f"Episode {story.results.episodes[0].id} of wine v3 is open since "
        )
        expect(line).to_contain_text("5 h ago: <b>ash; acknowledged; ada: <i>ours</i>")
        expect(line.locator(".status")).to_have_text("drift")
        assert line.locator("b, i").count() == 0
        visit.end()
    story.close()


def test_each_model_has_a_page_of_its_own(chromium: Browser, hour: BridgeStory) -> None:
    with served(hour) as url:
        visit = Visit(chromium, url)
        page = visit.page
        rows = page.locator("#all tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("wine_quality_model")
        expect(page.locator("#find")).to_be_hidden()
        rows.nth(1).locator("a").click()
        expect(page.locator("#models-title")).to_have_text("churn")
        expect(page.locator("#models .card")).to_have_count(1)
        expect(page.locator("#drift-of")).to_have_text("churn v12")
        expect(page.locator("#all-panel")).to_be_hidden()
        page.reload()
        expect(page.locator("#models-title")).to_have_text("churn")
        page.click("#back")
        expect(page.locator("#models .card")).to_have_count(3)
        page.goto(f"{url}/#model=none")
        expect(page.locator("#beyond")).to_contain_text("No predictions and no analyses")
        visit.end()


def test_the_newest_report_opens(chromium: Browser, hour: BridgeStory) -> None:
    with served(hour) as url:
        visit = Visit(chromium, url)
        with visit.page.context.expect_page() as opened:
            visit.page.get_by_role("link", name="Newest report").click()
        newest = next(result for result in hour.results.found if result.has_report)
        expect(opened.value.locator("#report")).to_have_text(newest.name)
        visit.end()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_it_without_scrolling_sideways(chromium, hour, width, scheme):
    with served(hour) as url:
        visit = Visit(chromium, url, width, scheme)
        expect(visit.page.locator(".heat tbody tr")).to_have_count(13)
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
        visit.page.locator(".heat tbody tr").first.locator("td.hot").last.tap()
        expect(visit.page.locator("#heat-detail")).to_contain_text("flavanoids, ")
        visit.end()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(chromium: Browser, hour: BridgeStory, scheme: str) -> None:
    with served(hour) as url:
        visit = Visit(chromium, url, scheme=scheme)
        expect(visit.page.locator("#reports tbody tr").first).to_be_visible()
        too_faint = visit.page.evaluate((Path(__file__).parent / "contrast.js").read_text())
        assert too_faint == []
        visit.end()


def test_keys_are_enough(chromium: Browser, hour: BridgeStory) -> None:
    with served(hour) as url:
        visit = Visit(chromium, url)
        page = visit.page
        expect(page.locator(".heat tbody tr")).to_have_count(13)
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        for link in range(2):
            page.keyboard.press("Tab")
            expect(page.locator("#all a").nth(link)).to_be_focused()
        for card in range(3):
            page.keyboard.press("Tab")
            expect(page.locator("#models button").nth(card)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#drift-of")).to_have_text("churn v12")
        page.locator('.heat td[tabindex="0"]').focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        second = page.locator(".heat tbody tr").nth(1).locator("td[aria-label]").nth(1)
        expect(second).to_be_focused()
        expect(page.locator("#heat-detail")).to_contain_text(
            "wasserstein 0.040 (critical 0.200), no drift"
        )
        chart = page.locator("#latency svg")
        chart.focus()
        page.keyboard.press("ArrowLeft")
        assert "newest" not in (chart.get_attribute("aria-label") or "")
        visit.end()


def test_hostile_and_long_names_are_text(chromium: Browser, tmp_path: Path) -> None:
    story = BridgeStory(tmp_path)
    for model in (HOSTILE, LONG, "__proto__"):
        story.predict(3, model, HOSTILE[:30])
        story.analyze(model, HOSTILE[:30], "drift", {HOSTILE: 0.9, "constructor": 0.4, LONG: 0.1})
    story.log("REPORT RequestId: x\tDuration: 1 ms\tBilled Duration: 1 ms\tMemory Size: 1 MB\t"
              "Max Memory Used: 1 MB\t", function="<b>bold</b>")  # fmt: skip
    story.clock.advance(10)
    story.show()
    with served(story) as url:
        for width in (1280, 390):
            visit = Visit(chromium, url, width)
            page = visit.page
            expect(page.locator("#models .name bdi").filter(has_text=HOSTILE)).to_have_count(1)
            page.locator("#models button").filter(has_text=HOSTILE).click()
            expect(page.locator(".heat tbody th").first).to_have_text(HOSTILE)
            expect(page.locator("#functions")).to_contain_text("<b>bold</b>")
            expect(page.locator("#reports tbody tr")).to_have_count(3)
            assert page.locator("main img, main script, main b b").count() == 0
            assert page.title() == "modelwatch"
            assert page.evaluate("document.documentElement.scrollWidth") == width
            visit.end()
    story.close()


def test_it_says_when_the_bridge_is_gone_and_recovers(chromium: Browser, tmp_path: Path) -> None:
    story = BridgeStory(tmp_path)
    story.predict(3, "wine", "3")
    story.clock.advance(10)
    story.show()
    with served(story) as url:
        visit = Visit(chromium, url)
        status = visit.page.locator("#connection")
        expect(status).to_have_text("Live")
    expect(status).to_contain_text("not reachable since")
    expect(visit.page.locator("#models")).to_contain_text("wine")  # what was known stays
    story.predict(3, "wine", "4")
    story.clock.advance(10)
    story.show()
    with served(story, int(url.rpartition(":")[2])):
        expect(status).to_have_text("Live")
        expect(visit.page.locator("#models button")).to_have_count(2)
        story.clock.advance(120)
        expect(status).to_contain_text("The logs are not read: no source was read for 120 s")
        assert visit.problems
        # a request may have been under way
        gone = re.compile("ERR_(CONNECTION_(REFUSED|RESET|CLOSED)|EMPTY_RESPONSE)")
        assert [problem for problem in visit.problems if not gone.search(problem)] == []
    visit.page.context.close()
    story.close()


def test_it_begins_with_what_to_do(chromium: Browser, tmp_path: Path) -> None:
    story = BridgeStory(tmp_path)
    story.show()
    with served(story) as url:
        visit = Visit(chromium, url)
        expect(visit.page.locator("#empty")).to_contain_text("modelwatch demo")
        expect(visit.page.locator("#latency .none")).to_be_visible()
        visit.end()
    story.close()


def test_models_of_a_backfill_are_listed_by_their_results(
    chromium: Browser, tmp_path: Path
) -> None:
    (tmp_path / "before").mkdir()
    before, story = BridgeStory(tmp_path / "before"), BridgeStory(tmp_path)
    for model in ("wine", "beer"):
        before.analyze(model, "3", "drift", {"ash": 0.8})
    story.results = before.results
    story.clock.advance(600)
    story.show()
    with served(story) as url:
        # as the page does, whose list has them three seconds later
        httpx.get(f"{url}/api/reports", timeout=60)
        visit = Visit(chromium, url)
        rows = visit.page.locator("#all tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("v3, of the window that ended 10 min ago")
        card = visit.page.locator("#models .card").first
        expect(card.locator(".says")).to_have_text("of the window that ended 10 min ago")
        expect(card.locator(".status")).to_have_text("drift")
        expect(visit.page.locator("#drift-panel")).to_be_hidden()
        visit.end()
    story.close()
    before.close()
