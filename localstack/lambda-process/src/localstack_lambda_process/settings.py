"""The plugin's settings: the environment of the LocalStack process."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PYTHON_VARIABLE = "LAMBDA_PROCESS_PYTHON"
IMAGES_DIR_VARIABLE = "LAMBDA_PROCESS_IMAGES_DIR"


@dataclass(frozen=True)
class Settings:
    """Where functions find their interpreter.

    Attributes
    ----------
    python
        Interpreter of the bare runtime environment, for functions of package type Zip. None when
        the setting is missing.
    images_dir
        Directory in which functions of package type Image are looked up. None when missing.
    """

    python: Path | None
    images_dir: Path | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings, from this process's environment unless another one is given."""
        source = os.environ if environment is None else environment
        return cls(
            python=_path(source.get(PYTHON_VARIABLE)),
            images_dir=_path(source.get(IMAGES_DIR_VARIABLE)),
        )


def _path(value: str | None) -> Path | None:
    # absolute(), not resolve(): a virtual environment's python is a symlink, and following it
    # would leave the environment.
    return Path(value.strip()).expanduser().absolute() if value and value.strip() else None
