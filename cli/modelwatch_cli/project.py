"""Where everything is that is no module: templates, functions, locks, and what is built of them.

In a checkout that is the checkout. A wheel carries the same files as package data, and what is
built of them goes to MODELWATCH_HOME.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import modelwatch
from modelwatch_cli.digests import digest, tree_digest
from modelwatch_cli.settings import Settings

_PACKAGED = Path(__file__).parent / "packaged"
_IS_PACKAGED = _PACKAGED.is_dir()
_CHECKOUT = Path(__file__).resolve().parents[2]

_LOCKS = {"localstack": "localstack", "runtime": "localstack/runtime"}


def base_folder() -> Path:
    """Return where relative paths in settings begin: the checkout, or the working directory."""
    return Path.cwd() if _IS_PACKAGED else _CHECKOUT


def _state() -> Path | None:
    return base_folder() / Settings().modelwatch_home if _IS_PACKAGED else None


@dataclass(frozen=True, slots=True)
class Project:
    """What is deployed, and where the results go.

    Parameters
    ----------
    root
        The folder of the sources, laid out as a checkout.
    state
        The folder of what is built; None for a checkout, which has it beside its sources.
    """

    root: Path = _PACKAGED if _IS_PACKAGED else _CHECKOUT
    state: Path | None = field(default_factory=_state)

    @property
    def base(self) -> Path:
        """Where relative paths in settings begin."""
        return self.root if self.state is None else base_folder()

    @property
    def build(self) -> Path:
        """The build results, by digest; all of them can be built again."""
        return (self.state or self.root) / "build"

    @property
    def core(self) -> Path:
        """The folder of the shared library, the package ``modelwatch``."""
        if self.state is None:
            return self.root / "layers" / "core" / "modelwatch"
        return Path(modelwatch.__file__).parent

    def function(self, app: str) -> Path:
        """Return the folder of the Chalice app ``app``."""
        return self.root / "functions" / app

    def requirements(self, name: str) -> Path:
        """Return the lock of the environment or third-party set ``name``."""
        return self.root / _LOCKS.get(name, f"layers/{name}") / "requirements.txt"

    @property
    def plugin(self) -> Path:
        """The source of LocalStack's plugin."""
        return self.root / "localstack" / "lambda-process"

    def interpreter(self, name: str) -> Path:
        """Return the interpreter of the environment ``name``; `make setup` makes a checkout's."""
        if self.state is None:
            folder = self.root / ".envs" / name
        else:
            key = digest(
                self.requirements(name).read_bytes(),
                tree_digest(self.plugin) if name == "localstack" else "",
            )
            folder = self.state / "envs" / f"{name}-{key[:12]}"
        return folder / "bin" / "python"

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

    @property
    def prometheus(self) -> Path:
        """The folder of Prometheus' configuration and rules."""
        return self.root / "templates" / "prometheus"

    @property
    def dashboards(self) -> Path:
        """The folder of Grafana's dashboards."""
        return self.root / "templates" / "grafana" / "dashboards"
