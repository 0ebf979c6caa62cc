"""What a backfill reads of S3 for every window, asked once."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

_MOST_BYTES = 64 * 2**20
"""Of the objects that are kept."""


class _Part(NamedTuple):
    """An object or a part of it; ``range`` is empty where it is whole."""

    bucket: str
    key: str
    range: str


class ReadOnce:
    """A client of S3 that keeps what it read and listed, for a command that looks at the past.

    What it writes or deletes it knows, and what it could not read or write it asks for again. What
    others write meanwhile, such as late labels, the next run sees.

    Parameters
    ----------
    client
        Asks S3.
    most_bytes
        Of the objects that are kept: the newest.
    """

    def __init__(self, client: Any, most_bytes: int = _MOST_BYTES) -> None:
        self._client = client
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._objects: dict[_Part, tuple[bytes, str]] = {}
        self._bytes = 0
        self._listings: dict[tuple[tuple[str, Any], ...], _Listing] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_object(self, *, Bucket: str, Key: str, **options: Any) -> dict[str, Any]:  # noqa: N803
        """Return an object, or a part of it."""
        part = _Part(Bucket, Key, options.pop("Range", ""))
        if options:
            found: dict[str, Any] = self._asked(part, options)
            return found
        with self._lock:
            kept = self._objects.get(part)
        if kept is None:
            found = self._asked(part, {})
            kept = (bytes(found["Body"].read()), found["ETag"])
            with self._lock:
                self._keep(part, kept)
        return {"Body": io.BytesIO(kept[0]), "ETag": kept[1]}

    def put_object(self, *, Bucket: str, Key: str, Body: Any, **options: Any) -> Any:  # noqa: N803
        """Write an object."""
        part = _Part(Bucket, Key, "")
        with self._lock:
            was_read = part in self._objects
        try:
            done = self._client.put_object(Bucket=Bucket, Key=Key, Body=Body, **options)
        finally:
            self._forget(Bucket, Key)
        if was_read and isinstance(Body, bytes):
            with self._lock:
                self._keep(part, (Body, done["ETag"]))
        return done

    def delete_objects(self, *, Bucket: str, Delete: Any, **options: Any) -> Any:  # noqa: N803
        """Delete objects."""
        try:
            return self._client.delete_objects(Bucket=Bucket, Delete=Delete, **options)
        finally:
            for each in Delete["Objects"]:
                self._forget(Bucket, each["Key"])

    def get_paginator(self, operation: str) -> Any:
        """Return what lists objects; so it is its own paginator."""
        return self if operation == "list_objects_v2" else self._client.get_paginator(operation)

    def paginate(self, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the pages of a listing."""
        key = tuple(sorted(query.items()))
        with self._lock:
            found = self._listings.get(key)
            if found is None or found.is_broken:
                pages = self._client.get_paginator("list_objects_v2").paginate(**query)
                found = self._listings[key] = _Listing(query, iter(pages))
        return found.pages()

    def _asked(self, part: _Part, options: Mapping[str, Any]) -> dict[str, Any]:
        ranged = {"Range": part.range} if part.range else {}
        try:
            found: dict[str, Any] = self._client.get_object(
                Bucket=part.bucket, Key=part.key, **ranged, **options
            )
        except ClientError:
            # a merge of captures may have removed what a listing shows
            self._forget(part.bucket, part.key)
            raise
        return found

    def _keep(self, part: _Part, kept: tuple[bytes, str]) -> None:
        self._drop(part)
        self._objects[part] = kept
        self._bytes += len(kept[0])
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._objects)))

    def _drop(self, part: _Part) -> None:
        if part in self._objects:
            self._bytes -= len(self._objects.pop(part)[0])

    def _forget(self, bucket: str, key: str) -> None:
        """Keep nothing that an object of that name is part of."""
        with self._lock:
            for part in [each for each in self._objects if each[:2] == (bucket, key)]:
                self._drop(part)
            for query in [each for each, kept in self._listings.items() if kept.shows(bucket, key)]:
                del self._listings[query]


class _Listing:
    """Pages of a listing, each asked for once it is needed."""

    def __init__(self, query: Mapping[str, Any], rest: Iterator[dict[str, Any]]) -> None:
        self.is_broken = False
        self._query = query
        self._rest = rest
        self._pages: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def shows(self, bucket: str, key: str) -> bool:
        """Return whether an object of that name is in it."""
        return self._query["Bucket"] == bucket and key.startswith(self._query.get("Prefix", ""))

    def pages(self) -> Iterator[dict[str, Any]]:
        """Yield the pages."""
        place = 0
        while True:
            with self._lock:
                if place == len(self._pages):
                    try:
                        page = next(self._rest, None)
                    except Exception:
                        # what is there is not all, and an iterator that failed says that it is
                        self.is_broken = True
                        raise
                    if page is None:
                        return
                    self._pages.append(page)
            yield self._pages[place]
            place += 1
