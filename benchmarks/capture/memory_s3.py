"""An S3 client in memory that counts its calls: what is measured is our work, not the network's."""

# ruff: noqa: N803 - the arguments are named as boto3 names them

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any


class MemoryS3:
    """Objects of one bucket by key, and the calls that were made."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.calls: list[str] = []

    def bytes(self, prefix: str) -> int:
        """Return the size of all objects below ``prefix``."""
        return sum(len(body) for key, body in self.objects.items() if key.startswith(prefix))

    def put_object(self, *, Key: str, Body: Any, **_options: Any) -> dict[str, Any]:
        """Keep an object."""
        self.calls.append("put")
        self.objects[Key] = Body if isinstance(Body, bytes) else Body.read()
        return {}

    def get_object(self, *, Key: str, Range: str = "", **_options: Any) -> dict[str, Any]:
        """Return an object, or its end."""
        self.calls.append("get")
        data = self.objects[Key]
        return {"Body": io.BytesIO(data[int(Range.removeprefix("bytes=")) :] if Range else data)}

    def delete_objects(self, *, Delete: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Delete objects."""
        self.calls.append("delete")
        for entry in Delete["Objects"]:
            self.objects.pop(entry["Key"], None)
        return {}

    def get_paginator(self, _name: str) -> MemoryS3:
        """Return what pages a listing."""
        return self

    def paginate(
        self, *, Prefix: str = "", Delimiter: str = "", StartAfter: str = "", **_options: Any
    ) -> Iterator[dict[str, Any]]:
        """List in pages of a thousand."""
        keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > StartAfter)
        if Delimiter:
            self.calls.append("list")
            rests = (key.removeprefix(Prefix).partition(Delimiter) for key in keys)
            folders = dict.fromkeys(name for name, slash, _ in rests if slash)
            yield {"CommonPrefixes": [{"Prefix": f"{Prefix}{name}/"} for name in folders]}
            return
        for start in range(0, max(len(keys), 1), 1000):
            self.calls.append("list")
            page = keys[start : start + 1000]
            yield {"Contents": [{"Key": key, "Size": len(self.objects[key])} for key in page]}
