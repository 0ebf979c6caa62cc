"""The images that compose.yaml names: pulled where that works, else built from Debian.

A stand-in has the name of the image whose place it takes, so compose.yaml runs as it is.
"""

from __future__ import annotations

import os
import shutil
import ssl
import tarfile
from pathlib import Path

from commands import CommandError, run
from engine import Engine

#: What has to be installed, and the Debian package that has it.
PROGRAMS = {"debootstrap": "debootstrap", "tar": "tar"}

BASE = "modelwatch-test-base"
"""Debian trixie, whose Python is 3.13: the base of all stand-ins."""

STAND_INS = Path(__file__).parent / "stand-ins"

_PULL_SECONDS = 300.0
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def pull(engine: Engine, image: str) -> bool:
    """Return whether ``image`` could be pulled."""
    try:
        engine.docker("pull", "--quiet", image, timeout_seconds=_PULL_SECONDS)
    except CommandError:
        return False
    return True


def make_base(engine: Engine) -> None:
    """Make the image `BASE`, with the certificates that this machine trusts."""
    # in memory: dpkg waits for the disk after each file
    root = Path("/run/base")
    packages = "ca-certificates,python3,python3-venv"
    command = ["debootstrap", "--variant=minbase", f"--include={packages}", "trixie", str(root)]
    run(command, timeout_seconds=900)
    trusted = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    if trusted:
        shutil.copyfile(trusted, f"{root}{_BUNDLE}")
    # nor where packages are installed on it
    (root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
    shutil.rmtree(root / "var/cache/apt/archives")
    archive = root.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname=".")
    shutil.rmtree(root)
    engine.docker("import", "--change", f"ENV SSL_CERT_FILE={_BUNDLE} PIP_CERT={_BUNDLE}",
                  archive, BASE)  # fmt: skip
    archive.unlink()


def build(engine: Engine, image: str, context: Path, dockerfile: Path, base: str) -> None:
    """Build ``image`` from a Dockerfile whose base is an argument."""
    engine.docker(
        "build", "--quiet", "--build-arg", f"BASE_IMAGE={base}", "--file", dockerfile,
        "--tag", image, context, timeout_seconds=2400,
    )  # fmt: skip
