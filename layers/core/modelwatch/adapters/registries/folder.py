"""A folder as a model registry: no server, for tests and for programs that carry their models.

    <folder>/<model>/model.json                  aliases, stages, routing
    <folder>/<model>/versions/<n>/version.json   tags, metrics, parameters
    <folder>/<model>/versions/<n>/artifacts/…    MLflow's files, and what modelwatch adds
    <folder>/.drafts/…                           versions that are being made

Each file is replaced in one step and a version appears in one step, complete, so that whoever reads
needs no lock. Who writes to a model holds the lock of its file ``.lock`` (`flock`).
"""

from __future__ import annotations

import fcntl
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from modelwatch.adapters.models.artifacts import Artifacts
from modelwatch.adapters.registries.base import (
    MANIFEST_TAG,
    REMEDY,
    Complete,
    NewVersion,
    Published,
    Registry,
    Step,
)
from modelwatch.adapters.registries.folder_artifacts import FolderArtifacts
from modelwatch.adapters.registries.folder_files import (
    MODEL_FILE,
    VERSION_FILE,
    ModelFile,
    VersionFile,
    folder_name,
    os_errors,
    read_file,
    write_file,
)
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.names import check_model_name
from modelwatch.domain.routing import RegisteredModel, Routing
from modelwatch.errors import NoModelError, RegistryError, SettingError
from modelwatch.settings.serving import RegistrySettings

_ABANDONED_SECONDS = 86_400
"""A draft of that age is of a program that was killed."""

_number = re.compile("[1-9][0-9]{0,8}").fullmatch


class FolderRegistry(Registry):
    """The registry in the folder ``root``; see the module."""

    is_local = True

    def __init__(self, root: Path, *, stage: str = "", stage_alias: str = "") -> None:
        super().__init__(stage=stage, stage_alias=stage_alias)
        self._root = root

    @classmethod
    def of(cls, settings: RegistrySettings) -> Self:
        """Return the registry in the folder of MODEL_REGISTRY."""
        return cls(
            folder_of(settings),
            stage=settings.model_stage,
            stage_alias=settings.model_alias,
        )

    @classmethod
    def artifacts(
        cls,
        settings: RegistrySettings,
        s3: Any,  # noqa: ARG003 - that of other registries
        *,
        limit_bytes: int,
        cache: Path | None,  # noqa: ARG003 - they are at hand
    ) -> Artifacts:
        """Return the artifacts of its versions, which are in the folder."""
        return FolderArtifacts(folder_of(settings), limit_bytes=limit_bytes)

    def names(self) -> list[str]:
        """Return the names of all models; see `Registry.names`."""
        with self._whole():
            files = sorted(self._root.glob("*/model.json"))
        return sorted(read_file(file, MODEL_FILE).name for file in files)

    def model(self, name: str) -> RegisteredModel:
        """Return a model; see `Registry.model`."""
        kept = self._kept(name)
        stages: dict[str, str] = {}
        for number in self._numbers(name):
            stages[kept.stages.get(number, "None")] = number
        return RegisteredModel(name, kept.aliases, kept.routing, stages)

    def version(self, name: str, version: str) -> ModelVersion:
        """Return a version; see `Registry.version`."""
        tags = self._version(name, version).tags
        source = (self._of_version(name, version) / "artifacts").as_uri()
        return ModelVersion(name, version, source, manifest_sha256=tags.get(MANIFEST_TAG, ""))

    def metrics(self, version: ModelVersion) -> dict[str, float]:
        """Return what was measured when ``version`` was made; see `Registry.metrics`."""
        found = self._version(version.name, version.version).metrics
        return {name: float(text) for name, text in found.items()}

    def tag_version(self, name: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        with self._locked(name):
            kept = self._version(name, version)
            changed = msgspec.structs.replace(kept, tags={**kept.tags, key: value})
            write_file(self._of_version(name, version) / "version.json", changed)

    def route(self, name: str, routing: Routing | None) -> None:
        """Set a model's routing, or take it away."""
        self._change(name, lambda kept: msgspec.structs.replace(kept, routing=routing))

    def remove(self, name: str) -> None:
        """Remove a model with its folder."""
        with self._locked(name):
            shutil.rmtree(self._of_model(name))

    def _promote(self, name: str, alias: str, version: str) -> None:
        def pointed(kept: ModelFile) -> ModelFile:
            self._version(name, version)
            return msgspec.structs.replace(kept, aliases={**kept.aliases, alias: version})

        self._change(name, pointed)

    def _to_stage(self, name: str, version: str, stage: str) -> None:
        def staged(kept: ModelFile) -> ModelFile:
            self._version(name, version)
            others = {
                each: "Archived" if found == stage else found for each, found in kept.stages.items()
            }
            return msgspec.structs.replace(kept, stages={**others, version: stage})

        self._change(name, staged)

    def _publish(
        self, name: str, alias: str, new: NewVersion, complete: Complete, step: Step
    ) -> Published:
        step("saving the model")
        with self._draft() as draft:
            with os_errors(self._root):
                new.model.save(str(draft / "artifacts"))
            source = (draft / "artifacts").as_uri()
            tags = complete(ModelVersion(name, "new", source, alias=alias))
            write_file(
                draft / "version.json",
                VersionFile(
                    made_at=time.time(),
                    tags=tags,
                    metrics={key: repr(float(value)) for key, value in new.metrics.items()},
                    parameters={key: str(value) for key, value in new.parameters.items()},
                    notes=new.notes,
                ),
            )
            step(f"registering the version, and moving the alias '{alias}'")
            with self._locked(name, make=True):
                file = self._of_model(name) / "model.json"
                kept = self._kept(name) if file.exists() else ModelFile(name=name)
                number = max(kept.last_version, *map(int, self._numbers(name)), 0) + 1
                place = self._of_version(name, str(number))
                place.parent.mkdir(exist_ok=True)
                draft.rename(place)
                aliases = {**kept.aliases, alias: str(number)}
                try:
                    write_file(
                        file,
                        msgspec.structs.replace(kept, last_version=number, aliases=aliases),
                    )
                except BaseException:
                    shutil.rmtree(place, ignore_errors=True)
                    raise
        made = msgspec.structs.replace(self.version(name, str(number)), alias=alias)
        return Published(made, kept.aliases.get(alias, ""))

    # -- places

    def _of_model(self, name: str) -> Path:
        check_model_name(name)
        return self._root / folder_name(name)

    def _of_version(self, name: str, version: str) -> Path:
        return self._of_model(name) / "versions" / version

    def _numbers(self, name: str) -> list[str]:
        """Return the numbers of a model's versions, the oldest first."""
        folder = self._of_model(name) / "versions"
        found = [each.name for each in folder.iterdir()] if folder.exists() else []
        return sorted((each for each in found if _number(each)), key=int)

    # -- reading

    def _kept(self, name: str) -> ModelFile:
        file = self._of_model(name) / "model.json"
        with self._whole():
            if not file.exists():
                raise NoModelError(f"{self._root} has no model '{name}' {REMEDY}")
        kept = read_file(file, MODEL_FILE)
        if kept.name != name:
            # on a disk that takes Wine and wine for one
            raise RegistryError(f"{file} is of the model '{kept.name}', and not of '{name}'")
        return kept

    def _version(self, name: str, version: str) -> VersionFile:
        self._kept(name)
        folder = self._of_version(name, version)
        # an application may call its versions as it likes
        if not _number(version) or not folder.is_dir():
            raise NoModelError(f"{name} has no version {version} in {self._root} {REMEDY}")
        return read_file(folder / "version.json", VERSION_FILE)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Refuse to find nothing where there is no registry: it may be a disk that is not there."""
        if not self._root.is_dir():
            what = "is no folder" if self._root.exists() else "does not exist"
            raise RegistryError(
                f"the model registry {self._root} {what} (MODEL_REGISTRY); the first version that "
                "is registered makes it"
            )
        with os_errors(self._root):
            yield

    # -- writing

    def _change(self, name: str, change: Callable[[ModelFile], ModelFile]) -> None:
        with self._locked(name):
            write_file(self._of_model(name) / "model.json", change(self._kept(name)))

    @contextmanager
    def _locked(self, name: str, *, make: bool = False) -> Iterator[None]:
        """Let no other process write to the model ``name`` meanwhile."""
        folder = self._of_model(name)
        if not make:
            self._kept(name)
        with os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield

    @contextmanager
    def _draft(self) -> Iterator[Path]:
        """Give a folder for a new version; it goes, unless it was moved to its place."""
        drafts = self._root / ".drafts"
        draft = drafts / secrets.token_hex(8)
        with os_errors(self._root):
            draft.mkdir(parents=True)
            for each in drafts.iterdir():
                # another process may move or remove its own meanwhile
                with suppress(FileNotFoundError):
                    if time.time() - each.stat().st_mtime > _ABANDONED_SECONDS:
                        shutil.rmtree(each, ignore_errors=True)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def folder_of(settings: RegistrySettings) -> Path:
    """Return the folder that MODEL_REGISTRY names.

    Raises SettingError when it is no address of one on this machine.
    """
    address = settings.model_registry
    try:
        folder = Path.from_uri(address)
    except ValueError:
        folder = Path()
    if not folder.is_absolute() or str(folder).startswith("//"):
        raise SettingError(
            "MODEL_REGISTRY",
            f"'{address[:80]}' is no folder of this machine; one is written with three slashes, "
            "such as file:///srv/models",
        )
    return folder
