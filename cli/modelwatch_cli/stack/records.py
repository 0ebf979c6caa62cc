"""The started parts, stored in ``run/<part>.json``, so that `down` stops only these."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from modelwatch_cli.stack.processes import Process


@dataclass(frozen=True, slots=True)
class Record:
    """One started part.

    Parameters
    ----------
    pid, started
        Its process: see `Process`.
    started_at
        Unix time of the start, in seconds, for people.
    settings
        The settings that define where it listens, such as ``{"MLFLOW_PORT": "5000"}``. They apply
        while it runs, even if the environment changes.
    address
        Where it is, as a URL.
    command
        What was run.
    """

    name: str
    pid: int
    started: str
    started_at: float
    settings: dict[str, str]
    address: str
    command: list[str]

    @property
    def process(self) -> Process:
        """The started process."""
        return Process(self.pid, self.started)


class Records:
    """The records of one stack.

    Parameters
    ----------
    folder
        Where they are; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        """Return where the record of part ``name`` is."""
        return self._folder / f"{name}.json"

    def read(self, name: str) -> Record | None:
        """Return the record of ``name``; None if there is none that can be read."""
        try:
            return Record(**json.loads(self.path(name).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def read_all(self) -> dict[str, Record]:
        """Return all records by the part's name."""
        found = (self.read(path.stem) for path in sorted(self._folder.glob("*.json")))
        return {record.name: record for record in found if record is not None}

    def write(self, record: Record) -> None:
        """Store ``record`` atomically."""
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self.path(record.name).with_suffix(".draft")
        draft.write_text(json.dumps(asdict(record), indent=2))
        draft.replace(self.path(record.name))

    def remove(self, name: str) -> None:
        """Delete the record of ``name``, if there is one."""
        self.path(name).unlink(missing_ok=True)
