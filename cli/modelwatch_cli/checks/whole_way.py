"""Follows 20 predictions through every step: API, S3, analysis, report, metrics."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.calls import ApiError
from modelwatch.errors import ModelwatchError
from modelwatch_cli.checks.functions import check_functions
from modelwatch_cli.checks.steps import Step, StepError
from modelwatch_cli.console import count_of
from modelwatch_cli.deployment.cloudformation.calling import (
    Api,
    find_apis,
    open_client,
    predict_api,
)
from modelwatch_cli.deployment.cloudformation.endpoints import deployed_urls
from modelwatch_cli.deployment.cloudformation.plan import APPS
from modelwatch_cli.monitoring.live_metrics import LiveMetrics, read_bridge
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.checks import require_stack
from modelwatch_cli.traffic.captured import captured_ids, wait_for_captures
from modelwatch_cli.traffic.labels import Predicted
from modelwatch_cli.traffic.load import send_predictions
from modelwatch_cli.traffic.reference import reference_features
from modelwatch_cli.traffic.scenarios import SCENARIOS, simulate_rows
from modelwatch_cli.waiting import wait_until

REQUESTS = 20
CAPTURE_PATIENCE_SECONDS = 30
METRICS_PATIENCE_SECONDS = 20
_TIMEOUT_SECONDS = 60


class WholeWay:
    """Sends predictions and follows them.

    Parameters
    ----------
    model
        One that predict serves by name; by default the default one. ``settings`` are those of this
        model.
    """

    def __init__(self, settings: Settings, bridge_url: str, model: str | None = None) -> None:
        self._settings = settings
        self._model = model
        self._bridge_url = bridge_url
        self._apis: dict[str, Api] = {}
        self._before: LiveMetrics | None = None
        self._began = datetime.now(UTC)
        self._predicted: list[Predicted] = []
        self._stored = 0
        self._analyzed: list[str] = []

    def steps(self) -> list[Step]:
        """Return the steps, in order."""
        return [
            Step("deployed", self._find, "`modelwatch up` starts the stack, `modelwatch deploy` "
                 "puts the functions on it"),
            Step("functions", lambda: check_functions(self._settings, self._apis),
                 "`modelwatch deploy`", ("deployed",)),
            Step("health", self._health, "`modelwatch logs predict` (capture, analyze) shows why",
                 ("deployed",)),
            Step("predict", self._predict, "`modelwatch logs predict` shows why", ("deployed",)),
            Step("capture", self._capture, "`modelwatch logs capture` shows why", ("predict",)),
            Step("analysis", self._analyze, "`modelwatch logs analyze` shows why", ("capture",)),
            Step("report", self._report, "`modelwatch logs analyze` shows why", ("analysis",)),
            Step("metrics", self._metrics, "`modelwatch status` and `modelwatch logs bridge` show "
                 "why; --bridge URL when it runs elsewhere", ("predict",)),
        ]  # fmt: skip

    def _find(self) -> str:
        require_stack(self._settings)
        deployed = deployed_urls(self._settings)
        missing = [app for app in APPS if app not in deployed]
        if missing:
            raise StepError(
                f"not deployed: {', '.join(missing)}", f"`modelwatch deploy {' '.join(missing)}`"
            )
        self._apis = find_apis(self._settings)
        return f"{', '.join(self._apis)} at {self._apis['predict'].url} and beside it"

    def _health(self) -> str:
        troubles, said = [], []
        for app, found in self._apis.items():
            api = self._predict_api() if app == "predict" else found
            response = _get(api, "/health")
            body = _json(response)
            if response.is_error or body.get("status") != "healthy":
                problem = body.get("problem") or body.get("detail") or response.text[:200]
                troubles.append(f"{app} returns {response.status_code}: {problem}")
            said.append(f"{app} healthy")
            if app == "predict" and not response.is_error:
                said[-1] += f" with {body['model_name']} version {body['model_version']}"
        if troubles:
            raise StepError("; ".join(troubles))
        return ", ".join(said)

    def _predict(self) -> str:
        reference = reference_features(self._settings)
        seed = time.time_ns() % 2**32
        rows = simulate_rows(SCENARIOS["normal"], reference, REQUESTS, seed)
        self._before = self._live()
        self._began = datetime.now(UTC)
        api = self._predict_api()
        summary = send_predictions(api.url, rows, None, auth=api.auth)
        if summary.interrupted:
            raise KeyboardInterrupt
        self._predicted = summary.predicted
        if len(self._predicted) < REQUESTS:
            raise StepError(
                f"{len(self._predicted)} of {REQUESTS} requests got a prediction; "
                f"the first other response: {summary.first_problem[:200]}"
            )
        return (
            f"{REQUESTS} of {REQUESTS} requests got a prediction, "
            f"p95 {summary.percentile_ms(95):.0f} ms"
        )

    def _predict_api(self) -> Api:
        return predict_api(self._apis["predict"], self._model)

    def _capture(self) -> str:
        sampled = sum(map(len, captured_ids(self._settings, self._predicted).values()))
        captured = wait_for_captures(
            self._settings, self._predicted, self._began, CAPTURE_PATIENCE_SECONDS
        )
        self._stored = captured.found
        if not captured.is_complete:
            raise StepError(
                f"{captured.found} of {captured.wanted} predictions are on S3, and no other "
                f"arrived within {CAPTURE_PATIENCE_SECONDS} s; {self._waiting()}"
            )
        left_out = f" (CAPTURE_SAMPLE_RATE leaves out {REQUESTS - sampled})"
        return f"{captured.found} predictions are on S3" + (left_out if sampled < REQUESTS else "")

    def _waiting(self) -> str:
        """Return what the queue shows about predictions that do not arrive."""
        name = self._settings.capture_queue_name
        sqs = boto3.client("sqs", region_name=self._settings.aws_default_region)
        try:
            url = self._settings.capture_queue_url
            url = url or sqs.get_queue_url(QueueName=name)["QueueUrl"]
            counts = sqs.get_queue_attributes(
                QueueUrl=url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )["Attributes"]
        except (BotoCoreError, ClientError) as error:
            return f"the queue {name} cannot be read: {error}"
        waiting = int(counts["ApproximateNumberOfMessages"])
        taken = int(counts["ApproximateNumberOfMessagesNotVisible"])
        if waiting:
            return f"{waiting} messages wait in the queue {name}: its function does not read them"
        if taken:
            return f"the function holds {taken} messages of the queue {name} and does not finish"
        return f"the queue {name} is empty: `modelwatch dlq list` shows unusable records"

    def _analyze(self) -> str:
        if not self._stored:
            raise StepError("no prediction was captured", "set CAPTURE_SAMPLE_RATE above 0")
        # a window with an explicit end is a past one: it changes no gauge, and no alert
        ended = datetime.now(UTC)
        try:
            with open_client(self._settings, "analyze") as client:
                found = client.analyze(
                    model_name=self._settings.model_name,
                    window_end=ended + timedelta(seconds=1),
                    window_seconds=int((ended - self._began).total_seconds()) + 2,
                    min_rows=2,
                    with_report=True,
                )
        except ApiError as error:
            raise StepError(str(error)) from error
        ours = {(each.model_name, each.model_version) for each in self._predicted}
        titles = {f"{name} version {version}" for name, version in ours}
        failures = {title: why for title, why in found.failures.items() if title in titles}
        if failures:
            raise StepError("; ".join(f"{title}: {why}" for title, why in failures.items()))
        results = [
            each
            for each in found.results
            if (each.model_name, each.model_version) in ours and not each.variant
        ]
        self._analyzed = [each.name for each in results if each.has_report]
        rows = sum(each.rows for each in results)
        if rows < self._stored:
            raise StepError(f"{rows} of {self._stored} captured predictions were analyzed")
        return ", ".join(
            f"{count_of(each.rows, 'row')} of version {each.model_version}: {each.status}"
            for each in results
        )

    def _report(self) -> str:
        if not self._analyzed:
            raise StepError(
                "the analysis made no report: the version has no reference to compare with",
                "`modelwatch train`, or make a baseline: `modelwatch baseline create`",
            )
        api, path = self._apis["analyze"], f"/reports/{self._analyzed[0]}"
        page = _get(api, path)
        if page.is_error or "<html" not in page.text:
            raise StepError(f"{api.url}{path} gives no page: {page.status_code} {page.text[:100]}")
        return f"{len(page.content) / 1e6:.1f} MB of HTML at {api.url}{path}"

    def _metrics(self) -> str:
        expected = {
            "predictions": (len(self._predicted), "model_predictions_total", {}),
            "stored": (self._stored, "capture_records_total", {"outcome": "stored"}),
            "analyses": (len(self._analyzed), "evidently_analysis_total", {}),
        }
        counted: dict[str, float] = {}

        def all_counted() -> bool:
            after = read_bridge(self._bridge_url)
            before = self._before or LiveMetrics(())
            counted.update(
                (what, after.total(name, **labels) - before.total(name, **labels))
                for what, (_, name, labels) in expected.items()
            )
            return all(counted[what] >= count for what, (count, *_) in expected.items())

        if not wait_until(all_counted, METRICS_PATIENCE_SECONDS, every_seconds=0.5):
            less = [
                f"{counted[what]:.0f} of {count} {what}"
                for what, (count, *_) in expected.items()
                if counted[what] < count
            ]
            raise StepError(
                f"the bridge at {self._bridge_url} counted {', '.join(less)} within "
                f"{METRICS_PATIENCE_SECONDS} s"
            )
        return ", ".join(f"{counted[what]:.0f} {what}" for what in expected) + " counted"

    def _live(self) -> LiveMetrics | None:
        """Return the bridge's metrics; None if it does not respond (the last step reports that)."""
        try:
            return read_bridge(self._bridge_url)
        except ModelwatchError:
            return None


def _get(api: Api, path: str) -> httpx.Response:
    url = f"{api.url}{path}"
    try:
        response = httpx.get(url, auth=api.auth, timeout=_TIMEOUT_SECONDS)
        # to a store, whose address is signed: it must not see what the API is shown
        elsewhere = response.next_request
        return httpx.get(elsewhere.url, timeout=_TIMEOUT_SECONDS) if elsewhere else response
    except httpx.HTTPError as error:
        raise StepError(f"{url} does not respond: {error}") from error


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
