"""How long S3 keeps what is stored: rules of the buckets, beside those that someone else made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modelwatch.errors import StoreError
from modelwatch_cli.retention.rules import Kept, find_kept, set_retention, set_rules, wanted_days
from modelwatch_cli.settings import Settings

THEIRS = {"ID": "archive", "Status": "Enabled", "Filter": {"Prefix": "x/"}}
DAYS = {"captures/": 30, "labels/": 30}
START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class InMemoryLifecycle:
    """Rules and objects of buckets; ``missing`` is S3's status where there are no rules."""

    rules: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    missing: int = 404
    writes: int = 0

    def get_bucket_lifecycle_configuration(self, *, Bucket: str) -> dict[str, Any]:  # noqa: N803
        if not self.rules.get(Bucket):
            raise error(self.missing)
        return {"Rules": [dict(rule) for rule in self.rules[Bucket]]}

    def put_bucket_lifecycle_configuration(
        self,
        *,
        Bucket: str,  # noqa: N803
        LifecycleConfiguration: dict[str, Any],  # noqa: N803
    ) -> None:
        if self.missing == 501:
            raise error(501)
        self.rules[Bucket] = LifecycleConfiguration["Rules"]
        self.writes += 1

    def delete_bucket_lifecycle(self, *, Bucket: str) -> None:  # noqa: N803
        self.rules[Bucket] = []
        self.writes += 1

    def get_object_lock_configuration(self, **_: str) -> None:
        raise error(404)

    def get_paginator(self, _name: str) -> InMemoryLifecycle:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        found = [each for each in self.objects.get(Bucket, ()) if each["Key"].startswith(Prefix)]
        return [{"Contents": [each]} for each in found] or [{}]


def error(status: int) -> ClientError:
    return ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Lifecycle")


def days(s3: InMemoryLifecycle, bucket: str = "b") -> dict[str, int]:
    return {rule["Filter"]["Prefix"]: rule["Expiration"]["Days"] for rule in s3.rules[bucket]}


def test_rules_are_made_changed_and_taken_away() -> None:
    s3 = InMemoryLifecycle()
    set_rules(s3, "b", DAYS)
    assert days(s3) == DAYS
    set_rules(s3, "b", DAYS)
    assert s3.writes == 1
    set_rules(s3, "b", {"captures/": 7, "labels/": None})
    assert days(s3) == {"captures/": 7}
    set_rules(s3, "b", dict.fromkeys(DAYS))
    assert s3.rules == {"b": []}
    set_rules(s3, "b", dict.fromkeys(DAYS))
    assert s3.writes == 3


def test_old_versions_and_unfinished_uploads_go_too() -> None:
    s3 = InMemoryLifecycle()
    set_rules(s3, "b", {"captures/": 30})
    (rule,) = s3.rules["b"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


def test_rules_of_others_stay() -> None:
    s3 = InMemoryLifecycle({"b": [THEIRS]})
    set_rules(s3, "b", DAYS)
    assert THEIRS in s3.rules["b"]
    set_rules(s3, "b", dict.fromkeys(DAYS))
    assert s3.rules["b"] == [THEIRS]


def test_an_s3_without_rules_is_refused_only_where_they_are_asked_for() -> None:
    s3 = InMemoryLifecycle(missing=501)
    set_rules(s3, "b", dict.fromkeys(DAYS))
    with pytest.raises(StoreError, match="bucket b cannot be set to expire"):
        set_rules(s3, "b", DAYS)
    with pytest.raises(StoreError):
        set_rules(InMemoryLifecycle(missing=403), "b", dict.fromkeys(DAYS))


@pytest.mark.parametrize("report_bucket", ["reports", "captures"])
def test_each_bucket_gets_the_days_of_what_it_holds(report_bucket: str) -> None:
    settings = Settings(
        {
            "CAPTURE_BUCKET": "captures",
            "REPORT_BUCKET": report_bucket,
            "CAPTURE_RETENTION_DAYS": "30",
            "REPORT_RETENTION_DAYS": "400",
        }
    )
    s3 = InMemoryLifecycle()
    set_retention(settings, s3)
    captured = dict.fromkeys(("captures/", "profiles/", "labels/", "performance/"), 30)
    both = days(s3, "captures") | days(s3, report_bucket)
    assert both == captured | {"analyses/": 400, "results/": 400, "asked/": 400}
    set_retention(Settings({"CAPTURE_BUCKET": "captures", "REPORT_BUCKET": report_bucket}), s3)
    assert not any(s3.rules.values())


def test_it_is_shown_what_goes_when_whoever_made_the_rule() -> None:
    settings = Settings({"CAPTURE_BUCKET": "captures", "REPORT_BUCKET": "reports"})
    whole = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 9}}
    off = {**whole, "Status": "Disabled", "Expiration": {"Days": 1}}
    tagged = {**whole, "Filter": {"Tag": {"Key": "a", "Value": "b"}}, "Expiration": {"Days": 2}}
    objects = [
        {"Key": "captures/1", "Size": 5, "LastModified": START + timedelta(days=1)},
        {"Key": "captures/2", "Size": 7, "LastModified": START},
        {"Key": "labels/1", "Size": 1, "LastModified": START},
    ]
    s3 = InMemoryLifecycle({"captures": [whole, off, tagged]}, {"captures": objects})
    listed: list[int] = []
    found = {(each.bucket, each.prefix): each for each in find_kept(s3, settings, listed.append)}
    assert found["captures", "captures/"] == Kept(
        "captures", "captures/", 9, 2, 12, START, START + timedelta(days=9)
    )
    assert found["captures", "profiles/"] == Kept("captures", "profiles/", 9)
    assert found["reports", "analyses/"] == Kept("reports", "analyses/", None)
    assert sum(listed) == 3
    assert set(wanted_days(settings)) == {"captures", "reports"}
