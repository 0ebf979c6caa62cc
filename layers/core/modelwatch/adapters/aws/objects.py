"""Objects of one S3 bucket: whole, in part, listed; written once. Its errors are StoreErrors."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from os.path import commonprefix
from pathlib import Path
from typing import Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.errors import NotFoundError, StoreError

_MISSING = {"NoSuchKey", "404", "NotFound"}
_LOST = {"ConditionalRequestConflict", *_MISSING}
"""Another one replaced, or deleted, what was to be replaced."""
_PIECE_BYTES = 1024 * 1024


class S3Objects:
    """Objects of ``bucket``."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def write_once(self, key: str, body: bytes | BinaryIO, content_type: str) -> bool:
        """Write an object unless there is one of that name; return whether it was written.

        ``body`` may be a file of up to 5 GB.
        """
        return self.replace(key, body, content_type, "")

    def write(self, key: str, body: bytes, content_type: str) -> None:
        """Write an object, in place of one of that name."""
        try:
            self._client.put_object(
                Bucket=self.bucket, Key=key, Body=body, ContentType=content_type
            )
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot write {key}: {error}") from error

    def replace(self, key: str, body: bytes | BinaryIO, content_type: str, tag: str) -> bool:
        """Write an object in place of the one that has ``tag``; return whether it was written.

        With an empty tag: unless there is one of that name.
        """
        condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        try:
            self._client.put_object(
                Bucket=self.bucket, Key=key, Body=body, ContentType=content_type, **condition
            )
        except ClientError as error:
            if _code(error) == "PreconditionFailed" or (tag and _code(error) in _LOST):
                return False
            raise StoreError(f"cannot write {key}: {error}") from error
        except BotoCoreError as error:
            raise StoreError(f"cannot write {key}: {error}") from error
        return True

    def read(self, key: str) -> bytes:
        """Return an object; raises NotFoundError when there is none."""
        return self._get(key)

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """Return an object and its tag, for `replace`; raises NotFoundError when there is none."""
        with self._reading(key) as found:
            return bytes(found["Body"].read()), found["ETag"]

    def read_end(self, key: str, size_bytes: int) -> bytes:
        """Return the last bytes of an object, all of a shorter one."""
        return self._get(key, Range=f"bytes=-{size_bytes}")

    def download(self, key: str, path: Path) -> None:
        """Write an object into a file; raises NotFoundError when there is none."""
        with self._reading(key) as found, path.open("wb") as file:
            shutil.copyfileobj(found["Body"], file, _PIECE_BYTES)

    def _get(self, key: str, **options: str) -> bytes:
        with self._reading(key, **options) as found:
            return bytes(found["Body"].read())

    @contextmanager
    def _reading(self, key: str, **options: str) -> Iterator[Any]:
        try:
            yield self._client.get_object(Bucket=self.bucket, Key=key, **options)
        except ClientError as error:
            if _code(error) in _MISSING:
                raise NotFoundError(f"there is no {key}") from error
            raise StoreError(f"cannot read {key}: {error}") from error
        except BotoCoreError as error:
            raise StoreError(f"cannot read {key}: {error}") from error

    def keys(self, prefix: str, *, after: str = "") -> Iterator[tuple[str, int]]:
        """Yield the key and size in bytes of every object below ``prefix``, in order.

        Only of those whose key comes later than ``after``.
        """
        start = {"StartAfter": after} if after else {}
        for page in self._pages(Prefix=prefix, **start):
            for entry in page.get("Contents", ()):
                yield entry["Key"], entry["Size"]

    def keys_of_days(self, prefix: str, first: date, last: date) -> Iterator[tuple[str, int]]:
        """Yield key and size of what is in ``date=…/`` folders of a range of days: one listing."""
        end = f"{prefix}date={last + timedelta(days=1)}"
        # else a page would be full of later days, at each look at a day of a long past
        days = commonprefix([f"date={first}/", f"date={last}/"])  # noqa: RUF071 - characters
        for key, size in self.keys(f"{prefix}{days}", after=f"{prefix}date={first}/"):
            if key >= end:
                return
            yield key, size

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield what stands between ``prefix`` and the next slash, once each."""
        for page in self._pages(Prefix=prefix, Delimiter="/"):
            for found in page.get("CommonPrefixes", ()):
                yield found["Prefix"].removeprefix(prefix).rstrip("/")

    def delete(self, keys: list[str]) -> None:
        """Delete objects; those that are gone already do not matter."""
        self._delete([{"Key": key} for key in keys])

    def keeps_versions(self) -> bool:
        """Return whether the bucket keeps, or once kept, what is deleted or replaced."""
        try:
            return bool(self._client.get_bucket_versioning(Bucket=self.bucket).get("Status"))
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot read the versioning of {self.bucket}: {error}") from error

    def delete_old_versions(self, prefix: str, is_chosen: Callable[[str], bool]) -> int:
        """Remove the old versions of the chosen keys below ``prefix``: deleted or replaced.

        Returns how many versions there were. Raises StoreError when it is not allowed.
        """
        old = []
        for page in self._pages("list_object_versions", Prefix=prefix):
            versions = [each for each in page.get("Versions", ()) if not each["IsLatest"]]
            old += [
                {"Key": each["Key"], "VersionId": each["VersionId"]}
                for each in (*versions, *page.get("DeleteMarkers", ()))
                if is_chosen(each["Key"])
            ]
        self._delete(old)
        return len(old)

    def _delete(self, entries: list[dict[str, str]]) -> None:
        for start in range(0, len(entries), 1000):
            batch = entries[start : start + 1000]
            try:
                response = self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True}
                )
            except (BotoCoreError, ClientError) as error:
                raise StoreError(f"cannot delete objects of {self.bucket}: {error}") from error
            for problem in response.get("Errors", ()):
                raise StoreError(f"cannot delete {problem['Key']}: {problem.get('Message')}")

    def _pages(self, operation: str = "list_objects_v2", **query: str) -> Iterator[dict[str, Any]]:
        try:
            yield from self._client.get_paginator(operation).paginate(Bucket=self.bucket, **query)
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot list {self.bucket}: {error}") from error


class S3Store:
    """What is kept in ``bucket``, which ``client`` of S3 reaches."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._objects = S3Objects(client, bucket)

    def _append(
        self, prefix: str, payload: bytes, number: int, changed: str, shown_by: str
    ) -> None:
        """Write the version after ``number``, once: two writers cannot undo each other's work.

        Raises StoreError when someone else wrote it meanwhile.

        Parameters
        ----------
        changed
            What it is a version of, in words.
        shown_by
            The command that shows how it is now.
        """
        key = _numbered(prefix, number + 1)
        if not self._objects.write_once(key, payload, "application/json"):
            raise StoreError(
                f"someone else has just changed {changed}, so nothing was written: "
                f"see `{shown_by}`, then repeat the command"
            )

    def _newest(self, prefix: str) -> int:
        """Return the number of the newest version below ``prefix``; 0 when there is none."""
        return max(self._numbers(prefix), default=0)

    def _numbers(self, prefix: str) -> list[int]:
        """Return the numbers of all versions below ``prefix``."""
        names = (key.removeprefix(prefix) for key, _ in self._objects.keys(prefix))
        return [int(name[:-5]) for name in names if name.endswith(".json")]

    def _version(self, prefix: str, number: int) -> bytes:
        return self._objects.read(_numbered(prefix, number))


def _numbered(prefix: str, number: int) -> str:
    return f"{prefix}{number:06}.json"


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code"))
