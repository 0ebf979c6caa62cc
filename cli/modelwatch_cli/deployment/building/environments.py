"""Environments: a lock, and for images also the packages of the served models.

An image's lock in ``layers/`` is the base. If it contains all packages that the models need, it is
used unchanged. Otherwise both are resolved together into ``build/``, with as few changed pins as
possible.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uv
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from modelwatch.errors import SettingError
from modelwatch_cli.deployment.building.layers import PLATFORMS
from modelwatch_cli.deployment.cloudformation.errors import BuildError
from modelwatch_cli.digests import digest
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings

SETTING = "MODEL_REQUIREMENTS"
NOTHING = "none"
_OF_THE_IMAGE = frozenset({"mlflow", "mlflow-skinny", "mlflow-tracing"})
"""Not the model's to choose: a newer MLflow loads what an older one saved."""
_REMEDY = (
    f"; {SETTING} may say other requirements, or '{NOTHING}' for what the image has without them"
)


@dataclass(frozen=True, slots=True)
class Environment:
    """Third-party code of an image, or of a part of the stack.

    Attributes
    ----------
    name
        Its name.
    lock
        Hash-locked requirements.
    python
        The interpreter with these packages.
    goal
        The goal of `make` that makes it; empty if `make` of this class does.
    package
        The source of one more package that it has.
    """

    name: str
    lock: Path
    python: Path
    goal: str = ""
    package: Path | None = None

    def make(self) -> None:
        """Make the environment if it is missing: whole or not at all, by one process.

        Raises BuildError when `make` should make it, or a package cannot be installed.
        """
        if self.python.exists():
            return
        if self.goal:
            raise BuildError(f"{self.python} is missing: run `make {self.goal}`")
        target = self.python.parents[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.with_name(f".{target.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = target.with_name(f".{target.name}")
            try:
                if not self.python.exists():
                    self._install(made)
                    made.rename(target)
            finally:
                shutil.rmtree(made, ignore_errors=True)

    def _install(self, made: Path) -> None:
        shutil.rmtree(made, ignore_errors=True)  # of a process that was killed
        _uv("venv", "--quiet", "--relocatable", "--python", sys.executable, str(made))
        install = ("pip", "install", "--quiet", "--python", str(made / "bin" / "python"))
        _uv(*install, "--require-hashes", "--compile-bytecode", "--requirement", str(self.lock))
        if self.package:
            # what builds it is in the lock
            _uv(*install, "--no-deps", "--no-build-isolation", str(self.package))


def base_environment(project: Project, name: str) -> Environment:
    """Return the environment ``name``: a checkout's is made by `make setup`."""
    goal = "setup-pyfunc" if name == "pyfunc" else "setup"
    return Environment(
        name,
        project.requirements(name),
        project.interpreter(name),
        goal if project.state is None else "",
        project.plugin if name == "localstack" else None,
    )


def environment_with(
    project: Project, name: str, wanted: Sequence[str], architecture: str
) -> Environment:
    """Return the environment ``name`` with the requirements ``wanted``.

    Raises BuildError with the resolver's message when they contradict one another.
    """
    base = base_environment(project, name)
    missing = missing_from(base.lock.read_text(), wanted)
    if not missing:
        return base
    platform = PLATFORMS[architecture]
    key = digest(base.lock.read_bytes(), platform, *sorted(wanted))[:24]
    folder = project.build / "environments" / f"{name}-{key}"
    lock = folder / "requirements.txt"
    if not lock.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as scratch:
            draft, asked = Path(scratch) / "requirements.txt", Path(scratch) / "requirements.in"
            # what is pinned in the output stays where it can
            shutil.copyfile(base.lock, draft)
            asked.write_text("".join(f"{each}\n" for each in wanted))
            _uv(
                *("pip", "compile", "--quiet", "--generate-hashes", "--no-emit-index-url"),
                *("--python-version", "3.13", "--python-platform", platform),
                *("--only-binary", ":all:", "--custom-compile-command", "modelwatch deploy"),
                *("--output-file", str(draft), str(base.lock.with_suffix(".in")), str(asked)),
                remedy=_REMEDY,
            )
            draft.replace(lock)
    return Environment(name, lock, folder / "env" / "bin" / "python")


def model_requirements(settings: Settings, logged: Mapping[str, bytes]) -> list[str]:
    """Return the packages that an image needs beside its own: the setting's, or the models'.

    Raises SettingError when a line cannot be read, or cannot be locked.

    Parameters
    ----------
    logged
        The requirements.txt that MLflow logged with each served version, by its title.

    Examples
    --------
    >>> logged = {"wine version 3": b"mlflow==3.17.2\\nlightgbm==4.6.0\\n"}
    >>> model_requirements(Settings({}), logged)
    ['lightgbm==4.6.0']
    >>> model_requirements(Settings({"MODEL_REQUIREMENTS": "none"}), logged)
    []
    """
    declared = settings.text(SETTING)
    if declared == NOTHING:
        return []
    if declared.endswith(".txt"):
        try:
            return _read(Path(declared).read_text().splitlines(), declared)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(SETTING, f"{declared} cannot be read: {error}{_REMEDY}") from error
    if declared:
        return _read(declared.split(), declared)
    found = [
        each
        for title, text in logged.items()
        for each in _read(text.decode(errors="replace").splitlines(), title)
    ]
    return sorted(set(found))


def missing_from(lock: str, wanted: Iterable[str]) -> list[str]:
    """Return the requirements of ``wanted`` that the pins of ``lock`` do not meet.

    >>> missing_from("numpy==2.5.5 \\\\\\n  --hash=sha256:00", ["numpy>=2", "numpy<2", "polars"])
    ['numpy<2', 'polars']
    """
    pins = dict(
        line.split(" ")[0].split("==")
        for line in lock.splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    )
    missing = []
    for each in wanted:
        requirement = Requirement(each)
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None or requirement.extras or not requirement.specifier.contains(pin, True):
            missing.append(each)
    return missing


def _read(lines: Iterable[str], place: str) -> list[str]:
    found = []
    for line in lines:
        text = line.split(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            problem = f"'{text[:80]}' of {place} is not a requirement that can be locked{_REMEDY}"
            raise SettingError(SETTING, problem) from None
        if requirement.url:
            raise SettingError(
                SETTING, f"'{text[:80]}' of {place} is an address, which has no hash{_REMEDY}"
            )
        if canonicalize_name(requirement.name) in _OF_THE_IMAGE:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"python_version": "3.13"}):
            found.append(text)
    return found


def _uv(*arguments: str, remedy: str = "") -> None:
    command = [uv.find_uv_bin(), *arguments]
    outcome = subprocess.run(command, check=False, capture_output=True, text=True)
    if outcome.returncode:
        reason = " ".join(outcome.stderr.split()) or f"exit code {outcome.returncode}"
        raise BuildError(f"an environment cannot be made: {reason[:1500]}{remedy}")
