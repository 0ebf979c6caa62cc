"""Deterministic zip archives with bytecode, for layers and function packages."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from modelwatch_cli.digests import digest

# The earliest time that a zip can hold: an archive must not depend on when it was made.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def builder_digest(*modules: str) -> str:
    """Return the digest of the code that builds, and of the bytecode that this Python makes.

    Another trimming rule or bytecode format makes another archive of the same sources.
    """
    sources = [Path(__file__).with_name(f"{module}.py").read_bytes() for module in modules]
    return digest(importlib.util.MAGIC_NUMBER, *sources)


def compile_bytecode(directory: Path, mounted_at: str) -> None:
    """Add bytecode to every Python source under ``directory``.

    A function's file system is read-only: without bytecode every cold start compiles everything.
    The bytecode is of the unchecked-hash kind, since the usual kind depends on the files' times,
    which unzipping changes. Sources that do not compile (a package's templates) stay as they are.

    Parameters
    ----------
    mounted_at
        Its path in the function, such as ``/opt/python``: tracebacks name it.
    """
    command = [
        sys.executable,
        "-P",
        "-m",
        "compileall",
        "-qq",
        "-f",
        "-j",
        str(os.cpu_count() or 1),
    ]
    command += ["--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(directory), "-p", mounted_at, str(directory)]
    subprocess.run(command, check=False, capture_output=True)


def write_zip(directory: Path, archive: Path, compression_level: int = 1) -> None:
    """Write ``directory``'s files to ``archive``: equal trees make equal bytes.

    The archive appears whole or not at all. Compression is fast, not small: for a large layer, the
    highest level saves an eighth of the upload and takes three times as long as an upload within a
    data centre.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(f".{os.getpid()}.partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(p for p in directory.rglob("*") if p.is_file()):
            name = path.relative_to(directory).as_posix()
            info = zipfile.ZipInfo(name, date_time=_TIMESTAMP)
            # Lambda runs as another user than the one that packs: readable by all.
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            info.external_attr = (0o100000 | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, path.read_bytes(), compresslevel=compression_level)
    partial.replace(archive)


def unzipped_bytes(archive: Path) -> int:
    """Return the size of the unpacked files of ``archive``, in bytes."""
    with zipfile.ZipFile(archive) as source:
        return sum(info.file_size for info in source.infolist())


def build_once(target: Path, build: Callable[[Path], Path]) -> None:
    """Move what ``build`` makes in a scratch folder to ``target``, unless that is there.

    Of processes that need the same at the same time, one builds it and the others wait.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as scratch:
                put_in_place(build(Path(scratch)), target)


def put_in_place(built: Path, target: Path) -> None:
    """Move a finished folder to ``target``, unless another deployment put the same there first."""
    try:
        built.rename(target)
    except OSError:
        if not target.exists():
            raise
