"""An S3 client in memory: what our adapters ask of boto3's, and failures on demand."""

# ruff: noqa: N803 - the arguments are named as boto3 names them

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError


@dataclass
class InMemoryS3:
    """Objects of one bucket by key; `fail_at` cuts the connection at the call of that number."""

    objects: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    fail_at: int | None = None

    def put_object(
        self, *, Key: str, Body: bytes, IfNoneMatch: str = "", **_options: Any
    ) -> dict[str, Any]:
        self._called("put")
        if IfNoneMatch == "*" and Key in self.objects:
            raise _error("PreconditionFailed", "PutObject")
        self.objects[Key] = bytes(Body)
        return {}

    def get_object(self, *, Key: str, Range: str = "", **_options: Any) -> dict[str, Any]:
        self._called("get")
        if Key not in self.objects:
            raise _error("NoSuchKey", "GetObject")
        data = self.objects[Key]
        if Range:
            data = data[-int(Range.removeprefix("bytes=-")) :]
        return {"Body": io.BytesIO(data)}

    def delete_objects(self, *, Delete: dict[str, Any], **_options: Any) -> dict[str, Any]:
        self._called("delete")
        for entry in Delete["Objects"]:
            self.objects.pop(entry["Key"], None)
        return {}

    def get_paginator(self, _name: str) -> InMemoryS3:
        return self

    def paginate(
        self, *, Prefix: str = "", Delimiter: str = "", **_options: Any
    ) -> Iterator[dict[str, Any]]:
        self._called("list")
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        if not Delimiter:
            yield {"Contents": [{"Key": key, "Size": len(self.objects[key])} for key in keys]}
            return
        rests = [key.removeprefix(Prefix) for key in keys]
        folders = dict.fromkeys(rest.split(Delimiter)[0] for rest in rests if Delimiter in rest)
        yield {"CommonPrefixes": [{"Prefix": f"{Prefix}{name}{Delimiter}"} for name in folders]}

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.fail_at is not None and len(self.calls) >= self.fail_at:
            raise EndpointConnectionError(endpoint_url="memory://s3")


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)
