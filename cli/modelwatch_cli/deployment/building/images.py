"""Images: functions that are too large for a zip, and the two kinds of image repository."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelwatch_cli.deployment.building.archive import (
    build_once,
    builder_digest,
    compile_bytecode,
    put_in_place,
)
from modelwatch_cli.deployment.building.environments import Environment
from modelwatch_cli.deployment.building.layers import copy_sources
from modelwatch_cli.deployment.building.packaging import Package
from modelwatch_cli.deployment.cloudformation.errors import BuildError
from modelwatch_cli.digests import digest, tree_digest
from modelwatch_cli.project import Project

_MOUNT = "/var/task"


@dataclass(frozen=True, slots=True)
class Image:
    """A function's code and its environment.

    Parameters
    ----------
    tag
        Digest of the code and of the environment's lock.
    task
        Folder of the code: the app, Chalice's runtime, the shared library.
    environment
        Its interpreter and third-party packages.
    """

    name: str
    tag: str
    task: Path
    environment: Environment


class ImageRepository(Protocol):
    """Where images go."""

    def uri(self, image: Image) -> str:
        """Return the image's address for Lambda."""
        ...

    def publish(self, image: Image) -> bool:
        """Put the image there; return False if it was there already."""
        ...

    def has(self, uri: str) -> bool:
        """Return whether the image of this address is there."""
        ...


def build_image(project: Project, package: Package, app: str, environment: Environment) -> Image:
    """Return the image of ``app``; it copies the code only if it has changed."""
    tag = digest(
        builder_digest("images", "archive"),
        package.digest,
        tree_digest(project.core),
        environment.lock.read_bytes(),
        project.dockerfile.read_bytes(),
    )[:24]
    task = project.build / "images" / f"{app}-{tag}"

    def build(scratch: Path) -> Path:
        whole = scratch / "task"
        copy_sources(package.task, whole)
        copy_sources(project.core, whole / "modelwatch")
        compile_bytecode(whole, _MOUNT)
        return whole

    build_once(task, build)
    return Image(app, tag, task, environment)


def image_repository(setting: str, project: Project, architecture: str) -> ImageRepository:
    """Return the repository that the setting IMAGE_REPOSITORY names.

    As with Docker, the text before the first slash is a registry if it has a dot or a colon. A path
    that begins with ``.`` or ``/`` is a folder.
    """
    host, slash, _ = setting.partition("/")
    if slash and not host.startswith(".") and ("." in host or ":" in host):
        return RegistryRepository(setting, project, architecture)
    return FolderRepository(project.base / setting)


class FolderRepository:
    """Images as folders, for a runtime that starts functions as processes.

    ``<folder>/<name>/<tag>/`` holds ``image.json``, which names the interpreter, and ``task/``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def uri(self, image: Image) -> str:
        """Return ``<name>:<tag>``, to be looked up in the folder."""
        return f"{image.name}:{image.tag}"

    def has(self, uri: str) -> bool:
        """Return whether the folder has the image."""
        return (self._folder / uri.replace(":", "/") / "image.json").exists()

    def publish(self, image: Image) -> bool:
        """Write the image's folder.

        Raises BuildError when the environment is missing and cannot be made.
        """
        image.environment.make()
        target = self._folder / image.name / image.tag
        # not resolved: the link in the environment is what makes it that environment
        manifest = json.dumps({"python": str(image.environment.python.absolute())}, indent=2) + "\n"
        is_there = target / "image.json"
        if is_there.exists() and is_there.read_text() == manifest:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as scratch:
            whole = Path(scratch) / "image"
            shutil.copytree(image.task, whole / "task")
            (whole / "image.json").write_text(manifest)
            if target.exists():  # of another interpreter
                target.rename(Path(scratch) / "old")
            put_in_place(whole, target)
        return True


class RegistryRepository:
    """A container registry that `docker push` reaches: one repository, a tag for each image."""

    def __init__(self, repository: str, project: Project, architecture: str) -> None:
        self._repository = repository.rstrip("/")
        self._project = project
        self._architecture = architecture

    def uri(self, image: Image) -> str:
        """Return ``<repository>:<name>-<tag>``."""
        return f"{self._repository}:{image.name}-{image.tag}"

    def has(self, uri: str) -> bool:
        """Return whether the registry has the image; raises BuildError without docker."""
        return _run(inspect_command(uri)).returncode == 0

    def publish(self, image: Image) -> bool:
        """Build and push the image, unless the registry has it.

        Raises BuildError with docker's message.
        """
        uri = self.uri(image)
        if self.has(uri):
            return False
        with tempfile.TemporaryDirectory() as scratch:
            context = Path(scratch) / "context"
            shutil.copytree(image.task, context / "task")
            shutil.copyfile(image.environment.lock, context / "requirements.txt")
            for command in publish_commands(
                uri, self._project.dockerfile, context, self._architecture
            ):
                outcome = _run(command)
                if outcome.returncode:
                    words = outcome.stderr.strip().splitlines()
                    reason = words[-1] if words else f"exit code {outcome.returncode}"
                    raise BuildError(f"`docker {command[1]}` of {uri} failed: {reason}")
        return True


def inspect_command(uri: str) -> list[str]:
    """Return the command that succeeds when the registry has ``uri``."""
    return ["docker", "manifest", "inspect", uri]


def publish_commands(
    uri: str, dockerfile: Path, context: Path, architecture: str
) -> list[list[str]]:
    """Return the commands that build and push ``uri``, in order.

    There is no provenance: with it a single image becomes an image index, which Lambda refuses.
    """
    platform = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}[architecture]
    build = ["docker", "build", "--platform", platform, "--provenance=false"]
    build += ["--file", str(dockerfile), "--tag", uri, str(context)]
    return [build, ["docker", "push", uri]]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        raise BuildError(
            f"`{command[0]}` is needed for an image registry (IMAGE_REPOSITORY) and is not here"
        ) from None
