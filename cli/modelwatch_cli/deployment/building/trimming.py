"""Which files of its packages a layer leaves out.

There are rules for files to leave out, so a new file of a new version is in the layer. A test
checks that the rest works: it imports it, writes Parquet and runs an ONNX model
(`tests/unit/deployment/test_layers.py`).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

# Directories that are no part of a running function, wherever they are.
_DIRECTORIES = frozenset({"tests", "__pycache__", "include", "bin"})

# Sources and descriptions that serve compilers and type checkers.
_SUFFIXES = frozenset({".pyi", ".pyx", ".pxd", ".pxi", ".h", ".hpp", ".c", ".cc", ".a", ".lib"})

# importlib.metadata reads METADATA and entry_points.txt; licences go where the code goes.
_DIST_INFO_KEPT = frozenset({"METADATA", "entry_points.txt"})
_LICENSE_WORDS = ("license", "licence", "notice", "copying")

# Parts of packages that nothing imports when an ONNX model is run or Parquet is written. Patterns
# are of pathlib's `full_match`, from the layer's root.
_PARTS = (
    # tools for making and converting models; the C library that is for other languages
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "onnxruntime/quantization",
    "onnxruntime/datasets",
    "onnxruntime/backend",
    "onnxruntime/capi/libonnxruntime.so*",
    # of use to those tools only
    "flatbuffers",
    "flatbuffers-*.dist-info",
    "google",
    "protobuf-*.dist-info",
    "packaging",
    "packaging-*.dist-info",
    # builds Fortran extensions, and types for type checkers
    "numpy/f2py",
    "numpy/_pyinstaller",
    # Arrow over the network, and its own tests (every other library of Arrow is linked to)
    "pyarrow/src",
    "pyarrow/_flight.*",
    "pyarrow/flight.py",
    "pyarrow/libarrow_flight.so*",
    "pyarrow/libarrow_python_flight.so*",
    "pyarrow/_pyarrow_cpp_tests.*",
    # the same library under the names that linkers of C++ programs look for
    "pyarrow/libarrow_python*.so",
    "pyarrow/libarrow_python*.so.*.*.*",
)


def is_trimmed(path: PurePosixPath) -> bool:
    """Return whether the file ``path`` (relative to the layer's root) is left out.

    >>> is_trimmed(PurePosixPath("numpy/linalg/tests/test_linalg.py"))
    True
    >>> is_trimmed(PurePosixPath("numpy/linalg/__init__.py"))
    False
    """
    if not _DIRECTORIES.isdisjoint(path.parts[:-1]) or path.suffix in _SUFFIXES:
        return True
    candidates = [path, *path.parents]
    if any(candidate.full_match(part) for candidate in candidates for part in _PARTS):
        return True
    licence = any(word in path.as_posix().lower() for word in _LICENSE_WORDS)
    description = path.parts[0].endswith(".dist-info")
    return description and path.name not in _DIST_INFO_KEPT and not licence


def trim(root: Path) -> None:
    """Delete the files of :func:`is_trimmed` under ``root``, and empty folders."""
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif is_trimmed(PurePosixPath(path.relative_to(root).as_posix())):
            path.unlink()
