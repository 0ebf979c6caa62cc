"""Where the stack keeps its files."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelwatch_cli.project import base_folder
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.errors import StackError


@dataclass(frozen=True, slots=True)
class Home:
    """The folder MODELWATCH_HOME and what is in it."""

    root: Path

    #: All that `up` makes there; `reset` deletes these and nothing else.
    CONTENTS = (
        *("bridge", "images", "localstack", "logs", "mlflow", "mlflow.sqlite", "prometheus"),
        *("prometheus-data", "run", "s3", "stack.env"),
    )

    @classmethod
    def of(cls, settings: Settings) -> Home:
        """Return the home that ``settings`` name; a relative path begins at `base_folder`."""
        return cls(base_folder() / settings.modelwatch_home)

    @property
    def logs(self) -> Path:
        """The parts' logs."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """The records of what runs."""
        return self.root / "run"

    @property
    def stack_env(self) -> Path:
        """The addresses of the stack, for the other commands."""
        return self.root / "stack.env"

    def log(self, part: str) -> Path:
        """Return the log of ``part``."""
        return self.logs / f"{part}.log"

    def log_end(self, part: str, lines: int = 20) -> list[str]:
        """Return the last ``lines`` lines of a part's log; none if there is no log."""
        try:
            with self.log(part).open("rb") as log:
                log.seek(0, 2)
                log.seek(max(0, log.tell() - 400 * lines))
                return log.read().decode(errors="replace").splitlines()[-lines:]
        except OSError:
            return []

    def make(self) -> None:
        """Make the folder, for the user alone."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.logs, self.run):
            folder.mkdir(exist_ok=True)

    def delete(self) -> None:
        """Delete what `up` made, and the folder itself if that leaves it empty."""
        for name in self.CONTENTS:
            path = self.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if self.root.is_dir() and not any(self.root.iterdir()):
            self.root.rmdir()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the stack: one `up`, `down` or `reset` at a time.

        Raises StackError when another one runs.
        """
        self.make()
        with (self.run / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StackError(
                    f"another `modelwatch up`, `down` or `reset` runs in {self.root}"
                ) from None
            yield
