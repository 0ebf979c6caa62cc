"""The runtime of a function: an interpreter for Zip, a prepared directory for Image."""

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ImageNotFoundError, RuntimeNotUsableError, UnsupportedFunctionError
from .settings import IMAGES_DIR_VARIABLE, PYTHON_VARIABLE, Settings

_INSPECTION = """
import importlib.util, json, sys
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "prefix": sys.prefix,
    "has_client": importlib.util.find_spec("awslambdaric") is not None,
}))
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Interpreter:
    """A Python that can run functions; `version` is such as ``3.13``."""

    path: Path
    version: str
    prefix: Path


@dataclass(frozen=True)
class FunctionRuntime:
    """Interpreter, task root, handler and the image's own environment variables."""

    interpreter: Interpreter
    task_root: Path
    handler: str
    environment: dict[str, str] = field(default_factory=dict)
    working_directory: Path | None = None


_inspected: dict[tuple[Path, int], Interpreter] = {}


def inspect_interpreter(python: Path, origin: str) -> Interpreter:
    """Check that `python` runs and has AWS's runtime client, again when the file changes.

    Raises RuntimeNotUsableError when it does not exist, does not run, or lacks ``awslambdaric``.

    Parameters
    ----------
    origin
        Where the path comes from, for the error's text.
    """
    if not python.is_file() or not os.access(python, os.X_OK):
        raise RuntimeNotUsableError(f"{origin} names {python}, which is not an executable file.")
    key = (python, python.stat().st_mtime_ns)
    if key not in _inspected:
        _inspected[key] = _inspect(python, origin)
    return _inspected[key]


def _inspect(python: Path, origin: str) -> Interpreter:
    try:
        found = subprocess.run(
            [str(python), "-I", "-c", _INSPECTION],
            capture_output=True,
            check=True,
            timeout=60,
            cwd="/",
        )
        facts = json.loads(found.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise RuntimeNotUsableError(
            f"{origin} names {python}, which does not run as a Python interpreter: {error}"
        ) from error
    if not facts["has_client"]:
        # Not remembered: the package may be installed in a moment.
        raise RuntimeNotUsableError(
            f"{origin} names {python}, whose environment lacks awslambdaric, AWS's runtime client; "
            "install it there."
        )
    return Interpreter(python, facts["version"], Path(facts["prefix"]))


def bare_interpreter(settings: Settings) -> Interpreter:
    """Return the interpreter for functions of package type Zip.

    Raises RuntimeNotUsableError when the setting is missing, or what it names cannot run functions.
    """
    if settings.python is None:
        raise RuntimeNotUsableError(
            f"{PYTHON_VARIABLE} is not set: it should name the python of an environment with "
            "awslambdaric and boto3."
        )
    return inspect_interpreter(settings.python, PYTHON_VARIABLE)


def resolve(config: Any, settings: Settings) -> FunctionRuntime:
    """Return the runtime of a function version.

    Raises LambdaProcessError when the function cannot run here; the text says why.

    Parameters
    ----------
    config
        LocalStack's `VersionFunctionConfiguration`.
    """
    if str(config.package_type) == "Image":
        return _resolve_image(config, settings)
    return _resolve_zip(config, settings)


def _resolve_zip(config: Any, settings: Settings) -> FunctionRuntime:
    runtime = str(config.runtime)
    if not re.fullmatch(r"python3\.\d+", runtime):
        raise UnsupportedFunctionError(
            f"The runtime {runtime} cannot run as a local process: only Python runtimes can."
        )
    interpreter = bare_interpreter(settings)
    if runtime != f"python{interpreter.version}":
        raise UnsupportedFunctionError(
            f"The function asks for the runtime {runtime}, but {PYTHON_VARIABLE} is a Python "
            f"{interpreter.version} ({interpreter.path}): ask for python{interpreter.version}, or "
            "point the setting to another interpreter."
        )
    return FunctionRuntime(
        interpreter, Path(config.code.get_unzipped_code_location()), str(config.handler)
    )


def _resolve_image(config: Any, settings: Settings) -> FunctionRuntime:
    directory = image_directory(config.image.image_uri, settings)
    description_path = directory / "image.json"
    try:
        description = json.loads(description_path.read_text())
        python = directory / description["python"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ImageNotFoundError(
            f'{description_path} should be a JSON object with the key "python": '
            f"{type(error).__name__}: {error}"
        ) from error
    interpreter = inspect_interpreter(python, f'"python" in {description_path}')
    task_root = directory / "task"
    if not task_root.is_dir():
        raise ImageNotFoundError(
            f"The image {config.image.image_uri} has no task root: {task_root} is not a directory."
        )
    overrides = config.image_config
    if overrides and overrides.entrypoint:
        raise UnsupportedFunctionError(
            "ImageConfig.EntryPoint cannot be honoured by a local process; the entry point is "
            "always Python's runtime client. Set ImageConfig.Command only."
        )
    command = (overrides and overrides.command) or description.get("command") or ["app.handler"]
    working_directory = overrides.working_directory if overrides else None
    return FunctionRuntime(
        interpreter,
        task_root,
        str(command[0]),
        {str(name): str(value) for name, value in description.get("environment", {}).items()},
        task_root / working_directory if working_directory else None,
    )


def image_directory(image_uri: str, settings: Settings) -> Path:
    """Return the directory that stands in for a container image.

    ``host/team/name:tag`` is looked up as ``name/tag``; without a tag, ``latest``.

    Raises ImageNotFoundError when the setting is missing, the reference is a digest or malformed,
    or nothing is there.
    """
    if settings.images_dir is None:
        raise ImageNotFoundError(
            f"The image {image_uri} cannot be found: {IMAGES_DIR_VARIABLE} is not set."
        )
    name, _, tag = image_uri.rpartition("/")[2].partition(":")
    tag = tag or "latest"
    if not (_NAME.fullmatch(name) and _NAME.fullmatch(tag)):
        raise ImageNotFoundError(
            f"The image {image_uri} cannot be found: a local process needs a reference of the form "
            "name:tag, not a digest."
        )
    directory = settings.images_dir / name / tag
    if not directory.is_dir():
        raise ImageNotFoundError(
            f"The image {image_uri} is not here: expected the directory {directory} with "
            "image.json and task/."
        )
    return directory
