"""What an acceptance does with its stage, step by step, and measures."""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.errors import ModelwatchError
from modelwatch_bridge.lines.emf import Findings
from modelwatch_bridge.lines.runtime_lines import read_runtime_line
from modelwatch_cli.checks.steps import Step, StepError, take_steps
from modelwatch_cli.checks.whole_way import WholeWay
from modelwatch_cli.console import count_of
from modelwatch_cli.costs.prices import (
    API_REQUEST,
    LAMBDA_ARM_SECOND,
    LAMBDA_REQUEST,
    LAMBDA_SECOND,
    Item,
)
from modelwatch_cli.deployment.cloudformation.calling import Api, find_apis, open_client
from modelwatch_cli.deployment.cloudformation.clients import client_maker
from modelwatch_cli.deployment.cloudformation.plan import make_plan
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.function_logs import log_events
from modelwatch_cli.traffic.captured import require_captured, wait_for_captures
from modelwatch_cli.traffic.labels import Predicted
from modelwatch_cli.traffic.load import send_predictions
from modelwatch_cli.traffic.reference import reference_features
from modelwatch_cli.traffic.scenarios import SCENARIOS, simulate_rows
from modelwatch_cli.waiting import wait_until

REQUESTS = 200
RATE = 10.0
_LOG_PATIENCE_SECONDS = 60
_OF_APIS = ("predict", "predict-image", "capture-api", "analyze-api")
_PROBES = {
    "predict": ("POST", "/predict"),
    "capture": ("POST", "/capture"),
    "analyze": ("POST", "/analyze"),
}


class Measure(msgspec.Struct, frozen=True):
    """A number that was measured."""

    what: str
    value: float
    unit: str


class Run:
    """The steps of one acceptance, and ``measures`` that they add."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._apis: dict[str, Api] = {}
        self._began = datetime.now(UTC)
        self._predicted: list[Predicted] = []
        self.measures: list[Measure] = []

    def steps(self) -> list[Step]:
        """Return the steps, in order."""
        deployed = ("deploy",)
        return [
            Step("train", self._train, "`modelwatch train` with the same --env-file"),
            Step("deploy", self._deploy, "`modelwatch deploy --check`", ("train",)),
            Step("refusal", self._refusal, "docs/how-to/close-the-api.md", deployed),
            Step("first", self._first, "`modelwatch logs predict` shows why", deployed),
            Step("traffic", self._traffic, "`modelwatch logs predict` shows why", ("first",)),
            Step("capture", self._capture, "`modelwatch logs capture` shows why", ("traffic",)),
            Step("analysis", self._analysis, "`modelwatch logs analyze` shows why", ("capture",)),
            Step("check", self._check, "`modelwatch check`", deployed),
            Step("cost", self._cost, "the REPORT lines of the logs say it", deployed),
        ]

    def _measure(self, what: str, value: float, unit: str) -> None:
        self.measures.append(Measure(what, round(value, 4), unit))

    def _train(self) -> str:
        from modelwatch_cli.training.commands import train

        _quietly(train)
        return f"{self._settings.model_name} is registered"

    def _deploy(self) -> str:
        from modelwatch_cli.deployment.commands import deploy

        began = time.monotonic()
        _quietly(lambda: deploy(yes=True))
        self._measure("deployment", time.monotonic() - began, "s")
        self._apis = find_apis(self._settings)
        return f"stage {self._settings.stage}: {', '.join(self._apis)}"

    def _refusal(self) -> str:
        """Prove that no API responds to a caller without a credential, or with a wrong one."""
        said = []
        for app, api in self._apis.items():
            method, path = _PROBES[app]
            for headers in ({}, {"x-api-key": "x" * 30, "Authorization": "Bearer wrong"}):
                try:
                    response = httpx.request(
                        method, f"{api.url}{path}", json={}, headers=headers, timeout=60
                    )
                except httpx.HTTPError as error:
                    raise StepError(f"{app} does not respond: {error}") from error
                if response.status_code not in (401, 403):
                    raise StepError(f"{app} returned {response.status_code} to {method} {path}")
            said.append(f"{method} {path} {response.status_code}")
        return f"without and with a wrong credential: {', '.join(said)}"

    def _send(self, count: int, rate: float | None) -> Any:
        reference = reference_features(self._settings)
        rows = simulate_rows(SCENARIOS["normal"], reference, count, seed=1)
        due = [index / rate for index in range(count)] if rate else None
        api = self._apis["predict"]
        summary = send_predictions(api.url, rows, due, auth=api.auth)
        self._predicted += summary.predicted
        if summary.interrupted:
            raise KeyboardInterrupt
        if len(summary.predicted) < count:
            raise StepError(
                f"{len(summary.predicted)} of {count} requests got a prediction; the first other "
                f"response: {summary.first_problem[:200]}"
            )
        return summary

    def _first(self) -> str:
        latency = self._send(1, None).percentile_ms(50)
        self._measure("first prediction, with its cold start", latency, "ms")
        return f"{latency:.0f} ms"

    def _traffic(self) -> str:
        summary = self._send(REQUESTS, RATE)
        p50, p95 = summary.percentile_ms(50), summary.percentile_ms(95)
        self._measure("prediction p50, as the caller sees it", p50, "ms")
        self._measure("prediction p95, as the caller sees it", p95, "ms")
        return f"{REQUESTS} predictions at {RATE:g} a second: p50 {p50:.0f} ms, p95 {p95:.0f} ms"

    def _capture(self) -> str:
        began = time.monotonic()
        captured = wait_for_captures(self._settings, self._predicted, self._began)
        require_captured(captured)
        self._measure(
            "capture: from the last response until all is on S3", time.monotonic() - began, "s"
        )
        return f"{captured.found} predictions are on S3"

    def _analysis(self) -> str:
        seconds = []
        with open_client(self._settings, "analyze") as client:
            for _ in range(2):
                began = time.monotonic()
                found = client.analyze(
                    model_name=self._settings.model_name, window_seconds=3600, min_rows=20
                )
                seconds.append(time.monotonic() - began)
                if found.failures or not found.results:
                    raise StepError("; ".join(found.failures.values()) or "it found no captures")
        self._measure("analysis, with its cold starts", seconds[0], "s")
        self._measure("analysis, warm", seconds[1], "s")
        return f"{count_of(found.results[0].rows, 'row')}: {found.results[0].status}"

    def _check(self) -> str:
        way = WholeWay(self._settings, "")
        # a bridge reads the logs of another stage
        steps = [each for each in way.steps() if each.name != "metrics"]
        outcomes = take_steps(steps, lambda _: None, lambda _: None)
        wrong = [f"{each.step}: {each.found}" for each in outcomes if each.state != "ok"]
        if wrong:
            raise StepError("; ".join(wrong))
        return f"{', '.join(each.step for each in outcomes)}: ok"

    def _cost(self) -> str:
        found = Findings()
        groups = f"/aws/lambda/modelwatch-{self._settings.stage}-"
        client = client_maker(self._settings)("logs")
        since_ms = int(self._began.timestamp() * 1000)

        def is_read() -> bool:
            nonlocal found
            found = Findings()
            for name, line in log_events(client, groups, since_ms):
                read_runtime_line(line, name, found)
            return any(name.startswith("capture") for name in self._invoked(found))

        try:
            is_there = wait_until(is_read, _LOG_PATIENCE_SECONDS, every_seconds=5)
        except (BotoCoreError, ClientError) as error:
            raise StepError(f"the functions' logs cannot be read: {error}") from error
        if not is_there:
            raise StepError("CloudWatch has no REPORT lines of the functions")
        init: dict[str, list[float]] = {}
        gigabyte_seconds = 0.0
        for reading in found.readings:
            if reading.metric.name == "faas_init_duration_seconds":
                init.setdefault(reading.labels[0], []).append(reading.values[0] * 1000)
            if reading.metric.name == "faas_billed_gb_seconds_total":
                gigabyte_seconds += reading.values[0]
        for name, values in sorted(init.items()):
            self._measure(
                f"init of {name}, median of {len(values)}", statistics.median(values), "ms"
            )
        is_arm = make_plan(self._settings).architecture == "arm64"
        invoked = self._invoked(found)
        # API Gateway bills no request that has no key, or a wrong one
        requests = sum(count for name, count in invoked.items() if name in _OF_APIS)
        items = [
            Item("Lambda", gigabyte_seconds, LAMBDA_ARM_SECOND if is_arm else LAMBDA_SECOND),
            Item("Lambda", sum(invoked.values()), LAMBDA_REQUEST),
            Item("API Gateway", requests, API_REQUEST),
        ]
        usd = sum(item.usd for item in items)
        self._measure("Lambda, billed", gigabyte_seconds, "GB-seconds")
        self.measures.append(Measure("cost by list prices: Lambda and API Gateway", usd, "USD"))
        return f"{usd:.6f} USD for {requests} requests; S3, SQS and logs are not in it"

    @staticmethod
    def _invoked(found: Findings) -> dict[str, int]:
        counts: dict[str, int] = {}
        for reading in found.readings:
            if reading.metric.name == "faas_invoke_duration_seconds":
                counts[reading.labels[0]] = counts.get(reading.labels[0], 0) + 1
        return counts


def _quietly(command: Callable[[], object]) -> None:
    """Run another command; what it prints is progress here."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            command()
        except SystemExit as error:
            if error.code:
                raise ModelwatchError(f"it ended with {error.code}") from error
