"""The package as a user gets it: the wheel, and a command installed from it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import uv

from running_stack import RunningStack, describe_stack

ROOT = Path(__file__).parents[2]


def build_wheel(folder: Path) -> Path:
    """Build the wheel into ``folder``."""
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], ROOT)
    return next(folder.glob("*.whl"))


def install_command(folder: Path) -> RunningStack:
    """Install the wheel with the extra ``local`` below ``folder``, and describe a stack of it.

    Its command runs in an empty folder and keeps all it makes there. Packages come in the versions
    of the lock: a release of another project today fails no test.
    """
    wheel = build_wheel(folder)
    python = folder / "env" / "bin" / "python"
    work = folder / "work"
    work.mkdir()
    program = uv.find_uv_bin()
    _run([program, "venv", "-q", "--no-project", "--python", sys.executable, folder / "env"], work)
    _run(
        [
            *(program, "pip", "install", "-q", "--python", python),
            *(f"modelwatch[local] @ {wheel.as_uri()}", "-c", ROOT / "requirements.txt"),
        ],
        work,
    )
    stack = describe_stack(work / ".modelwatch")
    del stack.environ["MODELWATCH_HOME"]
    return replace(stack, command=[str(python.with_name("modelwatch"))], folder=work)


def _run(command: list[str | Path], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
