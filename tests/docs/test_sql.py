"""The queries of docs/how-to/query-in-sql.md, by DuckDB, on files that our own code wrote."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.labels import Label
from modelwatch.domain.performance.estimates import Estimate
from modelwatch.domain.performance.results import PerformanceResult, PerformanceVerdict
from modelwatch.domain.records import Record
from modelwatch.domain.verdict.results import AnalysisResult, FeatureDrift, ResultName

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "query-in-sql.md").read_text()
BLOCKS = re.findall(r"(<!-- duckdb -->\n)?```sql\n(.*?)```", PAGE, re.DOTALL)
START = datetime(2026, 3, 1, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROWS = 10


def event_id(version: str, hour: int, number: int) -> str:
    return f"018bcfe5-6800-7000-8000-{version}{hour:03d}{number:08d}"


def captured(version: str, hour: int) -> list[Record]:
    """Return records of a feature that is whole in the first version, and real in the second."""
    return [
        Record(
            event_id=event_id(version, hour, number),
            captured_at=START + hour * HOUR + timedelta(seconds=number),
            model_name="wine",
            model_version=version,
            features={"amount": 2 if version == "1" else 2.5},
            types="l" if version == "1" else "d",
            prediction=number % 2,
            sample_rate=0.5,
        )
        for number in range(ROWS)
    ]


def performance(end: datetime, version: str, accuracy: float, labelled: int) -> PerformanceResult:
    metrics = {"accuracy": Estimate(accuracy, accuracy, accuracy, "wilson")}
    return PerformanceResult(
        model_name="wine",
        model_version=version,
        window_start=end - HOUR,
        window_end=end,
        verdict=PerformanceVerdict(status="ok", metrics=metrics),
        records=ROWS,
        labelled=labelled,
    )


def result(end: datetime, version: str, score: float) -> AnalysisResult:
    drifted = score > 0.3
    feature = FeatureDrift(
        feature="alcohol",
        kind="numerical",
        status="drift" if drifted else "ok",
        method="wasserstein",
        threshold=0.1,
        score=score,
        critical_score=0.3,
    )
    return AnalysisResult(
        name=str(ResultName("wine", version, end, "PT1H")),
        model_name="wine",
        model_version=version,
        window="PT1H",
        window_start=end - HOUR,
        window_end=end,
        status="drift" if drifted else "ok",
        reason="1 of 1 features drifted" if drifted else "no drift",
        rows=ROWS,
        drift_share=float(drifted),
        features=(feature,),
        performance=performance(end, version, 0.5, 4),
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Return a database with the page's views of a bucket of captures, labels and results."""
    s3 = InMemoryS3()
    records, labels = S3RecordStore(s3, "bucket"), S3LabelStore(s3, "bucket")
    reports = S3ReportStore(s3, "bucket")
    for version, hour in (("1", 0), ("1", 1), ("2", 1), ("2", 3)):
        rows = captured(version, hour)
        records.write(rows)
        records.write(rows[:1])  # one of them came twice
        end = START + (hour + 1) * HOUR
        reports.save(result(end, version, 0.1 * (hour + 1)), {})
        for late, value in ((HOUR, 1), (2 * HOUR, 0)):
            labels.write(
                [
                    Label(
                        event_id=each.event_id,
                        label=value,
                        labelled_at=each.captured_at + late,
                        predicted_at=each.captured_at,
                    )
                    for each in rows
                ]
            )
    end = START + 2 * HOUR
    for number, accuracy in ((1, 0.6), (2, 0.7)):
        restated = msgspec.structs.replace(
            performance(end, "2", accuracy, 4 + number),
            restated_at=end + number * timedelta(days=1),
        )
        reports.restate(str(ResultName("wine", "2", end, "PT1H")), restated, number)
    folder = tmp_path_factory.mktemp("bucket")
    for key, payload in s3.objects.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    (views,) = (text for is_setup, text in BLOCKS if is_setup)
    connection.execute(re.sub(r"s3://\w+_BUCKET", str(folder), views))
    return connection


EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "Verdicts of the last days": [
        (START + 4 * HOUR, "2", "drift", 1.0, ROWS, "1 of 1 features drifted"),
        (START + 2 * HOUR, "1", "ok", 0.0, ROWS, "no drift"),
        (START + 2 * HOUR, "2", "ok", 0.0, ROWS, "no drift"),
        (START + HOUR, "1", "ok", 0.0, ROWS, "no drift"),
    ],
    "Scores of a feature over time": [
        (START + 2 * HOUR, pytest.approx(0.2), 0.3, "ok"),
        (START + 4 * HOUR, pytest.approx(0.4), 0.3, "drift"),
    ],
    "What drifted most often": [("alcohol", 4, 1, pytest.approx(4 / 3))],
    "Performance, by the labels that came so far": [
        (START + 2 * HOUR, 6, 0.7, None),
        (START + 4 * HOUR, 4, 0.5, None),
    ],
    "Traffic by hour, of several versions together": [
        ("1", "2026-03-01", "22", ROWS, 2.0 * (ROWS + 1), pytest.approx(5 / 11)),
        ("1", "2026-03-01", "23", ROWS, 2.0 * (ROWS + 1), pytest.approx(5 / 11)),
        ("2", "2026-03-01", "23", ROWS, 2.0 * (ROWS + 1), pytest.approx(5 / 11)),
        ("2", "2026-03-02", "01", ROWS, 2.0 * (ROWS + 1), pytest.approx(5 / 11)),
    ],
    "Predictions beside their labels": [
        ("1", 2 * ROWS, 0.5),
        ("2", 2 * ROWS, 0.5),
    ],
}


@pytest.mark.parametrize("title", EXPECTED)
def test_a_query_finds_what_was_written(database, title):
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    (query,) = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    # by Arrow: DuckDB's own times need pytz
    rows = database.sql(query).to_arrow_table().to_pylist()
    assert [tuple(row.values()) for row in rows] == EXPECTED[title]


def test_every_query_of_the_page_is_run():
    assert len(BLOCKS) == len(EXPECTED) + 1


def test_versions_of_different_types_are_read_together(database):
    found = database.execute(
        "select model_version, any_value(typeof(feature_amount)), avg(feature_amount) "
        "from captures group by all order by all"
    ).fetchall()
    assert found == [("1", "DOUBLE", 2.0), ("2", "DOUBLE", 2.5)]


def test_every_name_that_a_record_may_have_is_read_back(tmp_path):
    names = ["50 %", "100%25", "a+b c", "größe", "it's \"q\"", "a&b?c#d*", "[x]{y}|^`", "..x",
             " v ", "back\\slash", "a,b;c", "日本", "null", "1", "<b>"]  # fmt: skip
    s3 = InMemoryS3()
    for name in names:
        changed = {"model_name": name, "model_version": name}
        rows = [msgspec.structs.replace(each, **changed) for each in captured("1", 0)]
        S3RecordStore(s3, "captures").write(rows)
    for key, data in s3.objects.items():
        path = tmp_path / key
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    found = duckdb.sql(
        f"select distinct model_name, model_version from read_parquet('{tmp_path}/**/*.parquet', "
        "hive_partitioning = true, hive_types_autocast = false)"
    ).fetchall()
    assert sorted(found) == sorted(zip(names, names, strict=True))
