"""Results read back with the client: requests, pages, and the table."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

import modelwatch
from modelwatch.domain.performance.calibration import EstimatedPerformance
from modelwatch.domain.performance.estimates import Estimate
from modelwatch.domain.performance.results import PerformanceResult, PerformanceVerdict
from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift
from modelwatch.errors import InvalidInputError
from modelwatch.result_table import Results
from stand_in import stand_in

END = datetime(2026, 3, 1, tzinfo=UTC)


def feature(name, score, status="ok"):
    return FeatureDrift(
        feature=name, kind="numeric", status=status, method="wasserstein",
        threshold=0.1, score=score, critical_score=0.2, missing_ratio=0.5,
    )  # fmt: skip


def result(hour, **given):
    end = END + timedelta(hours=hour)
    return AnalysisResult(
        **{
            "name": f"wine.1.{end:%Y%m%dT%H%M%SZ}.PT1H",
            "model_name": "wine",
            "model_version": "1",
            "window": "PT1H",
            "window_start": end - timedelta(hours=1),
            "window_end": end,
            "status": "ok",
            "reason": "nothing drifted",
            "rows": 100,
            **given,
        }
    )


def measured(accuracy):
    verdict = PerformanceVerdict(
        status="ok",
        metrics={"accuracy": Estimate(accuracy, 0.0, 1.0, "wilson")},
        estimated=EstimatedPerformance(status="ok", metrics={"accuracy": 0.75, "f1": 0.5}),
    )
    return PerformanceResult(
        model_name="wine", model_version="1", window_start=END, window_end=END,
        verdict=verdict, records=50, labelled=40,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("estimated", "words"),
    [
        ({"accuracy": Estimate(0.8, 0.75, 0.85, "wilson")}, "accuracy 80.0% (75.0% to 85.0%)"),
        ({"mae": Estimate(708.8, 672.6, 745.1, "losses")}, "mean error 708.8 (672.6 to 745.1)"),
    ],
)
def test_a_drift_says_what_it_does_to_the_estimated_performance(estimated, words):
    verdict = PerformanceVerdict(
        status="unknown", estimated=EstimatedPerformance(status="ok", **estimated)
    )
    performance = msgspec.structs.replace(measured(0.9), verdict=verdict)
    drifted = result(
        1,
        status="drift",
        features=(feature("a", 0.3, "drift"),),
        outputs=(feature("prediction", 0.25, "drift"),),
        performance=performance,
    )
    moved = "the prediction drifted (prediction 0.25, critical 0.2)"
    assert drifted.notes == (f"{moved}; estimated {words}",)
    assert msgspec.structs.replace(drifted, status="ok", outputs=(), features=()).notes == ()


class Pages:
    """Serves results two a page, and keeps what was asked."""

    def __init__(self, stored):
        self.stored = stored
        self.asked = []

    def __call__(self, request):
        address = urlsplit(request.path)
        query = {name: value for name, (value,) in parse_qs(address.query).items()}
        self.asked.append((address.path, query))
        start = int(query.get("page", 0))
        end = start + min(2, int(query["limit"]))
        page = {"results": msgspec.to_builtins(self.stored[start:end])}
        more = {"next_page": str(end)} if end < len(self.stored) else {}
        return 200, json.loads(json.dumps(page | more))


@pytest.fixture
def pages():
    return Pages([result(-hour) for hour in range(5)])


def test_all_pages_are_read(pages):
    with stand_in(pages) as url:
        found = modelwatch.results("wine", since="2026-02-01T00:00:00+01:00", analyze=url)
    assert found == pages.stored
    (path, query), *_, (_, last) = pages.asked
    assert (path, query["from"]) == ("/models/wine/results", "2026-01-31T23:00:00+00:00")
    assert (len(pages.asked), last["page"]) == (3, "4")


def test_a_limit_ends_early(pages):
    with stand_in(pages) as url:
        found = modelwatch.results("wine", limit=3, analyze=url)
    assert found == pages.stored[:3]
    assert [query["limit"] for _, query in pages.asked] == ["3", "1"]


def test_odd_names_and_durations_are_sent_as_they_are(pages):
    pages.stored = []
    with stand_in(pages) as url:
        modelwatch.results(
            "größe & 50 %", version="1+2", since=timedelta(days=2), until=END, analyze=url
        )
    ((path, query),) = pages.asked
    assert path == "/models/gr%C3%B6%C3%9Fe%20%26%2050%20%25/results"
    assert query["version"] == "1+2"
    assert (query["from"], query["to"]) == ("2026-02-27T00:00:00+00:00", END.isoformat())


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "P1Y"}, "since"),
        ({"since": END, "until": END}, "since"),
        ({"until": datetime(2026, 3, 1)}, "until"),
        ({"limit": 0}, "limit"),
    ],
)
def test_what_is_no_time_and_no_limit_is_refused(given, field):
    with pytest.raises(InvalidInputError) as found:
        modelwatch.results("wine", analyze="http://127.0.0.1:9", **given)
    assert found.value.field == field


def test_the_table_has_a_row_for_each_window_and_each_feature():
    drifted = result(
        1,
        status="drift",
        features=(feature("ash", 0.3, "drift"), feature("alcohol", None, "unknown")),
        outputs=(feature("prediction", 0.01),),
        drifted_features=("ash",),
        performance=measured(0.9),
    )
    table = Results([drifted, result(0)]).to_arrow()
    assert table["row"].to_pylist() == ["window", "window", "feature", "feature", "output"]
    assert table["window_end"].to_pylist()[:2] == [result(0).window_end, drifted.window_end]
    rows = table.to_pylist()
    assert (rows[1]["accuracy"], rows[1]["estimated_f1"], rows[1]["labelled"]) == (0.9, 0.5, 40)
    assert rows[1]["drifted_features"] == ["ash"]
    ash = rows[2]
    assert (ash["feature"], ash["score"], ash["critical_score"]) == ("ash", 0.3, 0.2)
    assert (ash["status"], ash["accuracy"], ash["severity"]) == ("drift", None, None)
    assert rows[3]["score"] is None


def test_tables_have_the_same_columns_whatever_was_found():
    none, one = Results().to_arrow(), Results([result(0)]).to_arrow()
    assert none.schema == one.schema
    assert (none.num_rows, one.num_rows) == (0, 1)


def test_pandas_shows_scores_over_time():
    found = Results([result(hour, features=(feature("ash", hour / 10),)) for hour in (2, 1, 0)])
    frame = found.to_pandas()
    ash = frame[frame.feature == "ash"].set_index("window_end")
    assert ash.score.tolist() == [0.0, 0.1, 0.2]
    assert str(ash.index.tz) == "UTC"


def test_a_reader_needs_neither_pandas_nor_arrow():
    code = (
        "import sys, modelwatch; modelwatch.results; modelwatch.Client; "
        "print(*{'pandas', 'pyarrow', 'boto3'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
