"""Grafana's published libraries, which check the dashboards and draw them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from browser import chromium

__all__ = ["chromium"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def _without(what: str) -> NoReturn:
    reason = f"{what}: the dashboards are NOT checked with Grafana's libraries"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _workshop(folder: Path, stamp: str) -> Path:
    if shutil.which("node") is None:
        _without("node is not installed")
    installed = ROOT / ".envs" / "grafana"
    if not (installed / stamp).exists():
        _without(f"`make .envs/grafana/{stamp}` has not run")
    shutil.copytree(HERE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py"))
    (folder / "node_modules").symlink_to(installed / "node_modules")
    return folder


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with this one's sources beside the libraries that check."""
    return _workshop(tmp_path_factory.mktemp("grafana"), ".stamp")


@pytest.fixture(scope="module")
def drawing_workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with this one's sources beside the libraries that draw."""
    return _workshop(tmp_path_factory.mktemp("grafana"), ".stamp-drawing")
