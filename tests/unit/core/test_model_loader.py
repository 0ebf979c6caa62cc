"""Which form of a version is loaded, and what happens when one cannot be."""

import hashlib
import shutil
import sys
from pathlib import Path

import mlflow.pyfunc
import msgspec
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec
from mlflow.types import Schema as Signature

from modelwatch.adapters.models.artifacts import keep_registered
from modelwatch.adapters.models.loader import ArtifactModelLoader
from modelwatch.domain.models import Manifest, ModelVersion, OnnxArtifact, Verification
from modelwatch.domain.schemas import Column, Schema
from modelwatch.errors import ModelLoadError

VERSION = ModelVersion("wine", "3", "s3://models/3")
SCHEMA = Schema((Column("alcohol", "double"),))
ONNX = OnnxArtifact("00", 1, Verification(1, 1.0, 0.0, True))


class Doubles(mlflow.pyfunc.PythonModel):
    """Predicts twice the alcohol."""

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - names of mlflow
        return (model_input["alcohol"] * 2).tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pyfunc") / "model"
    signature = ModelSignature(inputs=Signature([ColSpec("double", "alcohol")]))
    mlflow.pyfunc.save_model(
        folder, python_model=Doubles(), signature=signature, pip_requirements=[]
    )
    return folder


class InMemoryArtifacts:
    """A version with MLflow's files and an ONNX form, or what is wrong with it."""

    def __init__(self, folder: Path, onnx: bytes | Exception | None, manifest: bool = True) -> None:
        self._folder = folder
        self._onnx = onnx
        self._manifest = Manifest(SCHEMA, ONNX) if manifest else None

    def manifest(self, _version):
        return self._manifest

    def read(self, _version, _path, _sha256=""):
        if isinstance(self._onnx, Exception):
            raise self._onnx
        return self._onnx

    def download(self, _version, folder):
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)


def load(*given, **more):
    return ArtifactModelLoader(InMemoryArtifacts(*given, **more)).load(VERSION)


@pytest.mark.parametrize("onnx", [b"no model", None])
def test_an_onnx_form_that_cannot_be_loaded_falls_back_and_says_so(folder, onnx, caplog):
    model = load(folder, onnx)
    assert (model.flavor, model.schema) == ("pyfunc", SCHEMA)
    assert model.flavor_reason.startswith("its ONNX form cannot be loaded here: ")
    assert "wine version 3: mlflow runs it, since its ONNX form cannot be" in caplog.text
    assert model.predict([{"alcohol": 13.0}]).values == [26.0]


def test_so_does_one_where_there_is_no_onnx_runtime(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "modelwatch.adapters.models.onnx_model", raising=False)
    model = load(folder, b"a model")
    assert model.flavor == "pyfunc"
    assert "onnxruntime" in model.flavor_reason


def test_one_that_is_not_what_was_registered_does_not(folder):
    with pytest.raises(ModelLoadError, match="not what was registered"):
        load(folder, ModelLoadError("model.onnx is not what was registered"))


def test_what_the_registry_does_not_vouch_for_is_not_unpickled(folder, monkeypatch):
    monkeypatch.setattr(InMemoryArtifacts, "download", None)
    for manifest in (True, False):
        artifacts = InMemoryArtifacts(folder, b"a model", manifest=manifest)
        with pytest.raises(ModelLoadError, match="version 3 has no manifest that the registry"):
            ArtifactModelLoader(artifacts, verified_alone=True).load(VERSION)


def test_a_module_that_was_added_to_a_registered_version_is_not_loaded(folder, tmp_path):
    more = tmp_path / "model"
    shutil.copytree(folder, more)
    (more / "added.py").write_text("raise SystemExit")
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    artifacts = InMemoryArtifacts(more, None)
    artifacts._manifest = Manifest(SCHEMA, None, files)
    version = msgspec.structs.replace(VERSION, manifest_sha256="00")
    model = ArtifactModelLoader(artifacts, verified_alone=True).load(version)
    assert model.predict([{"alcohol": 13.0}]).values == [26.0]
    kept = tmp_path / "kept"
    shutil.copytree(more, kept)
    keep_registered(artifacts._manifest, kept)
    assert {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()} == set(files)


def test_a_manifest_that_names_no_file_vouches_for_none(folder):
    version = msgspec.structs.replace(VERSION, manifest_sha256="00")
    with pytest.raises(ModelLoadError, match="names no files"):
        ArtifactModelLoader(InMemoryArtifacts(folder, None), verified_alone=True).load(version)


def test_a_zip_says_what_makes_it_an_image(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ModelLoadError, match="it has no verified ONNX form, and this function is"):
        load(folder, None, manifest=False)
    with pytest.raises(ModelLoadError, match=r"its ONNX form cannot be loaded here.*makes it"):
        load(folder, b"no model")


def test_a_version_of_somebody_elses_is_loaded_by_its_signature(folder):
    model = load(folder, None, manifest=False)
    assert model.schema == SCHEMA
    assert model.flavor_reason == "it has no verified ONNX form"
