"""A run of simulated traffic: what to send, where, when; labels; and the analysis."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from modelwatch.errors import ModelwatchError
from modelwatch_cli.console import error_console, progress
from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic.captured import Captured, require_captured, wait_for_captures
from modelwatch_cli.traffic.display import watching
from modelwatch_cli.traffic.labels import send_labels, simulate_labels
from modelwatch_cli.traffic.load import LOCAL_REQUESTS, MOST_REQUESTS, LoadSummary, send_predictions
from modelwatch_cli.traffic.scenarios import SCENARIOS, draw_rows
from modelwatch_cli.traffic.schedule import Schedule

if TYPE_CHECKING:
    import pandas as pd

    from modelwatch.domain.verdict.results import AnalysisResult
    from modelwatch_cli.deployment.cloudformation.calling import Api


@dataclass(frozen=True, slots=True)
class Target:
    """A predict API.

    Attributes
    ----------
    url
        Without a slash at the end.
    auth
        What each request shows of who sends it.
    reference
        The rows from which traffic is drawn.
    most
        How many requests may be in flight at once.
    """

    url: str
    reference: pd.DataFrame
    auth: httpx.Auth | None = None
    most: int = MOST_REQUESTS


def find_target(
    settings: Settings,
    url: str | None = None,
    api_key: str | None = None,
    rows: Path | None = None,
    most: int | None = None,
    model: str | None = None,
) -> Target:
    """Return the API at ``url``, or the one that is deployed, with rows for it.

    Raises ModelwatchError when the API is not deployed, does not respond or requires a key, or
    there are no rows.

    Parameters
    ----------
    rows
        A CSV or Parquet file; by default the reference data of the version that serves.
    most
        How many requests may be in flight at once; by default few on a stack of this machine.
    model
        One of those that the API serves by name; by default its default model. ``settings`` are
        those of this model.
    """
    from modelwatch_cli.deployment.cloudformation.calling import find_apis, foreign_api, predict_api
    from modelwatch_cli.traffic.reference import file_features, reference_features

    key = api_key or settings.predict_api_key
    if url:
        api = foreign_api(settings, url.rstrip("/").removesuffix("/predict"), key)
    else:
        api = find_apis(settings, ["predict"])["predict"]
    api = predict_api(api, model)
    is_local = bool(settings.aws_endpoint_url) and not url
    most = most or (LOCAL_REQUESTS if is_local else MOST_REQUESTS)
    _require_api(api)
    if rows is not None:
        return Target(api.url, file_features(rows, api.url, api.auth), api.auth, most)
    try:
        return Target(api.url, reference_features(settings), api.auth, most)
    except ModelwatchError as error:
        if url is None:
            raise
        raise ModelwatchError(
            f"{error}; give rows to draw from with --rows FILE, or the registry's address "
            "with MLFLOW_TRACKING_URI"
        ) from error


def _require_api(api: Api) -> None:
    """Return if the API accepts requests; an idle one has started then.

    The status does not matter: other APIs than ours do not have this route.
    """
    with error_console.status(f"waking {api.url}"):
        try:
            status = httpx.get(f"{api.url}/health", auth=api.auth, timeout=60).status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ModelwatchError(f"{api.url} does not respond: {error}") from error
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        given = "another key or signer than the one given" if api.auth else "a key: --api-key"
        raise ModelwatchError(f"{api.url} returns {status}: it requires {given}")


def send_traffic(
    target: Target,
    scenario: str,
    schedule: Schedule,
    seed: int | None = None,
    *,
    keep: bool = True,
    quiet: bool = False,
) -> LoadSummary:
    """Send rows of ``scenario`` by ``schedule``, and show the progress.

    ``keep``: keep each returned prediction, for labels or to find it on S3.
    """
    chosen = SCENARIOS[scenario]
    total = schedule.requests
    rows = draw_rows(chosen, target.reference, total, any_seed() if seed is None else seed)
    with watching(scenario, total, schedule if chosen.paced else None, quiet) as show:
        return send_predictions(
            target.url,
            rows,
            schedule.times() if chosen.paced else None,
            auth=target.auth,
            most=target.most,
            keep=keep,
            on_tick=show,
        )


def require_predictions(scenario: str, summary: LoadSummary) -> None:
    """Return if every request got the response that the scenario expects.

    Raises ModelwatchError when one did not, or none was sent.
    """
    wrong = set(summary.statuses) - SCENARIOS[scenario].statuses
    if wrong:
        raise ModelwatchError(f"not every request got a prediction: {summary.first_problem[:300]}")
    if not summary.predictions:
        raise ModelwatchError("no request got a prediction")


def post_labels(
    settings: Settings,
    summary: LoadSummary,
    delay_seconds: float,
    accuracy: float,
    seed: int | None = None,
) -> int:
    """Post labels for the returned predictions; return how many labels equal the prediction.

    Raises ModelwatchError when the capture API is not deployed, or does not accept the labels.
    """
    from modelwatch_cli.deployment.cloudformation.calling import open_client

    predictions = [each.prediction for each in summary.predicted]
    labels = simulate_labels(predictions, accuracy, any_seed() if seed is None else seed)
    with open_client(settings, "capture") as client, progress() as bar:
        task = bar.add_task("labels", total=len(labels))
        send_labels(
            client, summary.predicted, labels, delay_seconds, lambda count: bar.advance(task, count)
        )
    return sum(prediction == label for prediction, label in zip(predictions, labels, strict=True))


def require_on_s3(settings: Settings, summary: LoadSummary) -> Captured:
    """Wait until all predictions are on S3; raises ModelwatchError if one is missing."""
    captured = wait_for_captures(settings, summary.predicted, summary.began)
    require_captured(captured)
    return captured


def analyze_traffic(
    settings: Settings, summary: LoadSummary, newest: int | None = None
) -> list[AnalysisResult]:
    """Analyze the window of the returned predictions; return the results of their versions.

    Raises ModelwatchError when the analyze API is not deployed, or cannot analyze it.

    Parameters
    ----------
    newest
        Only the window of this number of last predictions. Windows are whole minutes, rounded
        outward: they include other traffic of the same minutes.
    """
    from modelwatch_cli.monitoring.commands import analyze_window

    if not summary.predicted:
        raise ModelwatchError("there is nothing to analyze: the API returned no event ids")
    times = sorted(_predicted_at(each.predicted_at) for each in summary.predicted)
    began, ended = times[-newest if newest and newest < len(times) else 0], times[-1]
    lag = timedelta(seconds=settings.analysis_lag_seconds)
    # so that the window up to now holds the last one, and the metrics are those of this analysis
    time.sleep(max(0.0, (ended + lag - datetime.now(UTC)).total_seconds() + 1))
    length = window_seconds(began, datetime.now(UTC) - lag)
    versions = {(each.model_name, each.model_version) for each in summary.predicted}
    names = {name for name, _ in versions}
    return [
        result
        # so that another model's trouble is not this one's
        for result in analyze_window(length, names.pop() if len(names) == 1 else None)
        if (result.model_name, result.model_version) in versions and not result.variant
    ]


def window_seconds(began: datetime, end: datetime) -> int:
    """Return the length of a window that ends about ``end`` and holds ``began``.

    Windows are rounded outward to whole minutes, so the window may start anywhere in the minute
    of ``began``. It starts two seconds into that minute: the function's clock may be behind this
    one, and most of a minute may pass until it reads its clock.

    Examples
    --------
    >>> minute = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    >>> window_seconds(minute + timedelta(seconds=55), minute + timedelta(seconds=90))
    88
    """
    minute = began.replace(second=0, microsecond=0)
    return max(1, math.floor((end - minute).total_seconds()) - 2)


def any_seed() -> int:
    """Return a seed that no one chose."""
    return time.time_ns() % 2**32


def _predicted_at(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise ModelwatchError(f"the API's timestamp '{text}' is no time in ISO 8601") from error
