"""Starting, watching and stopping the parts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from subprocess import Popen
from typing import Literal

from modelwatch_cli.settings import Settings
from modelwatch_cli.stack import ports, processes
from modelwatch_cli.stack.environment import write_env_file
from modelwatch_cli.stack.errors import PartCrashedError, PortTakenError
from modelwatch_cli.stack.parts import GRACE_SECONDS, TITLES, Part, Report
from modelwatch_cli.stack.plan import Plan
from modelwatch_cli.stack.processes import Process
from modelwatch_cli.stack.records import Record, Records
from modelwatch_cli.stack.servers import make_environments, make_parts

START_SECONDS = 180.0
_POLL_SECONDS = 0.1

State = Literal["up", "silent", "dead", "down", "taken"]


@dataclass(frozen=True, slots=True)
class PartStatus:
    """The state of a part.

    Parameters
    ----------
    state
        ``up``; ``silent``: it runs and does not respond; ``dead``: it ended without being
        stopped; ``down``: it was not started; ``taken``: it was not started, and another process
        has its port.
    address, pid, since, memory_bytes
        Where it is, and its process; since is Unix time in seconds.
    note
        More, such as the process that has the port.
    """

    name: str
    state: State
    address: str
    pid: int | None = None
    since: float | None = None
    memory_bytes: int = 0
    note: str = ""


class Supervisor:
    """One stack.

    Parameters
    ----------
    environ
        The environment that describes it. Running parts keep their addresses, even if the
        environment has changed.

    Raises SettingError when one of their settings is wrong there.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        asked = dict(os.environ if environ is None else environ)
        self.home = Plan.of(asked).home
        self._records = Records(self.home.run)
        running = {
            name: value
            for record in self._records.read_all().values()
            if record.process.is_alive()
            for name, value in record.settings.items()
        }
        for error in Settings(asked).wrong():
            # refused, though the value of the running part is in use
            if error.name in running:
                raise error
        self.plan = Plan.of({**asked, **running})

    def up(self, begins: Report, done: Report) -> set[str]:
        """Start all parts that are not up, in parallel, and wait until everything responds.

        Returns the names of the parts that were started.

        Raises
        ------
        PortTakenError
            When another process has a port that is needed; nothing was started then.
        BuildError
            When an environment is missing and cannot be made; nothing was started then.
        PartCrashedError
            When a part ends or does not respond; all that this call started is stopped again.
        """
        with self.home.locked():
            parts = make_parts(self.plan)
            to_start = [part for part in parts if not self._is_alive(part.name)]
            for part in to_start:
                # such as the worker of a server that was killed
                processes.stop(self._family(part.name), GRACE_SECONDS[part.name])
            self._require_free_ports(to_start)
            make_environments(begins, done)
            write_env_file(self.home.stack_env, self.plan.stack_env())
            started: dict[str, Popen[bytes]] = {}
            cancelled = threading.Event()
            with ThreadPoolExecutor(len(parts)) as pool:
                try:
                    waits = {}
                    for part in parts:
                        begins(part.title, "starting" if part in to_start else "checking")
                        if part in to_start:
                            started[part.name] = self._start(part)
                        child = started.get(part.name)
                        waits[pool.submit(self._wait, part, child, cancelled)] = part
                    for wait in as_completed(waits):
                        wait.result()
                        part = waits[wait]
                        word = "up" if part in to_start else "was up"
                        done(part.title, f"{word}  {part.address}")
                except BaseException:
                    cancelled.set()
                    with ThreadPoolExecutor(len(parts)) as stoppers:
                        list(stoppers.map(self._stop, started))
                    raise
            return set(started)

    def down(self, begins: Report, done: Report) -> bool:
        """Stop all parts; return whether any part ran.

        Raises StackError when another `up` or `down` runs.
        """
        if not self.home.root.exists():
            return False
        with self.home.locked():
            names = [name for name in TITLES if self._family(name)]
            # functions write to S3 until LocalStack is gone, so S3 goes last
            last = [name for name in names if name == "s3"]
            for group in ([name for name in names if name not in last], last):
                for name in group:
                    begins(TITLES[name], "stopping")
                with ThreadPoolExecutor(len(TITLES)) as pool:
                    stops = {pool.submit(self._stop, name): name for name in group}
                    for stop in as_completed(stops):
                        stop.result()
                        done(TITLES[stops[stop]], "stopped")
            for name in TITLES:
                self._records.remove(name)
            return bool(names)

    def is_up(self, name: str) -> bool:
        """Return whether part ``name`` runs."""
        return self._is_alive(name)

    def status(self) -> list[PartStatus]:
        """Return the state of every part."""
        return [self._status(part) for part in make_parts(self.plan)]

    def _status(self, part: Part) -> PartStatus:
        record = self._records.read(part.name)
        if record is None:
            for port in part.ports:
                if not ports.is_free(port):
                    return PartStatus(part.name, "taken", part.address, note=_taken(port))
            return PartStatus(part.name, "down", part.address)
        if not record.process.is_alive():
            return PartStatus(part.name, "dead", record.address, note=str(self.home.log(part.name)))
        return PartStatus(
            part.name,
            "up" if part.is_ready() else "silent",
            record.address,
            record.pid,
            record.started_at,
            sum(processes.memory_bytes(process.pid) for process in self._family(part.name)),
        )

    def _start(self, part: Part) -> Popen[bytes]:
        part.prepare()
        log = self.home.log(part.name)
        with log.open("ab") as file:
            file.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} modelwatch up\n".encode())
        child = processes.spawn(
            part.command, part.environ(), part.directory, log, self._mark(part.name)
        )
        self._records.write(
            Record(
                name=part.name,
                pid=child.pid,
                started=processes.start_of(child.pid) or "",
                started_at=time.time(),
                settings=part.settings,
                address=part.address,
                command=part.command,
            )
        )
        return child

    def _wait(self, part: Part, child: Popen[bytes] | None, cancelled: threading.Event) -> None:
        """Return when ``part`` responds and is finished, or when another part has failed."""
        deadline = time.monotonic() + START_SECONDS
        problem = "does not respond"
        while not cancelled.is_set():
            if child is not None and child.poll() is not None:
                self._records.remove(part.name)
                raise self._crash(part, f"ended with exit code {child.returncode}")
            if child is None and not self._is_alive(part.name):
                raise self._crash(part, "ended")
            if part.is_ready():
                try:
                    part.finish()
                except Exception as error:  # noqa: BLE001  whatever it is, it may pass, or the deadline does
                    problem = f"is not ready: {error}"
                else:
                    return
            if time.monotonic() > deadline:
                raise self._crash(part, f"{problem} after {START_SECONDS:.0f} s")
            cancelled.wait(_POLL_SECONDS)

    def _stop(self, name: str) -> None:
        processes.stop(self._family(name), GRACE_SECONDS[name])
        self._records.remove(name)

    def _is_alive(self, name: str) -> bool:
        record = self._records.read(name)
        return record is not None and record.process.is_alive()

    def _family(self, name: str) -> list[Process]:
        """Return the part's process and its descendants, which carry its mark."""
        record = self._records.read(name)
        own = [record.process] if record is not None and record.process.is_alive() else []
        marked = processes.marked_processes(self._mark(name))
        return own + [process for process in marked if process not in own]

    def _mark(self, name: str) -> str:
        return str(self._records.path(name))

    def _crash(self, part: Part, what: str) -> PartCrashedError:
        return PartCrashedError(
            part.title, what, self.home.log(part.name), self.home.log_end(part.name)
        )

    @staticmethod
    def _require_free_ports(parts: list[Part]) -> None:
        conflicts = [
            f"{part.title} cannot start: {_taken(port)}; set {setting} to another"
            for part in parts
            for port, setting in part.ports.items()
            if not ports.is_free(port)
        ]
        if conflicts:
            raise PortTakenError(conflicts)


def _taken(port: int) -> str:
    holder = ports.holder(port)
    by = f" by process {holder[0]} ({holder[1][:80]})" if holder else ""
    return f"port {port} is taken{by}"
