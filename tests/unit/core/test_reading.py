"""Results read back: pages in order, what they cost, and how models stand."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.results.episodes import S3EpisodeStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.verdict.results import AnalysisResult, LastResult, ResultName
from modelwatch.errors import InvalidInputError, NotFoundError
from modelwatch.services.model_states import state_of
from modelwatch.services.models_query import ModelsRequest, parse_models_query
from modelwatch.services.reading import FRESH_SECONDS, PAGE_BYTES, ResultReader
from modelwatch.services.remembering import last_results, remembered, window_key
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
    for model, version, said in (
        ("other", None, "there is no result of 'other'; there are results of wine"),
        ("other", "1", "there is no result of 'other'; there are results of wine"),
        ("wine", "7", "there is no result of 'wine' version '7'; there are versions 1"),
    ):
        with pytest.raises(NotFoundError, match=said):
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
    found = reader.models(ModelsRequest()).models
    assert [each.severity for each in found] == ["drift", "warning", "unknown", "ok"]
    assert [each.model_version for each in found] == ["3", "4", "2", "1"]


def listed(reader, **query):
    """Return the versions on each page."""
    page = ""
    while True:
        asked = parse_models_query({**query, **({"page": page} if page else {})})
        read = reader.models(asked)
        yield [(each.model_name, each.model_version) for each in read.models]
        page = read.next_page
        if not page:
            return


@pytest.fixture
def fleet(store, s3):
    """Twenty versions of odd names, in all severities; and who cares for some of them."""
    for number in range(20):
        model = ("wine", "a.b c", "größe & (v2)", "50 % off")[number % 4]
        severity = ("ok", "drift", "unknown", "warning", "ok")[number % 5]
        end = END - HOUR * (number // 10)
        store.save(result(end, f"1.{number}", model), {})
        store.remember(model, f"1.{number}", {"PT1H": last(end, severity)})
    now = [0.0]
    owners = {"a.b c": "team a"}
    reader = ResultReader(store, S3EpisodeStore(s3, "reports"), lambda: owners, lambda: now[0])
    return reader, now


@pytest.mark.parametrize("limit", ["1", "3", "7", "200"])
def test_pages_hold_every_version_once_the_worst_first(fleet, limit):
    reader, _ = fleet
    (whole,) = listed(reader, limit="200")
    assert len(set(whole)) == 20
    assert [each for page in listed(reader, limit=limit) for each in page] == whole
    assert reader.models(parse_models_query({"limit": limit})).total == 20
    severities = [each.severity for each in reader.models(ModelsRequest(limit=200)).models]
    assert severities == sorted(severities, key=["drift", "warning", "unknown", "ok"].index)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"severity": "drift"}, 4),
        ({"severity": "ok", "model_name": "größe & (v2)"}, 2),
        ({"model_name": "a.b c", "version": "1.5"}, 1),
        ({"owner": "team a"}, 5),
        ({"owner": ""}, 15),
        ({"from": "2026-02-28T23:00:00Z"}, 10),
        ({"to": "2026-02-28T23:00:00Z"}, 10),
        ({"model_name": "other"}, 0),
    ],
)
def test_versions_are_chosen_by_what_is_asked(fleet, query, count):
    reader, _ = fleet
    found = [each for page in listed(reader, limit="3", **query) for each in page]
    assert len(found) == len(set(found)) == count
    assert reader.models(parse_models_query({"limit": "1", **query})).total == count


def test_all_versions_are_read_once_in_a_while_and_one_models_at_each_request(fleet, s3):
    reader, now = fleet
    tag = reader.models(ModelsRequest()).tag
    s3.calls.clear()
    assert reader.models(ModelsRequest()).tag == tag
    list(listed(reader, limit="3"))
    assert s3.calls == []
    reader.models(ModelsRequest(model_name="wine"))
    assert len(s3.calls) == 1 + 1 + 5  # its versions, its episodes, and what each remembers
    now[0] = FRESH_SECONDS
    reader.models(ModelsRequest())
    assert len(s3.calls) > 20


DAMAGED = (b"", b"not json", b"[1]", b'{"PT1H": {"status": "purple"}}', b'"\xff"')


@pytest.mark.parametrize("payload", DAMAGED)
def test_a_damaged_memory_is_made_again_from_the_results(reader, store, s3, payload):
    worse = msgspec.structs.replace(result(END), status="drift", severity="drift", has_report=True)
    saved = [
        result(END - HOUR), worse, result(END, window="P1D"),
        result(END, variant="champion"), result(END + HOUR, ad_hoc="1f"),
    ]  # fmt: skip
    known = {}
    for each in saved:
        store.save(each, {})
        if not each.ad_hoc:
            known[key] = remembered(each, known.get(key := window_key(each.window, each.variant)))
    store.remember("wine", "1", known)
    store.save(result(END, model="other"), {})
    store.remember("other", "1", {"PT1H": last(END, "ok")})
    right = reader.states()
    assert [each.model_name for each in right] == ["wine", "other"]
    s3.objects["analyses/wine/1/last.json"] = payload
    assert reader.states() == right
    assert last_results(store, "wine", "1") == known


def test_damaged_episodes_are_named_and_the_other_models_are_whole(reader, store, s3):
    for model in ("a", "b"):
        store.save(result(END, model=model), {})
        store.remember(model, "1", {"PT1H": last(END, "ok")})
    s3.objects["episodes/a.json"] = b"{"
    first, second = reader.states()
    assert first.problem.startswith("the record of episodes cannot be read: ")
    assert (first.severity, second.problem) == ("ok", "")


@pytest.mark.parametrize("payload", DAMAGED)
def test_a_damaged_result_is_named_and_the_others_are_read(reader, store, s3, payload):
    for hour in range(4):
        store.save(result(END - HOUR * hour), {})
    (key,) = (key for key in s3.objects if "20260228T230000Z.PT1H/" in key)
    s3.objects[key] = payload
    first = reader.read_page(reader.list_page("wine", ResultsRequest(limit=3)))
    assert [each.window_end for each in first.results] == [END, END - 2 * HOUR]
    assert [each.partition(" cannot be read")[0] for each in first.damaged] == [key]
    rest = reader.read_page(reader.list_page("wine", ResultsRequest(limit=3, page=first.next_page)))
    assert ([each.window_end for each in rest.results], rest.damaged) == ([END - 3 * HOUR], [])


@pytest.mark.parametrize("page", ["drift", "bad.wine.1.20260301T000000Z", "ok.wine", "."])
def test_a_page_of_models_that_is_none_is_refused(reader, page):
    with pytest.raises(InvalidInputError, match="no page of models"):
        reader.models(ModelsRequest(page=page))


@pytest.mark.parametrize(
    "query",
    [{"severity": "bad"}, {"limit": "0"}, {"limit": "201"}, {"name": "wine"}, {"from": "x"}],
)
def test_a_query_for_models_that_is_none_is_refused(query):
    with pytest.raises(InvalidInputError):
        parse_models_query(query)


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


def test_an_empty_window_leaves_the_verdict_to_those_that_have_rows():
    night = msgspec.structs.replace(last(END, "unknown"), rows=0, reason="0 rows in the window")
    for week in ("ok", "warning", "drift"):
        state = state_of("wine", "1", {"PT1H": night, "P7D": last(END, week, "P7D")})
        assert state.severity == week
        assert [each.window for each in state.windows] == ["P7D", "PT1H"]
    assert state_of("wine", "1", {"PT1H": night}).severity == "unknown"
    weeks = {"PT1H": night, "P7D": msgspec.structs.replace(night, window_end=END)}
    assert state_of("wine", "1", weeks).severity == "unknown"


@pytest.mark.parametrize(("severity", "rows"), [("unknown", 3), (None, 0)])
def test_rows_that_no_one_could_evaluate_are_unknown(severity, rows):
    few = msgspec.structs.replace(last(END, "unknown"), severity=severity, rows=rows)
    state = state_of("wine", "1", {"PT1H": few, "P7D": last(END, "ok", "P7D")})
    assert state.severity == "unknown"


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
