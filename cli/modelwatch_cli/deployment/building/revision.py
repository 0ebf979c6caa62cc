"""The git revision that is deployed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from modelwatch_cli.project import Project

_SOURCES = ("functions", "layers")


def git_revision(project: Project) -> str:
    """Return the last revision that changed functions or layers, with ``+`` if they differ now.

    So a commit of a docs page deploys nothing again. Empty if there is no checkout, or no git.
    """
    if project.state is not None:
        return ""
    root = project.root
    try:
        revision = _git(root, "log", "-1", "--format=%h", "--abbrev=12", "--", *_SOURCES)
        changed = _git(root, "status", "--porcelain", "--", *_SOURCES)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{revision}+" if changed else revision


def _git(root: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *command], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
