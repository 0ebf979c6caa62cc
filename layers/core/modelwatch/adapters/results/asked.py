"""Asked analyses on S3: ``asked/<name>/request.json``, ``started.json`` and ``done.json``."""

from __future__ import annotations

from modelwatch.adapters.aws.objects import S3Store

ASKED = "asked/"
"""Where they are."""


class S3AskedStore(S3Store):
    """Asked analyses in ``bucket``; see `modelwatch.ports.analysis.AskedStore`."""

    def write(self, name: str, part: str, payload: bytes) -> bool:
        """Keep a part, unless there is one; return whether it is kept."""
        return self._objects.write_once(_key(name, part), payload, "application/json")

    def read(self, name: str, part: str) -> bytes:
        """Return a part; raises NotFoundError when there is none."""
        return self._objects.read(_key(name, part))


def _key(name: str, part: str) -> str:
    return f"{ASKED}{name}/{part}.json"
