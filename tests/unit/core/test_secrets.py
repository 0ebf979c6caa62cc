"""Secrets by reference: read where they are kept, by moto's Secrets Manager and SSM."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.aws.secrets import secret
from modelwatch.errors import SettingError
from modelwatch.settings import Settings
from modelwatch.settings.functions import FUNCTIONS

ROOT = Path(__file__).parents[3]
REGION = "eu-central-1"
NAME = "MLFLOW_TRACKING_PASSWORD"


@pytest.fixture(autouse=True)
def aws() -> Iterator[None]:
    with mock_aws():
        yield


def keep(text: str) -> str:
    store = boto3.client("secretsmanager", region_name=REGION)
    return store.create_secret(Name="mlflow", SecretString=text)["ARN"]


def read(value: str) -> str:
    return secret(Settings({NAME: value}), NAME)


def test_what_is_no_reference_is_the_secret_itself() -> None:
    assert [read(each) for each in ("pass#word", "arn:aws:s3:::x", "")] == [
        *("pass#word", "arn:aws:s3:::x", "")
    ]


def test_a_secret_is_read_whole_or_by_its_field() -> None:
    arn = keep('{"user": "ann", "password": "open sesame"}')
    assert read(f"{arn}#password") == "open sesame"
    assert read(arn) == '{"user": "ann", "password": "open sesame"}'


def test_a_parameter_of_ssm_is_read_and_decrypted() -> None:
    ssm = boto3.client("ssm", region_name=REGION)
    ssm.put_parameter(Name="/modelwatch/token", Value="abc", Type="SecureString")
    assert read(f"arn:aws:ssm:{REGION}:123456789012:parameter/modelwatch/token") == "abc"


def test_what_cannot_be_read_is_said_without_the_secret() -> None:
    with pytest.raises(SettingError, match=rf"{NAME}: arn:.*secret:gone.* cannot be read"):
        read(f"arn:aws:secretsmanager:{REGION}:123456789012:secret:gone-AbCdEf")
    for text in ("open sesame", '{"other": "open sesame"}', '"open sesame"', '["open sesame"]'):
        store = boto3.client("secretsmanager", region_name=REGION)
        arn = store.create_secret(Name=f"of-{len(text)}", SecretString=text)["ARN"]
        with pytest.raises(SettingError, match="no JSON object with the field") as caught:
            read(f"{arn}#password")
        assert "sesame" not in str(caught.value)


def test_the_keys_of_another_s3_may_be_references() -> None:
    settings = Settings({"S3_ACCESS_KEY_ID": "minio", "S3_SECRET_ACCESS_KEY": keep("its secret")})
    assert s3_client(settings)._request_signer._credentials.secret_key == "its secret"


def test_no_code_takes_a_secret_setting_for_the_secret() -> None:
    """A reference passed on as it stands would be a password that everyone may read."""
    names = {
        each.name.lower()
        for group in FUNCTIONS.values()
        for each in group.declared().values()
        if each.is_secret
    }
    plain = re.compile(rf"settings\.({'|'.join(names)})\b")
    for folder in ("layers/core", "functions", "cli", "bridge", "training"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not plain.search(path.read_text()), path
