"""Artifacts of the versions of a registry that is a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from modelwatch.adapters.models.artifacts import Artifacts
from modelwatch.adapters.models.whole_files import write_whole
from modelwatch.domain.models import ModelVersion
from modelwatch.errors import ModelLoadError


class FolderArtifacts(Artifacts):
    """Artifacts in the folder of a registry; others are refused."""

    failures = (OSError,)

    def __init__(self, root: Path, *, limit_bytes: int) -> None:
        super().__init__(limit_bytes=limit_bytes)
        self._root = root

    def _open(self, version: ModelVersion, path: str) -> tuple[int, Callable[[], bytes]] | None:
        file = self._folder(version) / path
        try:
            return file.stat().st_size, file.read_bytes
        except FileNotFoundError:
            return None

    def _sizes(self, version: ModelVersion) -> dict[str, int]:
        folder = self._folder(version)
        return {
            str(file.relative_to(folder)): file.stat().st_size
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }

    def _fetch(self, version: ModelVersion, path: str, target: Path) -> None:
        shutil.copyfile(self._folder(version) / path, target)

    def _put(self, version: ModelVersion, path: str, payload: bytes) -> None:
        file = self._folder(version) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, payload, durable=True)

    def _folder(self, version: ModelVersion) -> Path:
        try:
            folder = Path.from_uri(version.source)
        except ValueError:
            folder = Path(version.source)
        root = Path(os.path.abspath(self._root))
        if not folder.is_absolute() or not Path(os.path.abspath(folder)).is_relative_to(root):
            raise ModelLoadError(
                f"the artifacts of {version.title} are at '{version.source}', which is not in "
                f"the registry's folder {root}"
            )
        return folder
