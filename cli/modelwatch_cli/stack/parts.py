"""A part of the stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from modelwatch_cli.stack.ports import responds

#: Every part by name, with its title.
TITLES = {
    "localstack": "LocalStack",
    "s3": "SeaweedFS",
    "mlflow": "MLflow",
    "bridge": "metrics bridge",
    "prometheus": "Prometheus",
}

#: How long each may take to stop before it is killed. SeaweedFS' filer would wait 15 s for
#: connections that its own servers keep open. Acknowledged data is in files by then, since
#: volumes and the filer's journal are written directly.
GRACE_SECONDS = {"localstack": 10.0, "s3": 1.0, "mlflow": 5.0, "bridge": 5.0, "prometheus": 10.0}

Report = Callable[[str, str], None]
"""Called with a part's title and its new state."""


@dataclass(frozen=True, slots=True)
class Part:
    """A server of the stack.

    Parameters
    ----------
    name
        One of `TITLES`.
    settings
        The settings that define where it listens, with their values.
    ports
        Every port that it listens on, with the setting that changes it.
    address
        Where it is, as a URL.
    alive_url
        Returns one of ``alive_statuses`` as soon as the part is up.
    command, environ, directory
        How to run it; the environment is complete, and is made only when it is needed.
    prepare
        What to do before it runs.
    finish
        What to do once it responds; may fail for a while and is then tried again.
    """

    name: str
    settings: dict[str, str]
    ports: dict[int, str]
    address: str
    alive_url: str
    command: list[str]
    environ: Callable[[], dict[str, str]]
    directory: Path
    alive_statuses: range = range(200, 201)
    prepare: Callable[[], None] = field(default=lambda: None)
    finish: Callable[[], None] = field(default=lambda: None)

    @property
    def title(self) -> str:
        """Its title."""
        return TITLES[self.name]

    def is_ready(self) -> bool:
        """Return whether it responds now."""
        return responds(self.alive_url, self.alive_statuses)
