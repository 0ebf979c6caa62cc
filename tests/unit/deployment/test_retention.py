"""How long S3 keeps captures: rules of the bucket, beside those that somebody else made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modelwatch.errors import StoreError
from modelwatch_cli.buckets import expire_captures

THEIRS = {"ID": "archive", "Status": "Enabled", "Filter": {"Prefix": "x/"}}


@dataclass
class InMemoryLifecycle:
    """The rules of one bucket; `missing` is S3's answer where there are none."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    missing: int = 404
    writes: int = 0

    def get_bucket_lifecycle_configuration(self, **_options: Any) -> dict[str, Any]:
        if not self.rules:
            raise error(self.missing)
        return {"Rules": [dict(rule) for rule in self.rules]}

    def put_bucket_lifecycle_configuration(self, **options: Any) -> None:
        if self.missing == 501:
            raise error(501)
        self.rules = options["LifecycleConfiguration"]["Rules"]
        self.writes += 1

    def delete_bucket_lifecycle(self, **_options: Any) -> None:
        self.rules = []
        self.writes += 1


def error(status: int) -> ClientError:
    return ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Lifecycle")


def test_rules_are_made_changed_and_taken_away() -> None:
    s3 = InMemoryLifecycle()
    expire_captures(s3, "captures", 30)
    assert {rule["Filter"]["Prefix"] for rule in s3.rules} == {
        "captures/",
        "profiles/",
        "labels/",
        "performance/",
    }
    assert {rule["Expiration"]["Days"] for rule in s3.rules} == {30}
    expire_captures(s3, "captures", 30)
    assert s3.writes == 1
    expire_captures(s3, "captures", 7)
    assert {rule["Expiration"]["Days"] for rule in s3.rules} == {7}
    expire_captures(s3, "captures", None)
    assert s3.rules == []
    expire_captures(s3, "captures", None)
    assert s3.writes == 3


def test_rules_of_others_stay() -> None:
    s3 = InMemoryLifecycle([THEIRS])
    expire_captures(s3, "captures", 30)
    assert THEIRS in s3.rules
    expire_captures(s3, "captures", None)
    assert s3.rules == [THEIRS]


def test_an_s3_without_rules_is_refused_only_where_they_are_asked_for() -> None:
    s3 = InMemoryLifecycle(missing=501)
    expire_captures(s3, "captures", None)
    with pytest.raises(StoreError, match="bucket captures cannot be set to expire"):
        expire_captures(s3, "captures", 30)
    with pytest.raises(StoreError):
        expire_captures(InMemoryLifecycle(missing=403), "captures", None)
