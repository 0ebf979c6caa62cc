"""What a part of the stack is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from modelwatch_cli.stack.answers import http_answers

#: Every part by name, with what people call it.
TITLES = {
    "localstack": "LocalStack",
    "s3": "SeaweedFS",
    "mlflow": "MLflow",
    "bridge": "metrics bridge",
    "prometheus": "Prometheus",
}

#: How long each may take to stop before it is killed. SeaweedFS' filer would wait 15 s for
#: connections that its own servers keep open; what was acknowledged is written by then, for volumes
#: and the filer's journal go straight to files.
GRACE_SECONDS = {"localstack": 10.0, "s3": 1.0, "mlflow": 5.0, "bridge": 5.0, "prometheus": 10.0}


@dataclass(frozen=True, slots=True)
class Part:
    """A server of the stack.

    Parameters
    ----------
    name
        One of `TITLES`.
    settings
        The settings that decide where it listens, with their values.
    ports
        Every port that it listens on, with the setting that moves it.
    address
        Where it is, as a URL.
    alive_url
        What answers with one of ``alive_statuses`` as soon as the part is up.
    command, environ, directory
        How it is run; the environment is complete, and made only when it is needed.
    prepare
        What to do before it is run.
    finish
        What to do once it answers; may fail for a while and is then tried again.
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
        """What people call it."""
        return TITLES[self.name]

    def answers(self) -> bool:
        """Return whether it answers now."""
        return http_answers(self.alive_url, self.alive_statuses)
