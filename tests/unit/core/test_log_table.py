"""`Client.log_table` on moto's S3: the same rows as the command stores, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from moto import mock_aws

import modelwatch
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.domain.model_capture import MonitorCapture
from modelwatch.domain.monitors import Monitor, MonitorSet
from modelwatch.errors import InvalidInputError, ModelwatchError, MonitorError, StoreError
from modelwatch.sdk.tables import TableCounts
from modelwatch_cli.capture.tables.command import TableOptions, import_table
from modelwatch_cli.capture.tables.mapping import TableMapping
from modelwatch_cli.capture.tables.whole import GivenTable, import_rows
from modelwatch_cli.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COLUMNS: dict[str, Any] = {"prediction": "said", "timestamp": "at", "id": "call", "label": "true"}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    for name, value in {
        "CAPTURE_BUCKET": "captures",
        "REPORT_BUCKET": "reports",
        "MODEL_REGISTRY": (tmp_path / "models").as_uri(),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with mock_aws():
        client = boto3.client("s3")
        for bucket in ("captures", "reports", "warehouse"):
            client.create_bucket(Bucket=bucket)
        yield client


@pytest.fixture
def client() -> Iterator[modelwatch.Client]:
    with modelwatch.Client(model_name="churn", model_version="3") as made:
        yield made


def frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "at": [(NOON + timedelta(minutes=index)).isoformat() for index in range(rows)],
            "call": [f"call {index}" for index in range(rows)],
            "größe & farbe": ["rot", None] * (rows // 2),
            "age": range(rows),
            "said": [index % 3 == 0 for index in range(rows)],
            "true": [True, None] * (rows // 2),
        }
    )


def captured() -> modelwatch.Captures:
    return modelwatch.captures("churn", since=NOON, until=NOON + timedelta(days=1))


def test_a_folder_of_a_bucket_is_logged_once(s3: Any, client: modelwatch.Client) -> None:
    whole = frame(80)
    for day, part in (("01", whole[:40]), ("02", whole[40:])):
        s3.put_object(
            Bucket="warehouse", Key=f"scores/date={day}/part.parquet", Body=part.to_parquet()
        )
    counts = client.log_table("s3://warehouse/scores/", ignore=["date"], **COLUMNS)
    assert counts == TableCounts(rows=80, rejected=0, repeated=0, stored=80, known=0, labels=40)
    again = client.log_table("s3://warehouse/scores/", ignore=["date"], **COLUMNS)
    assert (again.stored, again.known, again.labels) == (0, 80, 0)
    found = captured().to_pandas()
    assert found["feature_age"].tolist() == list(range(80))
    assert found["feature_größe & farbe"].count() == 40
    assert found["label_text"].count() == 40
    assert set(found["model_version"]) == {"3"}


@pytest.mark.usefixtures("s3")
def test_it_is_the_import_of_the_command(
    client: modelwatch.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scores.csv"
    frame(20).to_csv(path, index=False)
    assert client.log_table(path, **COLUMNS).stored == 20
    (tmp_path / "models").mkdir()
    given = GivenTable(str(path), "churn", "", TableMapping(version="3", **COLUMNS))
    import_table(Settings(), TableOptions(given), as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert "right for a model served elsewhere" in import_rows(Settings(), given, print).types_from
    assert (said["records"]["stored"], said["records"]["known"]) == (0, 20)


def test_what_cannot_be_used_is_named(s3: Any, client: modelwatch.Client, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    table = frame(6)
    table.loc[3, "at"] = "soon"
    table.to_csv(path, index=False)
    with pytest.raises(ModelwatchError, match=r"1 row .*: row 5: at: found 'soon'.*skip_invalid"):
        client.log_table(path, **COLUMNS)
    assert "Contents" not in s3.list_objects_v2(Bucket="captures")
    counts = client.log_table(path, skip_invalid=True, **COLUMNS)
    assert (counts.rows, counts.rejected, counts.stored) == (5, 1, 5)
    table.loc[0, "age"] = 99
    table.to_csv(path, index=False)
    with pytest.raises(ModelwatchError, match=r"1 row .* with other content than what"):
        client.log_table(path, skip_invalid=True, **COLUMNS)
    with pytest.raises(
        InvalidInputError, match=r"^prediction: there is no column 'score'"
    ) as error:
        client.log_table(path, prediction="score", timestamp="at")
    assert "--" not in str(error.value)
    with pytest.raises(InvalidInputError, match=r"gone\.csv"):
        client.log_table(tmp_path / "gone.csv", **COLUMNS)
    with modelwatch.Client() as nameless, pytest.raises(InvalidInputError, match="model: is miss"):
        nameless.log_table(path, **COLUMNS)


def test_what_the_monitor_says_of_capture_holds(
    s3: Any, client: modelwatch.Client, tmp_path: Path
) -> None:
    path = tmp_path / "scores.csv"
    frame(20).to_csv(path, index=False)
    own = MonitorCapture(fields={"größe & farbe": "drop", "age": {"bucket": 10}})
    file = tmp_path / "monitors" / "churn.toml"
    table = TableMapping(version="3", **COLUMNS)
    given = GivenTable(str(path), "churn", "", table, monitor=(str(file), own))
    with pytest.raises(MonitorError, match=r"does not hold yet.*monitors apply .*churn\.toml"):
        import_table(Settings(), TableOptions(given), as_json=True)
    monitors = MonitorSet(number=1, monitors={"churn": Monitor(stage="local", capture=own)})
    S3MonitorStore(s3, "reports").append(monitors)
    assert client.log_table(path, **COLUMNS).stored == 20
    import_table(Settings(), TableOptions(given), as_json=True)
    found = captured().to_pandas()
    assert set(found["feature_age"]) == {0, 10}
    assert not [name for name in found if "farbe" in name]
    s3.put_object(Bucket="reports", Key="monitors/000002.json", Body=b"{")
    with pytest.raises(MonitorError, match="the monitor of churn"):
        client.log_table(path, **COLUMNS)


def test_where_no_one_can_say_what_holds_nothing_is_stored(
    s3: Any, client: modelwatch.Client, tmp_path: Path
) -> None:
    path = tmp_path / "scores.csv"
    frame(20).to_csv(path, index=False)
    s3.delete_bucket(Bucket="reports")
    with pytest.raises(StoreError):
        client.log_table(path, **COLUMNS)
    assert "Contents" not in s3.list_objects_v2(Bucket="captures")
