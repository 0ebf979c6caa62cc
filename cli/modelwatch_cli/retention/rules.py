"""How long S3 keeps what modelwatch stores: lifecycle rules of its buckets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.errors import StoreError
from modelwatch_cli.retention.locks import read_lock, set_lock
from modelwatch_cli.settings import Settings

_RULE = "modelwatch-"
_CAPTURED = ("captures/", "profiles/", "labels/", "performance/")
_ANALYZED = ("analyses/", "results/", "asked/")
_KEPT = ("baselines/", "episodes/", "rollbacks/", "serving/")
_OLD_VERSIONS_DAYS = 7
_UPLOADS_DAYS = 7


class Kept(msgspec.Struct, frozen=True):
    """What is below a prefix of a bucket, and when it goes.

    Attributes
    ----------
    objects, bytes, oldest
        How many objects there are now, their size, and when the oldest was written.
    days
        The bucket's rule: S3 deletes an object so many days after it was written; None: never.
    next_deleted_at
        When S3 may delete the oldest one. S3 does so once a day, some hours later.
    lock
        The bucket's Object Lock, such as ``compliance=365``: for so many days no one can delete
        what is written now; empty: none.
    """

    bucket: str
    prefix: str
    days: int | None
    objects: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    next_deleted_at: datetime | None = None
    lock: str = ""


def wanted_days(settings: Settings) -> dict[str, dict[str, int | None]]:
    """Return the days that the settings ask for, by bucket and prefix; None: for ever."""
    wanted: dict[str, dict[str, int | None]] = {}
    for bucket, days, prefixes in (
        (settings.capture_bucket, settings.capture_retention_days, _CAPTURED),
        (settings.report_bucket, settings.report_retention_days, _ANALYZED),
    ):
        wanted.setdefault(bucket, {}).update(dict.fromkeys(prefixes, days))
    return wanted


def set_retention(settings: Settings, client: Any) -> None:
    """Give the buckets the rules and the lock that the settings ask for; raises StoreError."""
    lock = set_lock(settings, client)
    for bucket, days in wanted_days(settings).items():
        is_locked = lock is not None and bucket == settings.report_bucket
        set_rules(client, bucket, days, has_versions=is_locked)


def set_rules(
    client: Any, bucket: str, days: Mapping[str, int | None], *, has_versions: bool = False
) -> None:
    """Have S3 delete what is below each prefix after so many days, old versions of it soon after.

    Rules of others do not change. With None everywhere, and no rule of ours, nothing is written.

    Parameters
    ----------
    has_versions
        Whether old versions go also where objects stay for ever; S3 keeps those that are locked.

    Raises
    ------
    StoreError
        When S3 refuses the rules.
    """
    try:
        found = _rules(client, bucket)
        rules = [rule for rule in found if not rule.get("ID", "").startswith(_RULE)]
        rules += [
            {
                "ID": f"{_RULE}{prefix.rstrip('/')}",
                "Status": "Enabled",
                "Filter": {"Prefix": prefix},
                "Expiration": {"Days": each},
                "NoncurrentVersionExpiration": {"NoncurrentDays": _OLD_VERSIONS_DAYS},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _UPLOADS_DAYS},
            }
            for prefix, each in days.items()
            if each is not None
        ]
        if has_versions:
            rules.append(
                {
                    "ID": f"{_RULE}old-versions",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "Expiration": {"ExpiredObjectDeleteMarker": True},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": _OLD_VERSIONS_DAYS},
                }
            )
        if rules == found:
            return
        if rules:
            client.put_bucket_lifecycle_configuration(
                Bucket=bucket, LifecycleConfiguration={"Rules": rules}
            )
        else:
            client.delete_bucket_lifecycle(Bucket=bucket)
    except (BotoCoreError, ClientError) as error:
        raise StoreError(f"bucket {bucket} cannot be set to expire: {error}") from error


def find_kept(
    client: Any, settings: Settings, advance: Callable[[int], object] = lambda _objects: None
) -> list[Kept]:
    """Return what the buckets hold and their rules, whatever the settings say.

    Raises StoreError when a bucket cannot be read.
    """
    places = [(bucket, prefix) for bucket, days in wanted_days(settings).items() for prefix in days]
    places.append((settings.capture_bucket, "erasures/"))
    places += [(settings.report_bucket, prefix) for prefix in _KEPT]
    try:
        locks = {bucket: read_lock(client, bucket) for bucket in dict.fromkeys(dict(places))}
        return [
            _kept(client, bucket, prefix, str(locks[bucket] or ""), advance)
            for bucket, prefix in places
        ]
    except (BotoCoreError, ClientError) as error:
        raise StoreError(f"the buckets cannot be read: {error}") from error


def _kept(
    client: Any, bucket: str, prefix: str, lock: str, advance: Callable[[int], object]
) -> Kept:
    days = _days(_rules(client, bucket), prefix)
    found = Kept(bucket, prefix, days, lock=lock)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        entries = page.get("Contents", ())
        oldest = min([each["LastModified"] for each in entries], default=found.oldest)
        found = msgspec.structs.replace(
            found,
            objects=found.objects + len(entries),
            bytes=found.bytes + sum(each["Size"] for each in entries),
            oldest=min(oldest, found.oldest) if found.oldest and oldest else oldest,
        )
        advance(len(entries))
    if days is None or found.oldest is None:
        return found
    return msgspec.structs.replace(found, next_deleted_at=found.oldest + timedelta(days=days))


def _days(rules: list[dict[str, Any]], prefix: str) -> int | None:
    """Return after how many days the rules, whoever made them, delete what is below ``prefix``."""
    return min(
        (
            rule["Expiration"]["Days"]
            for rule in rules
            if rule["Status"] == "Enabled"
            and "Days" in rule.get("Expiration", {})
            and prefix.startswith(rule.get("Filter", {}).get("Prefix", rule.get("Prefix", "")))
            and not rule.get("Filter", {}).keys() - {"Prefix"}
        ),
        default=None,
    )


def _rules(client: Any, name: str) -> list[dict[str, Any]]:
    try:
        return list(client.get_bucket_lifecycle_configuration(Bucket=name).get("Rules", ()))
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        # no rules, or an S3 without lifecycle rules; that refuses the new rules, too
        if status in (404, 405, 501):
            return []
        raise
