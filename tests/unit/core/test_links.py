"""Links to reports: what a browser is sent to."""

import pytest

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.settings.store import StoreSettings


def link(monkeypatch, region: str, **given: str) -> str:
    for name, value in given.items():
        monkeypatch.setenv(name, value)  # boto3 reads it
    keys = {"S3_ACCESS_KEY_ID": "key", "S3_SECRET_ACCESS_KEY": "secret"}
    client = s3_client(StoreSettings({"AWS_DEFAULT_REGION": region, **keys, **given}))
    return str(client.generate_presigned_url("get_object", {"Bucket": "reports", "Key": "a/b"}))


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "reports.s3.amazonaws.com"),
        ("eu-west-1", "reports.s3.eu-west-1.amazonaws.com"),
        ("eu-central-1", "reports.s3.eu-central-1.amazonaws.com"),
        ("cn-north-1", "reports.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_on_aws_a_link_has_the_buckets_regional_address_and_todays_signature(
    monkeypatch, region, host
):
    url = link(monkeypatch, region)
    assert url.startswith(f"https://{host}/a/b?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert f"%2F{region}%2Fs3%2Faws4_request" in url


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost:4566", "minio:9000"])
def test_elsewhere_the_bucket_is_in_the_path(monkeypatch, name, host):
    url = link(monkeypatch, "us-east-1", **{name: f"http://{host}"})
    assert url.startswith(f"http://{host}/reports/a/b?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
