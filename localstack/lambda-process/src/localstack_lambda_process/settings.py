"""The plugin's settings: the environment of the LocalStack process."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PYTHON_VARIABLE = "LAMBDA_PROCESS_PYTHON"
IMAGES_DIR_VARIABLE = "LAMBDA_PROCESS_IMAGES_DIR"
CONCURRENCY_VARIABLE = "LAMBDA_PROCESS_CONCURRENCY"

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """The interpreter of functions, and how many environments of one run at a time.

    Attributes
    ----------
    python
        Interpreter of the bare runtime environment, for functions of package type Zip. None when
        the setting is missing.
    images_dir
        Directory in which functions of package type Image are looked up. None when missing.
    concurrency
        Execution environments of one function, at most; by default twice the cores.
    """

    python: Path | None
    images_dir: Path | None
    concurrency: int = field(default_factory=lambda: 2 * (os.cpu_count() or 1))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings, from this process's environment unless another one is given."""
        source = os.environ if environment is None else environment
        return cls(
            python=_path(source.get(PYTHON_VARIABLE)),
            images_dir=_path(source.get(IMAGES_DIR_VARIABLE)),
            **_concurrency(source.get(CONCURRENCY_VARIABLE, "")),
        )


def _path(value: str | None) -> Path | None:
    # absolute(), not resolve(): a virtual environment's python is a symlink, and following it
    # would leave the environment.
    return Path(value.strip()).expanduser().absolute() if value and value.strip() else None


def _concurrency(value: str) -> dict[str, int]:
    if not value.strip():
        return {}
    if value.strip().isdecimal() and int(value) > 0:
        return {"concurrency": int(value)}
    LOG.warning(
        "%s is %r; expected a whole number of 1 or more. The default is used.",
        CONCURRENCY_VARIABLE,
        value,
    )
    return {}
