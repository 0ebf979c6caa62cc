"""Packages: uploaded once, and never a stranger's taken for ours; by moto's S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.settings import Settings
from modelwatch_cli.deployment.building.packages import PackageStore
from modelwatch_cli.deployment.cloudformation.clients import make_clients
from modelwatch_cli.settings import Settings as AllSettings

KEY = "functions/predict-1.zip"
OURS = "123456789012"


@pytest.fixture(autouse=True)
def aws() -> Iterator[None]:
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="packages")
        yield


def test_a_package_is_uploaded_once_and_one_with_another_content_is_replaced(
    tmp_path: Path,
) -> None:
    client = boto3.client("s3", region_name="us-east-1")
    package = tmp_path / "package.zip"
    package.write_bytes(b"ours")
    store = PackageStore(client, "packages")
    assert store.upload(KEY, package)
    assert not store.upload(KEY, package)
    # placed there by someone else: without a digest that S3 computed, or with that of its content
    for theirs in ({}, {"ChecksumAlgorithm": "SHA256"}):
        client.put_object(
            Bucket="packages", Key=KEY, Body=b"theirs", Metadata={"sha256": "ours"}, **theirs
        )
        assert store.upload(KEY, package)
        assert client.get_object(Bucket="packages", Key=KEY)["Body"].read() == b"ours"


def test_every_request_on_aws_names_the_buckets_owner_and_no_link_does() -> None:
    given = {"AWS_ACCOUNT_ID": OURS, "MODEL_BUCKET": "mlflow", "MODEL_BUCKET_OWNER": "9" * 12}
    data = s3_client(Settings(given))
    packages = make_clients(AllSettings(given)).packages
    sent: list[str] = []
    for client in (data, packages):
        client.meta.events.register(
            "before-call.s3",
            lambda params, **_: sent.append(params["headers"].get("x-amz-expected-bucket-owner")),
        )
        client.list_objects_v2(Bucket="packages")
        client.put_object(Bucket="packages", Key="x", Body=b"")
    data.create_bucket(Bucket="mlflow")
    data.get_paginator("list_objects_v2").paginate(Bucket="mlflow").build_full_result()
    # who makes a bucket cannot expect an owner
    assert sent == [OURS] * 4 + [None, "9" * 12]
    link = data.generate_presigned_url("get_object", {"Bucket": "packages", "Key": "x"})
    assert "expected-bucket-owner" not in link
    emulated = s3_client(Settings(given | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}))
    assert emulated.meta.events is not data.meta.events
