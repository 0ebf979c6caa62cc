"""The files of a registry that is a folder: their names, their content, how they are replaced."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec

from modelwatch.adapters.models.whole_files import write_whole
from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.routing import Routing
from modelwatch.errors import RegistryError

FORMAT = 1


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """``model.json``: ``stages`` has the stage of each version that is in one."""

    name: str
    last_version: int = 0
    aliases: Mapping[str, str] = {}
    stages: Mapping[str, str] = {}
    routing: Routing | None = None
    format: int = FORMAT


class VersionFile(msgspec.Struct, frozen=True, kw_only=True):
    """``version.json``: numbers are texts, since JSON has no NaN."""

    made_at: float
    tags: Mapping[str, str]
    metrics: Mapping[str, str]
    parameters: Mapping[str, str]
    notes: Mapping[str, str]
    format: int = FORMAT


MODEL_FILE = msgspec.json.Decoder(ModelFile)
VERSION_FILE = msgspec.json.Decoder(VersionFile)


def folder_name(name: str) -> str:
    """Return the name of a model's folder, which no two models share.

    >>> folder_name("wine quality (v2)"), folder_name(".."), len(folder_name("ß" * 250))
    ('wine quality (v2)', '%2E.', 184)
    """
    quoted = quote(name, safe=" !#$&'()+,;@[]^`{}~")
    if quoted.startswith("."):
        quoted = f"%2E{quoted[1:]}"
    if len(quoted) <= 200:
        return quoted
    # a disk takes 255 bytes; no name is quoted with "%-" in it
    return f"{quoted[:150]}%-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def read_file[T: (ModelFile, VersionFile)](file: Path, decoder: msgspec.json.Decoder[T]) -> T:
    """Return what is in ``file``; raises RegistryError when it cannot be read."""
    with os_errors(file):
        payload = file.read_bytes()
    try:
        found = decoder.decode(payload)
    except UNREADABLE as error:
        raise RegistryError(f"{file} of the model registry is damaged: {error}") from error
    if found.format != FORMAT:
        raise RegistryError(
            f"{file} of the model registry has format {found.format}; this code reads {FORMAT}"
        )
    return found


def write_file(file: Path, content: ModelFile | VersionFile) -> None:
    """Put ``content`` in ``file``, in one step."""
    payload = msgspec.json.format(msgspec.json.encode(content))
    with os_errors(file):
        write_whole(file, payload, durable=True)


@contextmanager
def os_errors(place: Path) -> Iterator[None]:
    """Say what is wrong with the disk at ``place``, as a RegistryError."""
    try:
        yield
    except OSError as error:
        raise RegistryError(
            f"the model registry at {place} cannot be used: {error.strerror or error}"
        ) from error
