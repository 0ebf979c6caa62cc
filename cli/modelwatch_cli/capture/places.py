"""Sources and destinations of files: a folder, or a prefix of a bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.errors import InvalidInputError, StoreError
from modelwatch_cli.settings import Settings

_S3 = "s3://"


class Place(Protocol):
    """Stores files by their keys, which contain slashes."""

    def keys(self, suffix: str) -> Iterator[str]:
        """Yield the key of every file that ends in ``suffix``, sorted."""
        ...

    def read(self, key: str) -> bytes:
        """Return a file's content; raises StoreError when it cannot be read."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Write a whole file, and replace an existing one; raises StoreError."""
        ...


class Folder:
    """A folder, or as a source a single file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keys(self, suffix: str) -> Iterator[str]:
        """See `Place.keys`."""
        if not self._path.exists():
            raise InvalidInputError(str(self._path), "is no file or folder")
        if self._path.is_file():
            yield self._path.name
            return
        found = (path.relative_to(self._path) for path in self._path.rglob(f"*{suffix}"))
        yield from sorted(PurePosixPath(path).as_posix() for path in found)

    def read(self, key: str) -> bytes:
        """See `Place.read`."""
        path = self._path if self._path.is_file() else self._path / key
        try:
            return path.read_bytes()
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error}") from error

    def write(self, key: str, content: bytes) -> None:
        """See `Place.write`."""
        path = self._path / key
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoreError(f"cannot write {path}: {error}") from error


class S3Prefix:
    """The objects of a bucket whose keys begin with a prefix, as a folder."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""

    def keys(self, suffix: str) -> Iterator[str]:
        """See `Place.keys`; S3 lists them sorted."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        try:
            for page in pages:
                for entry in page.get("Contents", ()):
                    if entry["Key"].endswith(suffix):
                        yield entry["Key"].removeprefix(self._prefix)
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot list {self._bucket}: {error}") from error

    def read(self, key: str) -> bytes:
        """See `Place.read`."""
        try:
            response = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            return bytes(response["Body"].read())
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot read {self._prefix}{key}: {error}") from error

    def write(self, key: str, content: bytes) -> None:
        """See `Place.write`."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=content)
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"cannot write {self._prefix}{key}: {error}") from error


def place(address: str, settings: Settings) -> Place:
    """Return the folder, or the prefix of a bucket, that ``address`` names.

    Raises InvalidInputError when ``address`` names no bucket.
    """
    if not address.startswith(_S3):
        return Folder(Path(address))
    bucket, _, prefix = address.removeprefix(_S3).partition("/")
    if not bucket:
        raise InvalidInputError(address, "names no bucket, as in s3://bucket/prefix")
    return S3Prefix(s3_client(settings), bucket, prefix)
