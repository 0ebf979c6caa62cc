"""Loading a model version: in its verified ONNX form where it has one, by mlflow otherwise."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import tempfile
from pathlib import Path

from modelwatch.adapters.models.artifacts import Artifacts, check_files, keep_registered
from modelwatch.domain.models import Manifest, ModelVersion, OnnxArtifact
from modelwatch.domain.schemas import Schema
from modelwatch.errors import ModelLoadError
from modelwatch.ports.serving import Model

_LOG = logging.getLogger(__name__)


class ArtifactModelLoader:
    """Loads versions from their artifacts, importing a heavy library only where one needs it.

    Parameters
    ----------
    verified_alone
        Whether a version is refused if the registry has no digest of its manifest: then whoever
        may write to the bucket chooses the code that runs.
    """

    def __init__(self, artifacts: Artifacts, *, verified_alone: bool = False) -> None:
        self._artifacts = artifacts
        self._verified_alone = verified_alone

    def load(self, version: ModelVersion) -> Model:
        """Load ``version``; see `ModelLoader.load`.

        A verified ONNX form that cannot be loaded here falls back to mlflow. One that is not what
        was registered does not: then nothing of the version can be trusted.
        """
        if self._verified_alone and not version.manifest_sha256:
            raise ModelLoadError(
                f"{version.title} has no manifest that the registry vouches for, and "
                f"REQUIRE_VERIFIED_MODELS asks for one: `modelwatch adopt` makes it"
            )
        manifest = self._artifacts.manifest(version)
        if manifest is None or manifest.onnx is None:
            return self._load_pyfunc(version, manifest, "it has no verified ONNX form")
        payload = self._artifacts.read(version, manifest.onnx.path, manifest.onnx.sha256)
        try:
            return _onnx(payload, manifest.onnx, manifest.schema)
        except Exception as error:  # noqa: BLE001 - whatever onnxruntime raises
            problem = f"its ONNX form cannot be loaded here: {error}"
        model = self._load_pyfunc(version, manifest, problem)
        _LOG.warning("%s: mlflow runs it, since %s", version.title, problem)
        return model

    def _load_pyfunc(self, version: ModelVersion, manifest: Manifest | None, why: str) -> Model:
        if importlib.util.find_spec("mlflow") is None:
            raise ModelLoadError(
                f"{version.title}: {why}, and this function is a zip without mlflow: "
                "`modelwatch deploy predict` makes it an image (unless PREDICT_PACKAGE is zip)"
            )
        from modelwatch.adapters.models.pyfunc_model import PyfuncModel

        folder = Path(tempfile.mkdtemp(prefix="model-"))
        try:
            self._artifacts.download(version, folder)
            if manifest is not None:
                check_files(version, manifest, folder)
                if self._verified_alone:
                    if not manifest.files:
                        raise ModelLoadError(f"the manifest of {version.title} names no files")
                    keep_registered(manifest, folder)
            return PyfuncModel(folder, manifest.schema if manifest else None, why)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _onnx(payload: bytes | None, onnx: OnnxArtifact, schema: Schema) -> Model:
    if payload is None:
        raise ModelLoadError(f"{onnx.path} is missing")
    from modelwatch.adapters.models.onnx_model import OnnxModel

    return OnnxModel(payload, schema, onnx)
