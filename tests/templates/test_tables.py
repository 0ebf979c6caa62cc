"""Tables of Athena: columns and places are those of the files that our own code writes."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
from cfnlint.api import ManualArgs, lint

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.parquet import FIXED_SCHEMA
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.keys import unescape
from modelwatch.domain.labels import Label
from modelwatch.domain.verdict.results import AnalysisResult, ResultName
from modelwatch.errors import SettingError
from modelwatch_cli.deployment.additions.encryption import with_key
from modelwatch_cli.deployment.additions.tables import (
    FIRST_DAY,
    TABLES,
    athena_type,
    create_statement,
    tables_template,
    version_table,
)
from modelwatch_cli.deployment.cloudformation.plan import check_tables, make_plan
from modelwatch_cli.settings import Settings
from wine_records import wine_record

KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-1234-5678-9abc-def012345678"
GIVEN = {
    "STAGE": "my-prod",
    "AWS_ACCOUNT_ID": "123456789012",
    "AWS_DEFAULT_REGION": "us-east-1",
    "CAPTURE_BUCKET": "bucket",
    "REPORT_BUCKET": "bucket",
    "AWS_ENDPOINT_URL": "",
    "AWS_ENDPOINT_URL_S3": "",
    "SQL_TABLES": "on",
}
HOUR = datetime(2026, 3, 1, 7, 30, tzinfo=UTC)
MODELS = [("wine", "3"), ("a.b c", "1.5 (new)"), ("größe & 50 %", "x~y"), ("model_name=m", "=")]


def made(**variables: str) -> dict[str, Any]:
    """Return the resources of the stack."""
    found = Settings(GIVEN | variables)
    template = with_key(tables_template(found), found.kms_key_arn)
    faults = lint(json.dumps(template), config=ManualArgs(regions=["us-east-1"]))
    assert [f"{each.rule.id} {each.message}" for each in faults] == []
    return template["Resources"]


def written() -> InMemoryS3:
    """Return a bucket with captures, labels, a result and a restatement of each model."""
    s3 = InMemoryS3()
    for number, (model, version) in enumerate(MODELS):
        at = HOUR + timedelta(hours=number)
        record = wine_record(captured_at=at, model_name=model, model_version=version)
        S3RecordStore(s3, "bucket").write([record])
        label = Label(event_id=record.event_id, label=1, labelled_at=at, predicted_at=at)
        S3LabelStore(s3, "bucket").write([label])
        name = ResultName(model, version, at, "PT1H", "blue.green")
        result = AnalysisResult(
            name=str(name), model_name=model, model_version=version, window="PT1H", rows=1,
            variant="blue.green", window_start=at, window_end=at, status="ok", reason="",
        )  # fmt: skip
        S3ReportStore(s3, "bucket").save(result, {})
    return s3


def projected(table: dict[str, Any], key: str) -> dict[str, str] | None:
    """Return the values of the partition in which Athena finds ``key``; None: in none."""
    properties = table["Parameters"]
    template = properties["storage.location.template"].removeprefix("s3://bucket/")
    names = re.findall(r"\$\{(\w+)\}", template)
    assert names == [each["Name"] for each in table["PartitionKeys"]]
    parts = [re.escape(each) for each in re.split(r"\$\{\w+\}", template)]
    found = re.fullmatch("([^/]+)".join(parts) + "[^/]+", key)
    if found is None:
        return None
    values = dict(zip(names, found.groups(), strict=True))
    for name, value in values.items():
        match properties[f"projection.{name}.type"]:
            case "date":
                assert properties[f"projection.{name}.format"] == "yyyy-MM-dd"
                assert date.fromisoformat(FIRST_DAY) <= date.fromisoformat(value)
                assert len(value) == 10
            case "integer":
                low, high = map(int, properties[f"projection.{name}.range"].split(","))
                assert low <= int(value) <= high
                assert len(value) == int(properties[f"projection.{name}.digits"])
            case kind:
                assert kind == "injected"
    return values


def test_projected_partitions_are_the_folders_that_writers_make():
    s3, resources = written(), made()
    for name, count in (("captures", 4), ("labels", 4), ("results", 4)):
        table = resources[name.capitalize()]["Properties"]["TableInput"]
        assert table["Parameters"]["projection.enabled"] == "true"
        keys = [key for key in s3.objects if key.startswith(f"{name}/")]
        places = [projected(table, key) for key in keys]
        assert len(places) == count
        assert None not in places
        if name != "labels":
            names = [
                (unescape(each["model_name"]), unescape(each["model_version"])) for each in places
            ]
            assert names == MODELS
        assert {each["date"] for each in places} == {"2026-03-01"}


def test_columns_are_those_of_the_files():
    s3, resources = written(), made()
    for name in ("captures", "labels", "results"):
        table = resources[name.capitalize()]["Properties"]["TableInput"]
        columns = {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}
        partitions = {each["Name"] for each in table["PartitionKeys"]}
        assert not partitions & columns.keys()
        for key in (key for key in s3.objects if key.startswith(f"{name}/")):
            schema = pq.read_schema(io.BytesIO(s3.objects[key]))
            stored = {each.name: athena_type(each.type) for each in schema}
            assert not partitions & stored.keys()
            features = {each for each in stored if each not in columns}
            assert {each: stored[each] for each in columns} == columns
            assert (name == "captures") == bool(features)
            assert all(each.startswith("feature_") for each in features)


def test_a_version_has_a_table_with_its_features():
    s3 = written()
    key = next(key for key in s3.objects if key.startswith("captures/model_name=a.b c"))
    schema = pq.read_schema(io.BytesIO(s3.objects[key]))
    table = version_table("a.b c", "1.5 (new)", schema)
    said = create_statement(table, Settings(GIVEN))
    assert said.startswith("create external table modelwatch_my_prod.captures_a_b_c_1_5_new_ (\n")
    assert "  `feature_alcohol` double" in said
    assert ") partitioned by (`date` string, `hour` int)\nstored as parquet\n" in said
    folder = "s3://bucket/captures/model_name=a.b c/model_version=1.5 (new)/"
    assert f"location '{folder}'" in said
    assert f"'storage.location.template' = '{folder}date=${{date}}/hour=${{hour}}/'" in said
    assert set(FIXED_SCHEMA.names) <= set(re.findall(r"`(\w+)`", said))


@pytest.mark.parametrize("key", ["", KEY])
def test_a_query_has_a_bound_and_what_it_finds_goes_soon(key):
    resources = made(KMS_KEY_ARN=key)
    group = resources["WorkGroup"]["Properties"]["WorkGroupConfiguration"]
    assert group["BytesScannedCutoffPerQuery"] == 100 * 2**30
    assert group["EnforceWorkGroupConfiguration"] is True
    option = group["ResultConfiguration"]["EncryptionConfiguration"]["EncryptionOption"]
    assert option == ("SSE_KMS" if key else "SSE_S3")
    (rule,) = resources["Output"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 1)


def test_readers_read_what_the_tables_hold_and_write_only_what_they_found():
    policy = made(KMS_KEY_ARN=KEY)["Readers"]["Properties"]["PolicyDocument"]["Statement"]
    by_name = {each["Sid"]: each for each in policy}
    assert not any("*" in action for each in policy for action in each["Action"])
    assert not any(each["Resource"] == "*" for each in policy)
    files = {each["Fn::Sub"].partition(":::")[2] for each in by_name["ReadFiles"]["Resource"]}
    assert files == {f"bucket/{each.prefix}*" for each in TABLES}
    assert by_name["WriteFound"]["Resource"] == {"Fn::Sub": "${Output.Arn}/*"}
    writing = [each["Sid"] for each in policy if "s3:PutObject" in each["Action"]]
    assert writing == ["WriteFound"]


def test_the_tables_are_a_stack_that_a_setting_asks_for_on_aws():
    given = GIVEN | {"LAMBDA_ARCHITECTURE": "arm64"}
    assert make_plan(Settings(given)).stacks["sql"] == {"storage"}
    assert "sql" not in make_plan(Settings(given), ["predict"]).stacks
    assert "sql" not in make_plan(Settings(given | {"SQL_TABLES": "off"})).stacks
    check_tables(Settings(given))
    elsewhere = Settings(given | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:8333"})
    with pytest.raises(SettingError, match="SQL_TABLES: on is for AWS"):
        check_tables(elsewhere)
