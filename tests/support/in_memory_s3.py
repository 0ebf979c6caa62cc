"""An S3 client in memory: what our adapters ask of boto3's, and failures on demand."""

# ruff: noqa: N803 - the arguments are named as boto3 names them

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

from botocore.exceptions import ClientError, EndpointConnectionError

Failure = Literal["before", "after", "half"]

FAILURES: dict[Failure, set[str]] = {
    "before": {"put", "get", "list", "delete", "versioning"},
    "after": {"put", "delete"},
    "half": {"delete"},
}
"""Which calls make a difference when they fail so: what only reads has done nothing either way."""


@dataclass
class InMemoryS3:
    """Objects of one bucket by key.

    Attributes
    ----------
    calls
        Names of the calls so far.
    fail_at
        The connection is cut at the call of that number, counted from 1.
    fails_once
        Later calls work again.
    failure
        Whether the connection is cut before the call does its work, after it, or (a deletion of
        several objects) in the midst of it.
    interrupt_at, interruption
        What is done before the call of that number: what another process does meanwhile.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    fail_at: int | None = None
    fails_once: bool = False
    failure: Failure = "before"
    interrupt_at: int | None = None
    interruption: Callable[[], object] = lambda: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put_object(
        self,
        *,
        Key: str,
        Body: bytes | BinaryIO,
        IfNoneMatch: str = "",
        IfMatch: str = "",
        **_options: Any,
    ) -> dict[str, Any]:
        with self._call("put"), self.lock:
            is_changed = IfMatch and IfMatch != _tag(self.objects.get(Key, b""))
            if is_changed or (IfNoneMatch == "*" and Key in self.objects):
                raise _error("PreconditionFailed", "PutObject")
            data = bytes(Body) if isinstance(Body, bytes) else Body.read()
            self.objects[Key] = data
        return {"ETag": _tag(data)}

    def get_object(
        self, *, Key: str, Range: str = "", IfNoneMatch: str = "", **_options: Any
    ) -> dict[str, Any]:
        with self._call("get"):
            if Key not in self.objects:
                raise _error("NoSuchKey", "GetObject")
            data = self.objects[Key]
            if IfNoneMatch == _tag(data):
                raise _error("304", "GetObject", 304)
        if Range:
            data = data[-int(Range.removeprefix("bytes=-")) :]
        return {"Body": io.BytesIO(data), "ETag": _tag(self.objects[Key])}

    def head_object(self, *, Key: str, **_options: Any) -> dict[str, Any]:
        with self._call("head"):
            if Key not in self.objects:
                error = {"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
                raise ClientError(error, "HeadObject")  # type: ignore[arg-type]
        digest = hashlib.sha256(self.objects[Key]).digest()
        return {"ChecksumSHA256": base64.b64encode(digest).decode()}

    def delete_objects(self, *, Delete: dict[str, Any], **_options: Any) -> dict[str, Any]:
        keys = [entry["Key"] for entry in Delete["Objects"]]
        with self._call("delete") as fails:
            for key in keys[::2] if fails and self.failure == "half" else keys:
                self.objects.pop(key, None)
        return {}

    def get_bucket_versioning(self, **_options: Any) -> dict[str, Any]:
        with self._call("versioning"):
            return {}

    def get_paginator(self, _name: str) -> InMemoryS3:
        return self

    def paginate(
        self, *, Prefix: str = "", Delimiter: str = "", StartAfter: str = "", **_options: Any
    ) -> Iterator[dict[str, Any]]:
        with self._call("list"):
            pass
        keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > StartAfter)
        if not Delimiter:
            yield {"Contents": [{"Key": key, "Size": len(self.objects[key])} for key in keys]}
            return
        rests = [key.removeprefix(Prefix) for key in keys]
        folders = dict.fromkeys(rest.split(Delimiter)[0] for rest in rests if Delimiter in rest)
        yield {"CommonPrefixes": [{"Prefix": f"{Prefix}{name}{Delimiter}"} for name in folders]}

    @contextmanager
    def _call(self, name: str) -> Iterator[bool]:
        self.calls.append(name)
        number = len(self.calls)
        if number == self.interrupt_at:
            self.interruption()
        fails = self.fail_at is not None and (
            number == self.fail_at if self.fails_once else number >= self.fail_at
        )
        cut = EndpointConnectionError(endpoint_url="memory://s3")
        if fails and self.failure == "before":
            raise cut
        yield fails
        if fails:
            raise cut


def _tag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()}"'


def _error(code: str, operation: str, status: int = 400) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": code},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, operation)
