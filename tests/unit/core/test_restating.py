"""Late labels: the performance of past results is restated beside them, and they stay."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from analysis_stage import AnalysisStage
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.outcomes import S3OutcomeStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.episodes import S3EpisodeStore
from modelwatch.adapters.results.performance import S3PerformanceStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.labels import Label
from modelwatch.domain.performance.results import PerformancePolicy, PerformanceResult
from modelwatch.domain.records import Record
from modelwatch.domain.verdict.evidence import CodeVersion
from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch.domain.windows import Window
from modelwatch.errors import StoreError
from modelwatch.ports.analysis import Listed
from modelwatch.result_table import Results
from modelwatch.services.performance import PerformanceMonitor
from modelwatch.services.reading import ListedPage, ResultReader
from modelwatch.services.replay import replay
from modelwatch.services.restating import restate
from modelwatch.services.results_query import ResultsRequest
from wine_records import wine_record

HOUR = timedelta(hours=1)
WINE = ("wine", "1")


class WatchedReports(S3ReportStore):
    """Counts how often results were listed, and fails to when ``failure`` is set."""

    listings = 0
    failure: StoreError | None = None

    def newest(self, *args: Any, **given: Any) -> list[Listed]:
        self.listings += 1
        if self.failure:
            raise self.failure
        return super().newest(*args, **given)


class LateLabels:
    """Hourly runs with a day's window of performance: results are 3, 6, 12 and 24 hours old."""

    def __init__(self) -> None:
        self.stage = AnalysisStage(performance_window=timedelta(days=1))
        self.s3 = InMemoryS3()
        self.reports = WatchedReports(self.s3, "reports")
        self.reader = ResultReader(self.reports, S3EpisodeStore(self.s3, "reports"))
        self.records = S3RecordStore(self.s3, "captures")
        self.labels = S3LabelStore(self.s3, "captures")
        self.monitor = PerformanceMonitor(
            outcomes=S3OutcomeStore(self.s3, "captures"),
            profiles=S3PerformanceStore(self.s3, "captures"),
            policy=PerformancePolicy(min_labels=20, min_maturity=0.3),
            refresh_seconds=0,
            clock=lambda: self.stage.now.timestamp(),
        )
        self.stage.service._performance = self.monitor
        self.stage.service._reports = self.reports
        self.made: dict[int, list[Record]] = {}

    def run(self, hours: int, label_hours: int | None) -> None:
        """Let hours pass: each has 40 predictions, labelled so many hours later, 1 of 4 wrong."""
        for _ in range(hours):
            hour = len(self.made)
            at = self.stage.now
            self.made[hour] = [
                wine_record(
                    captured_at=at - timedelta(seconds=60 + index),
                    variant="production",
                    features={"alcohol": 1.0, "colour": "red"},
                    prediction=index % 2,
                )
                for index in range(40)
            ]
            self.stage.store.write(self.made[hour])
            for each in (0, 1):
                part = [r for r in self.made[hour] if r.captured_at.hour % 2 == each]
                if part:
                    self.records.write(part)
            if label_hours is not None and hour >= label_hours:
                self.label(self.made[hour - label_hours])
            assert self.stage.service.analyze_due(at).failures == {}
            self.stage.now += HOUR

    def label(self, records: list[Record]) -> None:
        self.labels.write(
            [
                Label(
                    event_id=each.event_id,
                    label=(each.prediction if index % 4 else 1 - int(each.prediction or 0)),
                    labelled_at=self.stage.now,
                    predicted_at=each.captured_at,
                )
                for index, each in enumerate(records)
            ]
        )

    def page(self) -> ListedPage:
        return self.reader.list_page("wine", ResultsRequest(limit=100))

    def results(self) -> list[AnalysisResult]:
        """Return the results as they are read back, oldest first."""
        return self.reader.read_page(self.page()).results[::-1]

    def restated(self) -> list[str]:
        return sorted(key for key in self.s3.objects if "/performance-0" in key)


@pytest.fixture
def late() -> LateLabels:
    return LateLabels()


def performance(result: AnalysisResult) -> PerformanceResult:
    assert result.performance is not None
    return result.performance


def test_results_are_restated_when_they_are_old_enough(late: LateLabels) -> None:
    late.run(30, label_hours=5)
    first = [late.reports.result(each.name) for each in late.results()]
    found = late.results()
    # at first no window of the first hours had labels enough
    assert performance(first[6]).verdict.status == "unknown"
    assert performance(first[6]).restated_at is None
    oldest = performance(found[5])
    # what was 24 hours old has all labels of its hours, and is as if it was made now
    assert (oldest.labelled, oldest.records, oldest.verdict.status) == (240, 240, "ok")
    assert oldest.verdict.metrics["accuracy"].value == pytest.approx(0.75)
    assert oldest.more_labelled == oldest.labelled - performance(first[5]).labelled == 200
    window = Window(oldest.window_start, oldest.window_end)
    assert late.monitor.evaluate(*WINE, window).verdict == oldest.verdict
    # nothing but the performance is another
    for before, after in zip(first, found, strict=True):
        assert msgspec.structs.replace(after, performance=before.performance) == before
    # results that are younger than three hours wait
    assert [performance(each).restated_at is None for each in found[-3:]] == [True] * 3
    assert all(performance(each).restated_at for each in found[:-3])
    number = {each.name.window_end: each.restated for each in late.page().listed}
    assert max(number.values()) <= 4


def test_what_was_written_stays_and_replays(late: LateLabels) -> None:
    late.run(8, label_hours=None)
    written = {key: late.s3.objects[key] for key in late.s3.objects if "analyses/" in key}
    tag = late.page().tag
    for records in list(late.made.values()):
        late.label(records)
    late.run(4, label_hours=0)
    assert late.restated()
    fixed = {key: body for key, body in written.items() if not key.endswith("last.json")}
    assert {key: late.s3.objects[key] for key in fixed} == fixed
    found = late.results()[3]
    assert performance(found).more_labelled > 0
    assert replay(late.reports, found.name, CodeVersion("0.1.0", "1a2b3c")).same
    assert late.page().tag != tag
    table = Results([found]).to_pandas()
    window = table[table.row == "window"].iloc[0]
    assert (window.more_labelled, window.accuracy) == (performance(found).more_labelled, 0.75)
    assert window.restated_at == performance(found).restated_at


def test_a_run_that_comes_again_restates_nothing_again(late: LateLabels) -> None:
    late.run(10, label_hours=2)
    before = late.restated()
    assert before
    hour = late.stage.now - HOUR
    end = hour.replace(second=0)

    def again() -> int:
        return restate(
            late.reports, lambda window: late.monitor.evaluate(*WINE, window), WINE, "PT1H",
            before=end - HOUR, newest=end, length=timedelta(days=1), now=late.stage.now,
        )  # fmt: skip

    again()
    after = late.restated()
    assert again() == 0
    assert late.restated() == after


def test_without_labels_nothing_is_restated_or_looked_for(late: LateLabels) -> None:
    late.run(6, label_hours=None)
    assert late.restated() == []
    assert late.reports.listings == 0


def test_less_is_never_restated(late: LateLabels) -> None:
    late.run(5, label_hours=0)
    kept = performance(late.results()[1])
    for fewer in ({"labelled": kept.labelled - 1}, {"records": 1}, {"pending_hours": 1}):
        told = msgspec.structs.replace(
            kept, verdict=msgspec.structs.replace(kept.verdict, reason="other"), **fewer
        )

        def evaluate(_: Window, told: PerformanceResult = told) -> PerformanceResult:
            return told

        end: datetime = late.results()[1].window_end
        assert not restate(
            late.reports, evaluate, WINE, "PT1H", before=end + 2 * HOUR, newest=end + 3 * HOUR,
            length=timedelta(days=1), now=late.stage.now,
        )  # fmt: skip


def test_trouble_with_restating_leaves_results_alone(late: LateLabels) -> None:
    late.run(5, label_hours=1)
    before = len(late.results())
    late.reports.failure = StoreError("the bucket cannot be listed")
    late.run(1, label_hours=1)
    late.reports.failure = None
    assert len(late.results()) == before + 1
