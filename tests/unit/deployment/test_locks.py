"""Object Lock of the report bucket, on moto's S3: what is written cannot be deleted."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.errors import SettingError, StoreError
from modelwatch.settings.kinds import Lock
from modelwatch_cli.deployment.preflight import Finding, look_ahead
from modelwatch_cli.retention.locks import check_lock, read_lock, set_lock
from modelwatch_cli.retention.rules import find_kept, set_retention
from modelwatch_cli.settings import Settings

REGION = "us-east-1"
RESULT = "analyses/wine/3/20260301T000000Z.PT1H/result.json"


def settings(**more: str) -> Settings:
    given = {
        "AWS_DEFAULT_REGION": REGION,
        "CAPTURE_BUCKET": "captures",
        "REPORT_BUCKET": "reports",
        "REPORT_LOCK": "governance=30",
    }
    return Settings(given | more)


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name=REGION)
        for name in ("captures", "reports"):
            client.create_bucket(Bucket=name)
        yield client


def versions(s3: Any, key: str) -> list[str]:
    found = s3.list_object_versions(Bucket="reports", Prefix=key).get("Versions", ())
    return [each["VersionId"] for each in found]


def test_what_is_written_to_a_locked_bucket_stays(s3: Any) -> None:
    set_retention(settings(), s3)
    objects = S3Objects(s3, "reports")
    assert objects.write_once(RESULT, b"{}", "application/json")
    assert not objects.write_once(RESULT, b"{'changed': 1}", "application/json")
    objects.delete([RESULT])
    (kept,) = versions(s3, RESULT)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket="reports", Key=RESULT, VersionId=kept)
    with pytest.raises(StoreError, match="cannot delete"):
        objects.delete_old_versions("analyses/", lambda _: True)
    assert read_lock(s3, "reports") == Lock("governance", 30)
    assert read_lock(s3, "captures") is None
    assert s3.get_bucket_versioning(Bucket="captures").get("Status") is None


def test_old_versions_go_when_they_are_no_longer_locked(s3: Any) -> None:
    set_retention(settings(REPORT_RETENTION_DAYS="60"), s3)
    rules = s3.get_bucket_lifecycle_configuration(Bucket="reports")["Rules"]
    whole = next(each for each in rules if each["Filter"] == {"Prefix": ""})
    assert whole["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
    assert "Days" not in whole["Expiration"], "nothing that is seen goes by this rule"
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="captures")
    # the lock outlives its setting, and so does the rule
    set_retention(settings(REPORT_LOCK=""), s3)
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket="reports")["Rules"]
    assert rule["ID"] == "modelwatch-old-versions"


def test_a_lock_is_made_stricter_and_never_loosened(s3: Any) -> None:
    assert set_lock(settings(REPORT_LOCK=""), s3) is None
    assert s3.get_bucket_versioning(Bucket="reports").get("Status") is None
    for stricter in ("governance=30", "governance=31", "compliance=31"):
        assert str(set_lock(settings(REPORT_LOCK=stricter), s3)) == stricter
    for weaker in ("compliance=30", "governance=400"):
        with pytest.raises(StoreError, match=f"REPORT_LOCK={weaker} is weaker"):
            set_lock(settings(REPORT_LOCK=weaker), s3)
    assert set_lock(settings(REPORT_LOCK=""), s3) == Lock("compliance", 31)


def test_years_of_a_lock_that_someone_else_made_count(s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="reports", VersioningConfiguration={"Status": "Enabled"})
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 7}}
    s3.put_object_lock_configuration(
        Bucket="reports",
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
    )
    assert read_lock(s3, "reports") == Lock("compliance", 7 * 365)


def test_the_lock_is_shown(s3: Any) -> None:
    set_retention(settings(), s3)
    found = {(each.bucket, each.prefix): each.lock for each in find_kept(s3, settings())}
    assert found["reports", "analyses/"] == "governance=30"
    assert found["captures", "captures/"] == ""


@pytest.mark.usefixtures("s3")
def test_s3_gets_a_checksum_which_a_lock_asks_for() -> None:
    """S3 refuses an object without one where its bucket has a lock; other S3s do not know them."""
    sent: list[Any] = []
    for given in ({}, {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"}):
        client = s3_client(Settings({"AWS_DEFAULT_REGION": REGION} | given))
        client.meta.events.register(
            "before-send.s3.PutObject", lambda request, **_: sent.append(dict(request.headers))
        )
        S3Objects(client, "reports").write(f"analyses/{len(sent)}", b"1", "text/plain")
    with_checksum = [any("checksum" in name.lower() for name in each) for each in sent]
    assert with_checksum == [True, False]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"REPORT_BUCKET": "captures"}, "would lock captures, too"),
        ({"REPORT_RETENTION_DAYS": "29"}, "REPORT_RETENTION_DAYS=29 hides them"),
        ({"REPORT_LOCK": "30"}, "'30' is not NAME=NUMBER"),
        ({"REPORT_LOCK": "governance=1,compliance=2"}, "is not one of governance or compliance"),
        ({"REPORT_LOCK": "forever=1"}, "'forever' is not one of governance, compliance"),
    ],
)
def test_a_lock_that_makes_no_sense_is_refused(given: dict[str, str], why: str) -> None:
    check_lock(settings(REPORT_RETENTION_DAYS="30"))
    with pytest.raises(SettingError, match=why):
        check_lock(settings(**given))


def lock_finding(**given: str) -> Finding:
    limits = {
        "AccountLimit": {"ConcurrentExecutions": 1000, "TotalCodeSize": 1},
        "AccountUsage": {"TotalCodeSize": 0},
    }
    fakes = {  # what moto does not have
        "iam": SimpleNamespace(simulate_principal_policy=lambda **_: {"EvaluationResults": []}),
        "lambda": SimpleNamespace(get_account_settings=lambda: limits),
    }

    def client(service: str) -> Any:
        return fakes.get(service) or boto3.client(service, region_name=REGION)  # type: ignore[call-overload]

    found = look_ahead(settings(**given), ["capture"], client)
    return next(each for each in found if each.subject == "REPORT_LOCK")


def test_a_bucket_that_cannot_be_locked_is_found_before_a_deployment(s3: Any) -> None:
    assert lock_finding(REPORT_BUCKET="not-there").state == "ok"
    assert lock_finding().state == "ok"
    other = lock_finding(AWS_ENDPOINT_URL_S3="https://minio.acme.example")
    assert (other.state, "make it with Object Lock if" in other.text) == ("unknown", True)
    set_lock(settings(REPORT_LOCK="compliance=90"), s3)
    assert lock_finding(REPORT_LOCK="compliance=90").state == "ok"
    weaker = lock_finding()
    assert (weaker.state, "has the lock compliance=90" in weaker.text) == ("wrong", True)
