"""What users of compose.yaml do, from `up` to `down --volumes`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from commands import Steps, run
from engine import Engine, Stack

MLFLOW = "http://127.0.0.1:5000"
PROMETHEUS = "http://127.0.0.1:9090"
MODEL = "wine_quality_model"
CHECKED = 20
"""How many predictions `modelwatch check` sends."""

_MODELWATCH = Path(sys.executable).parent / "modelwatch"
_PATIENCE_SECONDS = 300.0


class StoryError(Exception):
    """Something is not as it should be."""


class Story:
    """A stack that is brought up, used, restarted, and has lost nothing.

    Parameters
    ----------
    steps
        Where each step is printed.
    engine, stack
        The daemon, and the services on it.
    """

    def __init__(self, steps: Steps, engine: Engine, stack: Stack) -> None:
        self._steps = steps
        self._engine = engine
        self._stack = stack
        self._sent = 0

    def tell(self) -> None:
        """Do all steps.

        Raises
        ------
        StoryError
            When something is not as it should be, with the state of the services.
        CommandError
            When a command failed.
        """
        volumes = self._engine.docker("volume", "ls", "--quiet")  # of builds
        try:
            version, result = self._first_life()
            with self._steps.step("drain, down"):
                self._stack.modelwatch("drain")
                self._stack.compose("down")
            self._second_life(version, result)
        except StoryError as error:
            raise StoryError(f"{error}\n{self._stack.state()}") from error
        with self._steps.step("down --volumes leaves no container, volume or network"):
            self._stack.compose("--profile", "tools", "down", "--volumes")
            ours = ("--filter", "label=com.docker.compose.project")  # not those of builds
            _expect("containers", self._engine.docker("ps", "--all", "--quiet", *ours), "")
            _expect("volumes", self._engine.docker("volume", "ls", "--quiet"), volumes)
            custom = ("network", "ls", "--quiet", "--filter", "type=custom")
            _expect("networks", self._engine.docker(*custom), "")

    def _first_life(self) -> tuple[str, str]:
        """Return the version that is served, and the name of a result with a report."""
        step, stack = self._steps.step, self._stack
        with step("up --wait"):
            stack.up()
        with step("train; MLflow keeps the version in PostgreSQL"):
            stack.modelwatch("train")
            query = "select name || ' ' || version from model_versions"
            login = ("--username=mlflow", "--dbname=mlflow", "--tuples-only", "--no-align")
            found = stack.compose("exec", "--no-TTY", "db", "psql", *login, f"--command={query}")
            _expect("versions", found.split("\n"), [f"{MODEL} 1", ""])
        with step("deploy"):
            stack.modelwatch("deploy")
        with step("simulate, in a container and from the host"):
            self._simulate(stack.modelwatch, 100)
            self._simulate(self._on_host, 50)
        with step("analyze, once the queue is drained"):
            result = self._analyze()
            _expect("verdict on normal traffic", result["status"], "ok")
        with step("the report opens from the host"):
            self._open_report(result["name"])
        with step("Prometheus has every prediction, and no target is down"):
            _wait_until(lambda: _ask_prometheus("sum(model_predictions_total)") == self._sent)
            _expect("targets that are down", _ask_prometheus("count(up == 0) or vector(0)"), 0)
        version = _served_version()
        with step("check, and check metrics"):
            stack.modelwatch("check")
            self._sent += CHECKED
            stack.modelwatch("check", "metrics")
        return version, result["name"]

    def _second_life(self, version: str, result: str) -> None:
        step, stack = self._steps.step, self._stack
        with step("up --wait, again"):
            stack.up()
        with step("deploy, again"):
            stack.modelwatch("deploy")
        with step("the model is still there, and serves"):
            _expect("version behind the alias", _served_version(), version)
            self._simulate(stack.modelwatch, 50)
        with step("the captures are still there"):
            self._analyze()
        with step("the reports are still there"):
            listed = json.loads(stack.modelwatch("reports", "--json"))["results"]
            if result not in [each["name"] for each in listed]:
                raise StoryError(f"{result} is not among the results: {listed}")
            self._open_report(result)

    def _on_host(self, *arguments: str) -> str:
        """Run the host's modelwatch with the variables that compose.yaml's header asks for."""
        environ = {name: self._engine.environ[name] for name in ("PATH", "HOME")}
        return run([_MODELWATCH, "--env-file", self._stack.env_file, *arguments], environ)

    def _simulate(self, modelwatch: Callable[..., str], requests: int) -> None:
        # slow enough for cold functions on a busy machine: load is not what is tested here
        options = ("--requests", str(requests), "--rate", "5", "--seed", str(self._sent), "--json")
        summary = json.loads(modelwatch("simulate", *options))
        _expect("responses", summary["statuses"], {"200": requests})
        self._sent += requests

    def _analyze(self) -> dict[str, Any]:
        """Return the result for the last hour, once it has all predictions.

        The last seconds are in no window yet, and a fast machine is here within them.
        """
        self._stack.modelwatch("drain")
        options = ("--window", "PT1H", "--with-report", "--json")
        found: dict[str, Any] = {}

        def is_whole() -> bool:
            (result,) = json.loads(self._stack.modelwatch("analyze", *options))["results"]
            found.update(result)
            return bool(found["rows"] == self._sent)

        _wait_until(is_whole)
        return found

    def _open_report(self, result: str) -> None:
        api = json.loads(self._on_host("urls", "--json"))["analyze API"]
        report = httpx.get(f"{api}/reports/{result}", follow_redirects=True, timeout=60)
        _expect(f"status of {report.url.copy_with(query=None)}", report.status_code, 200)
        if "<html" not in report.text:
            raise StoryError(f"the report {result} is no page: {report.text[:200]}")


def _served_version() -> str:
    """Return version and run behind the alias that is served, as MLflow has them."""
    parameters = {"name": MODEL, "alias": "production"}
    url = f"{MLFLOW}/api/2.0/mlflow/registered-models/alias"
    version = (
        httpx.get(url, params=parameters, timeout=60).raise_for_status().json()["model_version"]
    )
    return f"{version['version']} of run {version['run_id']}"


def _ask_prometheus(query: str) -> float | None:
    """Return the single value of ``query``; None when there is none."""
    url = f"{PROMETHEUS}/api/v1/query"
    response = httpx.get(url, params={"query": query}, timeout=60).raise_for_status()
    found = response.json()["data"]["result"]
    return float(found[0]["value"][1]) if found else None


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise StoryError(f"not so after {_PATIENCE_SECONDS:.0f} s")
        time.sleep(1)


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise StoryError(f"{what}: {found!r}, and should be {expected!r}")
