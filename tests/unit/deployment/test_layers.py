"""Layers: what is left of a package still works, on nothing but Python."""

import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import onnx
import onnx.helper as oh
import pytest

from modelwatch_cli.deployment.building.layers import (
    UNZIPPED_BYTES_LIMIT,
    build_layer,
    check_size,
    install,
)
from modelwatch_cli.deployment.building.trimming import is_trimmed
from modelwatch_cli.deployment.cloudformation.errors import BuildError
from modelwatch_cli.deployment.cloudformation.plan import own_architecture
from modelwatch_cli.project import Project

ROOT = Project().root

WRITE_PARQUET = """
import importlib.metadata, io
import msgspec, numpy, pyarrow as pa, pyarrow.parquet as pq
columns = {"n": [1.5, None], "s": ["a", None], "t": pa.array([0, 1], pa.timestamp("ms", "UTC"))}
for compression in ("zstd", "snappy"):
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target, compression=compression)
    assert pq.ParquetFile(io.BytesIO(target.getvalue())).read().to_pydict()["n"] == [1.5, None]
print(importlib.metadata.version("pyarrow"))
"""

RUN_MODEL = """
import sys
import msgspec, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
print(session.run(None, {"x": numpy.array([[1.5, 2.0]], numpy.float32)})[0].tolist())
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The real sources and locks, with a build folder of the test's own."""
    root = tmp_path_factory.mktemp("project")
    (root / "layers").symlink_to(ROOT / "layers")
    return Project(root)


def unpack(layer, folder: Path) -> Path:
    with zipfile.ZipFile(layer.path) as archive:
        archive.extractall(folder)
    return folder / "python"


def run_bare(packages: Path, code: str, *arguments: str) -> str:
    """Run ``code`` on a Python that sees its standard library and ``packages``, nothing else."""
    start = f"import sys; sys.path.insert(0, {str(packages)!r})\n"
    command = [sys.executable, "-I", "-S", "-B", "-c", start + code, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.servers  # installs a whole set
def test_what_is_left_of_the_capture_set_writes_parquet(project, tmp_path):
    layer = build_layer(project, "capture", own_architecture())
    assert layer.unzipped_bytes < 180e6
    assert run_bare(unpack(layer, tmp_path), WRITE_PARQUET)


@pytest.mark.servers  # installs a whole set
def test_what_is_left_of_the_inference_set_runs_a_model(project, tmp_path):
    layer = build_layer(project, "inference", own_architecture())
    assert layer.unzipped_bytes < 110e6
    kind = onnx.TensorProto.FLOAT
    node = oh.make_node("Add", ["x", "x"], ["y"])
    x = oh.make_tensor_value_info("x", kind, [None, 2])
    y = oh.make_tensor_value_info("y", kind, [None, 2])
    model = oh.make_model(oh.make_graph([node], "g", [x], [y]), ir_version=9)
    model.opset_import[0].version = 15
    onnx.save(model, tmp_path / "model.onnx")
    packages = unpack(layer, tmp_path / "layer")
    outcome = run_bare(packages, RUN_MODEL, str(tmp_path / "model.onnx"))
    assert outcome == str((np.array([[1.5, 2.0]]) * 2).tolist())


def test_the_core_layer_is_the_shared_library_with_bytecode(project, tmp_path):
    layer = build_layer(project, "core", "x86_64")
    names = zipfile.ZipFile(layer.path).namelist()
    assert "python/modelwatch/settings/reading.py" in names
    assert "python/modelwatch/settings/__pycache__/reading.cpython-313.pyc" in names
    assert "python/modelwatch/openapi/swagger_ui/swagger-ui-bundle.js" in names
    assert all(name.startswith("python/modelwatch/") for name in names)
    # the rest of it needs the packages of a function's own layer
    code = "from modelwatch.errors import SettingError; print(SettingError('A', 'is missing'))"
    assert run_bare(unpack(layer, tmp_path), code) == "setting A: is missing"


def test_an_unchanged_layer_is_not_built_again(project):
    first = build_layer(project, "core", "x86_64")
    built_at = first.path.stat().st_mtime_ns
    second = build_layer(project, "core", "arm64")  # pure Python: the same for both
    assert (second.key, second.path.stat().st_mtime_ns) == (first.key, built_at)


def test_a_changed_source_is_another_layer(tmp_path):
    package = tmp_path / "layers" / "core" / "modelwatch"
    package.mkdir(parents=True)
    keys = set()
    for content in ("x = 1", "x = 2"):
        (package / "__init__.py").write_text(content)
        keys.add(build_layer(Project(tmp_path), "core", "x86_64").key)
    assert len(keys) == 2


def test_a_package_without_a_wheel_is_an_error_that_names_it(tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("modelwatch-has-no-such-dependency==1.0 --hash=sha256:" + "0" * 64)
    with pytest.raises(BuildError, match="modelwatch-has-no-such-dependency"):
        install(requirements, tmp_path / "target", "x86_64-manylinux_2_28")


def test_a_requirement_without_a_hash_is_an_error(tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("msgspec==0.22.0")
    with pytest.raises(BuildError, match="hash"):
        install(requirements, tmp_path / "target", "x86_64-manylinux_2_28")


def test_a_function_that_is_too_large_is_reported_with_its_parts():
    check_size("capture", {"package": UNZIPPED_BYTES_LIMIT})
    with pytest.raises(BuildError, match=r"takes 251 MB .*: package 1 MB, arrow 250 MB"):
        check_size("capture", {"package": 1024**2, "arrow": UNZIPPED_BYTES_LIMIT})


@pytest.mark.parametrize(
    ("path", "trimmed"),
    [
        ("numpy/linalg/tests/test_linalg.py", True),
        ("numpy/linalg/__init__.py", False),
        ("numpy/testing/__init__.py", False),
        ("numpy/__init__.pyi", True),
        ("numpy-2.5.5.dist-info/RECORD", True),
        ("numpy-2.5.5.dist-info/METADATA", False),
        ("numpy-2.5.5.dist-info/licenses/LICENSE.txt", False),
        ("bin/numpy-config", True),
        ("pyarrow/include/arrow/api.h", True),
        ("pyarrow/libarrow.so.2500", False),
        ("pyarrow/libarrow_python.so.2500", False),
        ("pyarrow/libarrow_python.so.2500.1.0", True),
        ("pyarrow/libarrow_python.so", True),
        ("pyarrow/libarrow_flight.so.2500", True),
        ("onnxruntime/capi/onnxruntime_pybind11_state.so", False),
        ("onnxruntime/capi/libonnxruntime.so.1.32.0", True),
        ("onnxruntime/transformers/a/b.py", True),
        ("google/protobuf/message.py", True),
        ("protobuf-7.36.2.dist-info/METADATA", True),
    ],
)
def test_trimming_rules(path, trimmed):
    assert is_trimmed(PurePosixPath(path)) is trimmed
