"""Digests of sources: if they are equal, nothing is built again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

# What no artifact takes from a source tree.
IGNORED_DIRECTORIES = frozenset({"__pycache__", ".chalice", ".mypy_cache", ".ruff_cache"})


def digest(*parts: str | bytes) -> str:
    """Return a hexadecimal SHA-256 of ``parts``; other borders between them give another one.

    >>> digest("ab", "c") == digest("a", "bc")
    False
    """
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.hexdigest()


def source_files(root: Path) -> Iterator[Path]:
    """Yield the files under ``root`` in a fixed order, without caches and bytecode."""
    for path in sorted(root.rglob("*")):
        if IGNORED_DIRECTORIES.isdisjoint(path.relative_to(root).parts) and path.is_file():
            yield path


def tree_digest(root: Path) -> str:
    """Return the digest of names and contents under ``root`` (times and owners do not count)."""
    parts: list[str | bytes] = []
    for path in source_files(root):
        parts += [path.relative_to(root).as_posix(), path.read_bytes()]
    return digest(*parts)
