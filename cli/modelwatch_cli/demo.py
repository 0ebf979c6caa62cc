"""`modelwatch demo`: all steps, each by the command that a user would run."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from modelwatch.errors import ModelwatchError
from modelwatch_cli.console import console
from modelwatch_cli.settings import Settings
from modelwatch_cli.waiting import wait_until

if TYPE_CHECKING:
    from modelwatch.domain.models import ModelVersion
    from modelwatch.domain.verdict.results import AnalysisResult

NORMAL_REQUESTS = 150
DRIFTED_REQUESTS = 300
RATE = 20.0
SEED = 1
"""The rows are the same in every demo: none raises a false alarm by chance."""

LABEL_ACCURACY = {"normal": 0.95, "moderate_drift": 0.8}
"""Share of the simulated labels that equal the prediction: drift lowers accuracy."""

SCHEDULE_PATIENCE_SECONDS = 200


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(demo)


def demo() -> None:
    """Show everything: start, train, deploy, predict, capture, and detect a drift on schedule.

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
        "The stack stays up; `modelwatch down` stops it."
    )
    page = next((part for part in Supervisor().status() if part.name == "bridge"), None)
    if page is not None:
        console.print(f"Watch it live: {page.address.removesuffix('metrics')}")


def _reload(settings: Settings) -> None:
    """Have every environment load the promoted version, so that it alone serves."""
    from modelwatch_cli.deployment.cloudformation.calling import open_client

    with (
        console.status("loading the new version in every environment"),
        open_client(settings, "predict") as client,
    ):
        client.reload()


def _observe(settings: Settings, scenario: str, requests: int, expected: str) -> None:
    """Send traffic, wait until it is captured and analyzed on schedule, and check the verdict."""
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.registries import registry_of
    from modelwatch_cli.monitoring.commands import print_result
    from modelwatch_cli.traffic import running
    from modelwatch_cli.traffic.commands import labels_sentence
    from modelwatch_cli.traffic.display import print_summary
    from modelwatch_cli.traffic.schedule import Pattern, Run, make_schedule

    version = registry_of(settings).resolve(settings.model_name, settings.model_alias)
    s3 = s3_client(settings)
    began = datetime.now(UTC)
    schedule = make_schedule(Pattern.STEADY, RATE, Run(requests=requests))
    summary = running.send_traffic(running.find_target(settings), scenario, schedule, SEED)
    print_summary(summary, RATE)
    running.require_predictions(scenario, summary)
    captured = running.require_on_s3(settings, summary)
    console.print(f"All {captured.found} predictions are captured on S3.")
    right = running.post_labels(settings, summary, 0.0, LABEL_ACCURACY[scenario])
    console.print(labels_sentence(len(summary.predicted), right))
    results = _wait_for_result(settings, s3, version, began, datetime.now(UTC))
    print_result(results[0])
    statuses = {result.status for result in results}
    if results[0].status != expected or (expected == "ok" and "drift" in statuses):
        raise ModelwatchError(
            f"{scenario} traffic should have the status '{expected}', "
            f"and was with '{results[0].status}'"
        )


def _wait_for_result(
    settings: Settings, s3: Any, version: ModelVersion, began: datetime, captured: datetime
) -> list[AnalysisResult]:
    """Return the version's results since ``began``, newest first, once one covers ``captured``."""
    from modelwatch.adapters.results.reports import S3ReportStore

    store = S3ReportStore(s3, settings.report_bucket)
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
        if not wait_until(analyzed, SCHEDULE_PATIENCE_SECONDS, every_seconds=1):
            raise ModelwatchError(
                f"the schedule ({schedule}) ran no analysis within "
                f"{SCHEDULE_PATIENCE_SECONDS} s; see `modelwatch logs analyze`"
            )
    return found


def _chapter(title: str) -> None:
    console.print(f"\n[bold]== {title}[/bold]")
