"""Object Lock of the report bucket: results and their evidence cannot be deleted for some time.

It is the bucket's default for new objects, so no function needs a right for it, and none can make
it longer or shorter.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.errors import SettingError, StoreError
from modelwatch.settings.kinds import LOCKS, Lock
from modelwatch_cli.settings import Settings

_YEAR_DAYS = 365


def read_lock(client: Any, bucket: str) -> Lock | None:
    """Return how a bucket locks new objects; None where it does not, or its S3 has no locks.

    Raises botocore's errors when it cannot be asked.
    """
    try:
        found = client.get_object_lock_configuration(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404, 405, 501):
            return None
        raise
    kept = found["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention")
    if not kept:
        return None
    days = kept.get("Days", 0) + _YEAR_DAYS * kept.get("Years", 0)
    return Lock(kept["Mode"].lower(), days)


def is_weaker(lock: Lock, than: Lock) -> bool:
    """Return whether ``lock`` lets something be deleted that ``than`` does not.

    >>> is_weaker(Lock("governance", 400), Lock("compliance", 30))
    True
    >>> is_weaker(Lock("compliance", 30), Lock("governance", 30))
    False
    """
    return lock.days < than.days or LOCKS.index(lock.mode) < LOCKS.index(than.mode)


def set_lock(settings: Settings, client: Any) -> Lock | None:
    """Have the report bucket lock what is written from now on; return its lock.

    Without REPORT_LOCK the bucket stays as it is.

    Raises StoreError when S3 refuses, or the bucket has a stricter lock: that is never loosened.
    """
    bucket, wanted = settings.report_bucket, settings.report_lock
    try:
        found = read_lock(client, bucket)
        if wanted is None or wanted == found:
            return found
        if found and is_weaker(wanted, found):
            raise StoreError(
                f"bucket {bucket} has the lock {found}; REPORT_LOCK={wanted} is weaker, and "
                "modelwatch loosens none"
            )
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        kept = {"Mode": wanted.mode.upper(), "Days": wanted.days}
        client.put_object_lock_configuration(
            Bucket=bucket,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": kept},
            },
        )
    except (BotoCoreError, ClientError) as error:
        raise StoreError(f"bucket {bucket} cannot be locked: {error}") from error
    return wanted


def check_lock(settings: Settings) -> None:
    """Refuse a lock that contradicts other settings; raises SettingError."""
    lock = settings.report_lock
    if lock is None:
        return
    if settings.report_bucket == settings.capture_bucket:
        raise SettingError(
            "REPORT_LOCK", "would lock captures, too: give REPORT_BUCKET a bucket of its own"
        )
    days = settings.report_retention_days
    if days is not None and days < lock.days:
        raise SettingError(
            "REPORT_LOCK",
            f"keeps results for {lock.days} days, and REPORT_RETENTION_DAYS={days} hides them "
            "before: let it be as long, or leave it empty",
        )
