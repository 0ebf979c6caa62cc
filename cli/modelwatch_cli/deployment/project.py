"""Where the project keeps what a deployment is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Project:
    """The checkout that is deployed.

    Parameters
    ----------
    root
        Its folder; relative paths in settings are meant from here.
    """

    root: Path = Path(__file__).resolve().parents[3]

    @property
    def build(self) -> Path:
        """The build results, by digest; all of them can be built again."""
        return self.root / "build"

    @property
    def core(self) -> Path:
        """The folder that holds the shared library's package."""
        return self.root / "layers" / "core"

    def function(self, app: str) -> Path:
        """Return the folder of the Chalice app ``app``."""
        return self.root / "functions" / app

    def requirements(self, name: str) -> Path:
        """Return the lock of the third-party set ``name``."""
        return self.root / "layers" / name / "requirements.txt"

    def interpreter(self, environment: str) -> Path:
        """Return the interpreter of an environment that `make setup` makes."""
        return self.root / ".envs" / environment / "bin" / "python"

    def merge_template(self, app: str) -> Path:
        """Return what is merged into the template that Chalice makes of ``app``."""
        return self.root / "templates" / "chalice" / f"{app}.yaml"

    @property
    def dockerfile(self) -> Path:
        """How a function's image is made."""
        return self.root / "templates" / "chalice" / "Dockerfile"

    def template(self, name: str) -> Path:
        """Return the CloudFormation template of the stack ``name``."""
        return self.root / "templates" / "cloudformation" / f"{name}.yaml"
