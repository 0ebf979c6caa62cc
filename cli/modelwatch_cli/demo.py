"""`modelwatch demo`: the whole story, each step by the command that a user would run."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from modelwatch.errors import ModelwatchError
from modelwatch.settings import Settings
from modelwatch_cli.console import console, progress

if TYPE_CHECKING:
    from modelwatch.domain.drift import AnalysisResult
    from modelwatch.domain.models import ModelVersion

NORMAL_REQUESTS = 150
DRIFTED_REQUESTS = 300
RATE = 20.0
LABEL_ACCURACY = {"normal": 0.95, "moderate_drift": 0.8}
"""Share of the simulated labels that prove the model right: a drift has a price."""

CAPTURE_PATIENCE_SECONDS = 90
SCHEDULE_PATIENCE_SECONDS = 200


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(demo)


def demo() -> None:
    """Show it all: start, train, deploy, predict, capture, and catch a drift on schedule.

    Leaves the stack up; `modelwatch down` stops it. Exits with 1 if normal traffic raised a drift,
    or drifted traffic did not.
    """
    from modelwatch_cli.deployment.commands import deploy
    from modelwatch_cli.stack.commands import up, urls
    from modelwatch_cli.stack.supervisor import Supervisor
    from modelwatch_cli.training.commands import train

    began = time.monotonic()
    _chapter("Start the stack")
    up()
    _chapter("Train a model and register it")
    train()
    _chapter("Deploy the functions")
    deploy()
    settings = Settings()
    _reload(settings)
    _chapter(f"Send {NORMAL_REQUESTS} normal requests")
    _observe(settings, "normal", NORMAL_REQUESTS, expected="ok")
    _chapter(f"Send {DRIFTED_REQUESTS} drifted requests")
    _observe(settings, "moderate_drift", DRIFTED_REQUESTS, expected="drift")
    _chapter("Where to look")
    urls()
    console.print(
        f"\nNormal traffic raised no drift, drifted traffic did: {time.monotonic() - began:.0f} s. "
        "The stack stays up; `make down` stops it."
    )
    page = next((part for part in Supervisor().status() if part.name == "bridge"), None)
    if page is not None:
        console.print(f"Watch it live: {page.address.removesuffix('metrics')}")


def _reload(settings: Settings) -> None:
    """Have every environment serve the version that was just promoted, and no older one."""
    import httpx

    from modelwatch_cli.deployment.endpoints import api_urls

    url = f"{api_urls(settings)['predict']}/model/reload"
    with console.status("loading the new version in every environment"):
        try:
            response = httpx.post(url, json={}, timeout=60)
        except httpx.HTTPError as error:
            raise ModelwatchError(f"{url} does not answer: {error}") from error
    if response.is_error:
        raise ModelwatchError(f"{url}: {response.text[:300]}")


def _observe(settings: Settings, scenario: str, requests: int, expected: str) -> None:
    """Send traffic, wait until it is captured and analyzed on schedule, and judge the answer."""
    from modelwatch.adapters.aws import s3_client
    from modelwatch.adapters.mlflow_registry import MlflowRegistry
    from modelwatch.domain.sampling import kept
    from modelwatch_cli.monitoring.commands import print_result
    from modelwatch_cli.traffic.commands import (
        ScenarioName,
        post_labels,
        print_summary,
        send_traffic,
    )

    version = MlflowRegistry(settings.text("MLFLOW_TRACKING_URI")).resolve(
        settings.text("MODEL_NAME"), settings.text("MODEL_ALIAS")
    )
    s3 = s3_client(settings)
    began = datetime.now(UTC)
    summary = send_traffic(settings, ScenarioName(scenario), requests, RATE)
    print_summary(summary)
    if set(summary.statuses) != {"200"}:
        raise ModelwatchError(f"not every request was answered: {summary.first_problem[:300]}")
    rate = settings.number("CAPTURE_SAMPLE_RATE")
    sampled = {event_id for event_id in summary.event_ids if kept(event_id, rate)}
    _wait_for_captures(settings, s3, version, sampled, began)
    right = post_labels(settings, summary, 0.0, LABEL_ACCURACY[scenario])
    console.print(
        f"{len(summary.answered)} labels were accepted; {right} of them prove the model right."
    )
    results = _wait_for_result(settings, s3, version, began, datetime.now(UTC))
    print_result(results[0])
    statuses = {result.status for result in results}
    if results[0].status != expected or (expected == "ok" and "drift" in statuses):
        raise ModelwatchError(
            f"{scenario} traffic should have been answered with '{expected}', "
            f"and was with '{results[0].status}'"
        )


def _wait_for_captures(
    settings: Settings, s3: Any, version: ModelVersion, event_ids: set[str], began: datetime
) -> None:
    from modelwatch.adapters.s3_records import S3RecordStore
    from modelwatch.domain.windows import Window

    store = S3RecordStore(s3, settings.text("CAPTURE_BUCKET"))

    def captured() -> int:
        window = Window(began - timedelta(seconds=5), datetime.now(UTC) + timedelta(seconds=1))
        table = store.read(version.name, version.version, window)
        return len(event_ids.intersection(table["event_id"].to_pylist()))

    with progress() as bar:
        task = bar.add_task("captured on S3", total=len(event_ids))

        def all_captured() -> bool:
            count = captured()
            bar.update(task, completed=count)
            return count == len(event_ids)

        if not _wait(all_captured, CAPTURE_PATIENCE_SECONDS, every_seconds=0.5):
            raise ModelwatchError(
                f"{captured()} of {len(event_ids)} predictions were captured within "
                f"{CAPTURE_PATIENCE_SECONDS} s; see `modelwatch logs capture`"
            )
    console.print(f"All {len(event_ids)} predictions are captured on S3.")


def _wait_for_result(
    settings: Settings, s3: Any, version: ModelVersion, began: datetime, captured: datetime
) -> list[AnalysisResult]:
    """Return the version's results since ``began``, newest first, once one covers ``captured``."""
    from modelwatch.adapters.s3_reports import S3ReportStore

    store = S3ReportStore(s3, settings.text("REPORT_BUCKET"))
    found: list[AnalysisResult] = []

    def analyzed() -> bool:
        found[:] = [
            result
            for result in store.results(limit=10)
            if (result.model_name, result.model_version) == (version.name, version.version)
            and result.window_end >= began
        ]
        return bool(found) and found[0].window_end >= captured

    schedule = settings.text("ANALYSIS_SCHEDULE")
    with console.status(f"waiting for the schedule to run the analysis: {schedule}"):
        if not _wait(analyzed, SCHEDULE_PATIENCE_SECONDS, every_seconds=1):
            raise ModelwatchError(
                f"the schedule ({schedule}) brought no analysis within "
                f"{SCHEDULE_PATIENCE_SECONDS} s; see `modelwatch logs analyze`"
            )
    return found


def _wait(done: Callable[[], bool], patience_seconds: float, every_seconds: float) -> bool:
    deadline = time.monotonic() + patience_seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_seconds)
    return True


def _chapter(title: str) -> None:
    console.print(f"\n[bold]== {title}[/bold]")
