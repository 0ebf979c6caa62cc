"""Results read back: pages in order, what they cost, and how models stand."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.results.episodes import S3EpisodeStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.verdict.results import AnalysisResult, LastResult, ResultName
from modelwatch.errors import InvalidInputError, NotFoundError
from modelwatch.services.reading import PAGE_BYTES, ResultReader, state_of
from modelwatch.services.results_query import ResultsRequest, parse_results_query

END = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def result(end, version="1", model="wine", window="PT1H", reason="", variant="", ad_hoc=""):
    name = ResultName(model, version, end, window, variant, ad_hoc)
    return AnalysisResult(
        name=str(name),
        model_name=model,
        model_version=version,
        window_start=end - HOUR,
        window_end=end,
        window=window,
        variant=variant,
        ad_hoc=bool(ad_hoc),
        status="ok",
        reason=reason,
        rows=10,
    )


@pytest.fixture
def s3():
    return InMemoryS3()


@pytest.fixture
def store(s3):
    return S3ReportStore(s3, "reports")


@pytest.fixture
def reader(s3, store):
    return ResultReader(store, S3EpisodeStore(s3, "reports"))


def pages(reader, model="wine", **query):
    """Return the names on each page."""
    page = ""
    while True:
        asked = parse_results_query({**query, **({"page": page} if page else {})})
        read = reader.read_page(reader.list_page(model, asked))
        yield [each.name for each in read.results]
        page = read.next_page
        if not page:
            return


def test_pages_hold_every_result_once_the_newest_first(reader, store):
    saved = [
        result(END - HOUR * hour, version, window=window)
        for hour in (0, 1, 2, 30, 24 * 20, 24 * 400, 24 * 4000)
        for version in ("1", "2")
        for window in ("PT1H", "P1D")
    ]
    saved += [result(END, variant="b.c"), result(END, ad_hoc="1f"), result(END, model="wine.2")]
    for each in saved:
        store.save(each, {"report.html": b"<html>"})
    expected = {each.name for each in saved if each.model_name == "wine"}
    for limit in ("1", "3", "7", "100"):
        found = [name for page in pages(reader, limit=limit) for name in page]
        assert set(found) == expected
        assert len(found) == len(expected)
        ends = [ResultName.parse(name).window_end for name in found]
        assert ends == sorted(ends, reverse=True)


def test_a_page_stays_the_same_while_newer_results_arrive(reader, store):
    for hour in range(10):
        store.save(result(END - HOUR * hour), {})
    first = reader.list_page("wine", ResultsRequest(limit=4))
    store.save(result(END + HOUR), {})
    second = reader.list_page("wine", ResultsRequest(limit=4, page=first.next_page))
    assert [each.name.window_end for each in second.listed] == [
        END - HOUR * hour for hour in (4, 5, 6, 7)
    ]


def test_windows_end_after_from_and_not_after_to(reader, store):
    for hour in range(6):
        store.save(result(END + HOUR * hour), {})
    query = {"from": "2026-03-01T01:00:00Z", "to": "2026-03-01T05:30:00+02:00"}
    ((newest, oldest),) = pages(reader, **query)
    assert (newest, oldest) == (result(END + 3 * HOUR).name, result(END + 2 * HOUR).name)


def test_a_month_of_one_version_is_reached(reader, store):
    for hour in range(720):
        for version in ("1", "2"):
            store.save(result(END - HOUR * hour, version), {})
    query = {"version": "2", "from": "2026-02-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}
    found = [name for page in pages(reader, limit="200", **query) for name in page]
    assert len(found) == 28 * 24
    assert {ResultName.parse(name).model_version for name in found} == {"2"}


@pytest.mark.parametrize("days", [1, 100, 2000])
def test_a_page_costs_a_bounded_number_of_requests(s3, reader, store, days):
    for hour in range(24 * days) if days < 1000 else (0, 24 * days):
        store.save(result(END - HOUR * hour), {"report.html": b"<html>"})
    s3.calls.clear()
    listed = reader.list_page("wine", ResultsRequest(until=END, limit=20))
    # the model's versions; spans of 1, 4, 16, 64 and 256 days, and what is older
    assert s3.calls.count("list") <= 1 + 6
    assert "get" not in s3.calls
    reader.read_page(listed)
    assert s3.calls.count("get") == len(listed.listed) <= 20


def test_large_results_make_a_page_shorter(reader, store):
    for hour in range(5):
        store.save(result(END - HOUR * hour, reason="x" * (PAGE_BYTES // 2 - 1000)), {})
    assert [len(page) for page in pages(reader)] == [2, 2, 1]


def test_one_result_that_is_larger_than_a_page_is_a_page(reader, store):
    for hour in range(2):
        store.save(result(END - HOUR * hour, reason="x" * PAGE_BYTES), {})
    assert [len(page) for page in pages(reader)] == [1, 1]


def test_the_tag_changes_with_what_a_page_holds_and_not_otherwise(reader, store):
    store.save(result(END), {})
    first = reader.list_page("wine", ResultsRequest())
    assert reader.list_page("wine", ResultsRequest()).tag == first.tag
    store.save(result(END - HOUR), {})
    assert reader.list_page("wine", ResultsRequest()).tag != first.tag


@pytest.mark.parametrize("model", ["größe & (v2)", "a%2Fb", "a.b.c", "50 % off", "名前"])
@pytest.mark.parametrize("version", ["1.5", "1%2E5", "ä b"])
def test_odd_names_are_found(reader, store, model, version):
    for hour in range(3):
        store.save(result(END - HOUR * hour, version, model), {})
    found = [name for page in pages(reader, model, version=version, limit="2") for name in page]
    assert found == [result(END - HOUR * hour, version, model).name for hour in range(3)]
    assert store.versions() == [(model, version)]


def test_what_was_never_analyzed_is_not_found(reader, store):
    store.save(result(END), {})
    for model, version in (("other", None), ("wine", "7")):
        with pytest.raises(NotFoundError):
            reader.list_page(model, ResultsRequest(version=version))


@pytest.mark.parametrize("page", ["nonsense", "other.1.20260301T000000Z.PT1H", "wine.1.2026"])
def test_another_models_page_is_refused(reader, page):
    with pytest.raises(InvalidInputError, match="no page of wine"):
        reader.list_page("wine", ResultsRequest(page=page))


def test_half_a_result_and_other_objects_are_not_listed(s3, store):
    store.save(result(END), {})
    folder = "analyses/wine/1/"
    for key in (
        ".references/reference-1.profile",
        "20260301T010000Z.PT1H/manifest-1.json",
        "notes",
    ):
        s3.objects[f"{folder}{key}"] = b"{}"
    (found,) = store.newest([("wine", "1")], None, None, 10)
    assert found.name.window_end == END


def last(end, severity, window="PT1H"):
    status = "ok" if severity == "warning" else severity
    return LastResult(
        name=str(ResultName("wine", "1", end, window)),
        window_end=end,
        status=status,
        severity=severity,
        reason="why",
        rows=7,
    )


def test_models_stand_worst_first(reader, store):
    for version, severity in (("1", "ok"), ("2", "unknown"), ("3", "drift"), ("4", "warning")):
        store.save(result(END, version), {})
        store.remember("wine", version, {"PT1H": last(END, severity)})
    store.save(result(END, model="asked only"), {})
    found = reader.models().models
    assert [each.severity for each in found] == ["drift", "warning", "unknown", "ok"]
    assert [each.model_version for each in found] == ["3", "4", "2", "1"]


def test_a_state_is_the_worst_of_the_windows_that_are_still_analyzed():
    known = {
        "PT1H": last(END, "ok"),
        "P7D": last(END - timedelta(days=1), "warning", "P7D"),
        "PT2H": last(END - timedelta(hours=3), "drift", "PT2H"),
        "PT1H champion": last(END, "drift"),
    }
    state = state_of("wine", "1", known)
    assert (state.severity, state.window_end) == ("warning", END)
    assert [each.window for each in state.windows] == ["P7D", "PT1H"]
    assert state_of("wine", "1", {}) is None


def test_what_was_remembered_before_has_its_status():
    old = LastResult(name="wine.1.20260301T000000Z.PT1H", window_end=END, status="drift")
    assert state_of("wine", "1", {"PT1H": old}).severity == "drift"


def test_a_state_names_the_newest_report():
    known = {
        "PT1H": msgspec.structs.replace(last(END, "drift"), reported_at=END - 5 * HOUR),
        "P1D": msgspec.structs.replace(last(END, "drift", "P1D"), reported_at=END - 2 * HOUR),
    }
    state = state_of("wine", "1", known)
    assert state.report == str(ResultName("wine", "1", END - 2 * HOUR, "P1D"))
    assert state_of("wine", "1", {"PT1H": last(END, "ok")}).report == ""
