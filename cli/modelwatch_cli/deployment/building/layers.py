"""Layers: the shared library, and third-party sets from their hash-locked requirements."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import uv

from modelwatch_cli.deployment.building.archive import (
    build_once,
    builder_digest,
    compile_bytecode,
    unzipped_bytes,
    write_zip,
)
from modelwatch_cli.deployment.building.trimming import trim
from modelwatch_cli.deployment.cloudformation.errors import BuildError
from modelwatch_cli.digests import (
    digest,
    source_files,
    tree_digest,
)
from modelwatch_cli.project import Project

# What Lambda allows a function and its layers to take together when unpacked.
UNZIPPED_BYTES_LIMIT = 250 * 1024 * 1024

_CORE = "core"
_MOUNT = "/opt/python"
# Lambda's Python 3.13 runs on Amazon Linux 2023, whose C library is glibc 2.34.
PLATFORMS = {"x86_64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A built file, and the key under which it is published."""

    name: str
    path: Path
    key: str
    unzipped_bytes: int


def build_layer(project: Project, name: str, architecture: str) -> Artifact:
    """Return the layer ``name``; it is built only if its sources have changed.

    Raises BuildError when a package of the lock has no wheel for Lambda, or cannot be installed.

    Parameters
    ----------
    name
        ``core``, or a third-party set such as ``inference``.
    architecture
        ``x86_64`` or ``arm64``.
    """
    version = builder_digest("layers", "archive", "trimming")
    if name == _CORE:
        inputs = tree_digest(project.core)
    else:
        inputs = digest(project.requirements(name).read_bytes(), PLATFORMS[architecture])
    # The key is a digest of what goes in, since bytecode need not come out the same twice.
    key = f"layers/{name}-{digest(version, inputs)[:24]}.zip"
    archive = project.build / key
    build_once(archive, lambda scratch: _build(project, name, architecture, scratch))
    return Artifact(name, archive, key, unzipped_bytes(archive))


def _build(project: Project, name: str, architecture: str, scratch: Path) -> Path:
    packages = scratch / "layer" / "python"
    packages.mkdir(parents=True)
    if name == _CORE:
        copy_sources(project.core, packages / "modelwatch")
    else:
        install(project.requirements(name), packages, PLATFORMS[architecture])
        trim(packages)
    compile_bytecode(packages, _MOUNT)
    archive = scratch / "layer.zip"
    write_zip(packages.parent, archive)
    return archive


def copy_sources(source: Path, target: Path) -> None:
    """Copy the sources under ``source`` to ``target``, without caches."""
    for path in source_files(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def install(requirements: Path, target: Path, platform: str) -> None:
    """Install the locked ``requirements`` for Lambda's ``platform`` into ``target``.

    Raises BuildError with the installer's message when a package has no wheel.
    """
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--target", str(target)]
    command += ["--python", sys.executable, "--python-version", "3.13"]
    command += ["--python-platform", platform, "--only-binary", ":all:"]
    command += ["--require-hashes", "--requirement", str(requirements)]
    outcome = subprocess.run(command, check=False, capture_output=True, text=True)
    if outcome.returncode:
        reason = " ".join(outcome.stderr.split()) or f"exit code {outcome.returncode}"
        raise BuildError(f"{requirements} cannot be installed for {platform}: {reason}")


def check_size(function: str, parts: dict[str, int]) -> None:
    """Refuse a function that is too large for Lambda.

    Raises BuildError when they take more than 250 MB together.

    Parameters
    ----------
    parts
        Unpacked size in bytes of its package and of each of its layers.

    Examples
    --------
    >>> check_size("capture", {"package": 10_000, "core": 50_000})
    """
    total = sum(parts.values())
    if total > UNZIPPED_BYTES_LIMIT:
        sizes = ", ".join(f"{name} {size / 1024**2:.0f} MB" for name, size in parts.items())
        raise BuildError(
            f"{function} takes {total / 1024**2:.0f} MB unpacked and Lambda allows 250 MB: {sizes}"
        )
