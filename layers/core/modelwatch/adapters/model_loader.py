"""Loading a model version: in its verified ONNX form where it has one, by mlflow otherwise."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path

from modelwatch.adapters.s3_artifacts import S3Artifacts, check_files
from modelwatch.domain.models import Manifest, ModelVersion
from modelwatch.errors import ModelLoadError
from modelwatch.ports import Model


class ArtifactModelLoader:
    """Loads versions from their artifacts, importing a heavy library only where one needs it."""

    def __init__(self, artifacts: S3Artifacts) -> None:
        self._artifacts = artifacts

    def load(self, version: ModelVersion) -> Model:
        """Load ``version``; see `ModelLoader.load`."""
        manifest = self._artifacts.manifest(version)
        if manifest is None or manifest.onnx is None:
            return self._load_pyfunc(version, manifest)
        payload = self._artifacts.read(version, manifest.onnx.path, manifest.onnx.sha256)
        if payload is None:
            raise ModelLoadError(
                f"{version.name} version {version.version}: {manifest.onnx.path} is missing"
            )
        from modelwatch.adapters.onnx_model import OnnxModel

        return OnnxModel(payload, manifest.schema, manifest.onnx)

    def _load_pyfunc(self, version: ModelVersion, manifest: Manifest | None) -> Model:
        if importlib.util.find_spec("mlflow") is None:
            raise ModelLoadError(
                f"{version.name} version {version.version} has no verified ONNX form, and this "
                "function is deployed without mlflow: deploy it with PREDICT_PACKAGE=image"
            )
        from modelwatch.adapters.pyfunc_model import PyfuncModel

        folder = Path(tempfile.mkdtemp(prefix="model-"))
        try:
            self._artifacts.download(version, folder)
            if manifest is not None:
                check_files(version, manifest, folder)
            return PyfuncModel(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
