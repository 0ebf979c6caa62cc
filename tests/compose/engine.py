"""A container daemon of the run's own, and Compose on it. For use inside the sandbox only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from commands import CommandError, run

#: What has to be installed, and the Debian package that has it.
PROGRAMS = {"dockerd": "docker.io", "docker": "docker.io", "iptables": "iptables"}

_SOCKET = "unix:///run/docker.sock"
_COMPOSE = Path(sys.executable).parent / "docker-compose"


class Engine:
    """The daemon, with all its data in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "dockerd.log"
        # not this machine's variables: they may name other images, or another daemon
        kept = ("PATH", "HOME", "TMPDIR", "LANG")
        self.environ = {name: os.environ[name] for name in kept if name in os.environ} | {
            "DOCKER_HOST": _SOCKET,
            # the classic builder: BuildKit needs a plugin, which Debian's client has not
            "DOCKER_BUILDKIT": "0",
        }
        with self._log.open("w") as log:
            self._daemon = subprocess.Popen(
                ["dockerd", "--host", _SOCKET, "--data-root", folder / "docker",
                 "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid",
                 # a name of its own for what the kernel does not remove by itself
                 "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{folder.name}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def wait(self, patience_seconds: float = 300.0) -> str:
        """Return the daemon's version once it responds.

        Raises
        ------
        CommandError
            When it does not, with the end of its log.
        """
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                return self.docker("version", "--format", "{{.Server.Version}}").strip()
            except CommandError as error:
                if self._daemon.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.2)
                    continue
                log = "\n  ".join(self._log.read_text(errors="replace").splitlines()[-30:])
                raise CommandError(f"dockerd does not respond; the end of its log:\n  {log}") from (
                    error
                )

    def docker(self, *arguments: str | Path, timeout_seconds: float = 600) -> str:
        """Run ``docker``."""
        return run(["docker", *arguments], self.environ, timeout_seconds=timeout_seconds)


class Stack:
    """The services of a checkout's compose.yaml.

    Parameters
    ----------
    engine
        Where they run.
    checkout
        The folder of compose.yaml and .env.
    left_out
        Services that are not run.
    """

    def __init__(self, engine: Engine, checkout: Path, left_out: Sequence[str] = ()) -> None:
        self._engine = engine
        self._checkout = checkout
        self._left_out = left_out

    @property
    def env_file(self) -> Path:
        """The file of secrets and addresses."""
        return self._checkout / ".env"

    def config(self) -> dict[str, Any]:
        """Return compose.yaml with its variables filled in."""
        return dict(json.loads(self.compose("--profile", "tools", "config", "--format", "json")))

    def compose(self, *arguments: str, timeout_seconds: float = 600) -> str:
        """Run ``docker compose``."""
        command: list[str | Path] = [_COMPOSE, "--ansi", "never", "--progress", "plain", *arguments]
        return run(command, self._engine.environ, self._checkout, timeout_seconds)

    def up(self) -> None:
        """Start all services but those left out, and wait until they are well.

        Raises
        ------
        CommandError
            With the ends of all services' logs.
        """
        services = set(self.compose("config", "--services").split()) - set(self._left_out)
        try:
            self.compose("up", "--detach", "--pull", "never", "--wait", *sorted(services))
        except CommandError as error:
            raise CommandError(f"{error}\n{self.state()}") from error

    def modelwatch(self, *arguments: str) -> str:
        """Run a command of modelwatch as compose.yaml's header says."""
        return self.compose("run", "--rm", "--no-TTY", "modelwatch", *arguments)

    def state(self) -> str:
        """Return how the services are, and the ends of their logs."""
        try:
            return self.compose("ps", "--all") + self.compose("logs", "--no-color", "--tail", "25")
        except CommandError as error:
            return str(error)
