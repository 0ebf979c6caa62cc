"""Merges layers in one directory, as AWS merges them in ``/opt``.

There are two caches, both by content. Each layer's archive is unpacked once into
``layers/<sha256>``. Each combination is merged once into ``merged/<sha256 of the list>``; a later
layer replaces files of an earlier one. It consists of hard links, which need no space. Both caches
outlive LocalStack, with the byte code that the functions' processes compile into them.
"""

import base64
import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import UnsupportedFunctionError

LOG = logging.getLogger(__name__)


class LayerStore:
    """Unpacks and merges layers below `root`. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()

    def apply(self, layers: Sequence[Any]) -> Path | None:
        """Return the directory that stands in for ``/opt``, None when there are no layers.

        Raises UnsupportedFunctionError when a layer has no archive here (another account's), or is
        hot-reloaded beside others.

        Parameters
        ----------
        layers
            LocalStack's `LayerVersion` objects, in the function's order.
        """
        if not layers:
            return None
        for layer in layers:
            if layer.code is None:
                raise UnsupportedFunctionError(
                    f"The layer {layer.layer_version_arn} has no archive in this LocalStack; "
                    "publish it here first."
                )
        if any(layer.code.is_hot_reloading() for layer in layers):
            if len(layers) > 1:
                raise UnsupportedFunctionError(
                    "A hot-reloaded layer cannot be combined with other layers, because their "
                    "files are merged once, when the function is created."
                )
            return Path(layers[0].code.get_unzipped_code_location())
        with self._lock:
            unpacked = [self._unpack(layer) for layer in layers]
            return unpacked[0] if len(unpacked) == 1 else self._merge(unpacked)

    def _unpack(self, layer: Any) -> Path:
        target = self._root / "layers" / base64.b64decode(layer.code.code_sha256).hex()
        if not target.exists():
            # LocalStack unpacks below a random name, again after each restart; keep one by content.
            layer.code.prepare_for_execution()
            _link_together([Path(layer.code.get_unzipped_code_location())], target)
            layer.code.destroy_cached()
            LOG.debug("Unpacked layer %s to %s", layer.layer_version_arn, target)
        return target

    def _merge(self, unpacked: list[Path]) -> Path:
        names = "\n".join(path.name for path in unpacked)
        target = self._root / "merged" / hashlib.sha256(names.encode()).hexdigest()
        if not target.exists():
            _link_together(unpacked, target)
        return target


def _link_together(sources: list[Path], target: Path) -> None:
    """Make `target` from `sources`, of which later ones win; it appears complete or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for source in sources:
            _overlay(source, building)
        building.chmod(0o755)
        # Another LocalStack on the same cache may have been faster; its result is the same.
        with contextlib.suppress(FileExistsError):
            building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _overlay(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    with os.scandir(source) as entries:
        for entry in entries:
            destination = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                if destination.is_symlink() or destination.is_file():
                    destination.unlink()
                _overlay(Path(entry.path), destination)
                continue
            if destination.is_dir() and not destination.is_symlink():
                shutil.rmtree(destination)
            else:
                destination.unlink(missing_ok=True)
            try:
                os.link(entry.path, destination, follow_symlinks=False)
            except (OSError, NotImplementedError):
                # No hard links here: another file system, or one without them.
                shutil.copy2(entry.path, destination, follow_symlinks=False)
