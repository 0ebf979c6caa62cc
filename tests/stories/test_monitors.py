"""Three models at once on the real stack, each with its own monitor: one drifts, two stay quiet.

A classifier that our predict serves by its name, a regression behind FastAPI, and a nightly table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

import modelwatch
from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.profiles import merge_profiles
from modelwatch.domain.verdict.results import ResultName
from modelwatch.domain.windows import Window
from modelwatch.sdk.exchange import Capture
from modelwatch.sdk.middleware import CaptureASGI
from modelwatch_cli.deployment.cloudformation.calling import open_client
from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic.reference import reference_features
from running_stack import RunningStack
from waiting import eventually
from web import asgi_served

pytestmark = pytest.mark.servers

DAY = timedelta(days=1)
END = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = 4
ROWS = 150
CLASSIFIER, PRICE, SCORES = "three_wines", "price of flats", "three_scores"
MODELS = (CLASSIFIER, PRICE, SCORES)


@pytest.fixture
def stack(stack: RunningStack) -> Iterator[RunningStack]:
    """The shared stack, whose predict serves the classifier beside its default model.

    Its rule does not fire meanwhile: the runs of the schedule are those of the test.
    """
    stack.know_model()
    theirs = replace(stack, environ={**stack.environ, "MODEL_NAME": CLASSIFIER})
    theirs.json("train")
    changed = {"MODELS": CLASSIFIER, "ANALYSIS_SCHEDULE": "rate(1 day)"}
    stack = replace(stack, environ={**stack.environ, **changed})
    stack.json("deploy")
    yield stack
    held = stack.json("monitors", "list")["monitors"]
    if mine := [each["model_name"] for each in held if each["model_name"] in MODELS]:
        stack.text("monitors", "remove", *mine)


def flats(day: int, rows: int = ROWS) -> dict[str, Any]:
    """Return flats and their prices as of a day; the last day has areas in square feet."""
    rng = np.random.default_rng(day)
    area = rng.normal(70, 12, rows)
    price = 2000 * area
    return {"area": area * (10.8 if day == DAYS else 1), "rooms": rng.integers(1, 6, rows)}, price


def scores(day: int) -> dict[str, Any]:
    """Return a night's scores, as the table has them."""
    rng = np.random.default_rng(100 + day)
    income, kind = rng.lognormal(8, 0.4, ROWS), rng.choice(["a", "b"], ROWS)
    return {"income": income, "kind": kind, "score": 0.4 + 0.1 * (kind == "a")}


def test_three_models_each_by_its_own_monitor(
    stack: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = stack.json("env")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = Settings(variables)
    urls = stack.json("urls")
    _serve(urls, settings)
    _log_history(urls["capture API"], settings)
    profiles = S3ProfileStore(s3_client(settings), settings.capture_bucket)
    rows = {CLASSIFIER: ("1", DAYS * ROWS), PRICE: ("7", DAYS * ROWS), SCORES: ("n", DAYS * ROWS)}
    window = Window(END - DAYS * DAY, END)
    for name, (version, count) in rows.items():
        eventually(
            lambda name=name, version=version, count=count: merge_profiles(
                list(profiles.profiles(name, version, window).variants.values())
            ).rows == count
        )  # fmt: skip

    first = (
        "--since",
        f"{END - DAYS * DAY:%Y-%m-%d}",
        "--until",
        f"{END - (DAYS - 1) * DAY:%Y-%m-%d}",
    )
    for name in (PRICE, SCORES):
        # no registry knows the version: it is the one that was captured
        made = stack.json("baseline", "create", "first", "--model", name, *first)
        assert made["rows"] == ROWS
    _write_monitors(stack, tmp_path)
    assert f"{len(MODELS)} monitors are valid" in stack.text("monitors", "validate", str(tmp_path))
    planned = stack.json("monitors", "plan", str(tmp_path))
    assert {each["model_name"] for each in planned["models"]} >= {*MODELS}
    applied = stack.json("monitors", "apply", str(tmp_path))
    again = stack.json("monitors", "apply", str(tmp_path))
    assert (again["number"], again["changes"]) == (applied["number"], [])

    verdicts = [_run_schedule(stack, END - back * DAY) for back in (2, 1, 0)]
    quiet = dict.fromkeys(MODELS, "ok")
    assert verdicts == [quiet, quiet, {**quiet, PRICE: "drift"}]
    _what_a_monitor_names_is_kept(stack)
    _plan_says_what_then_happens(stack, settings, tmp_path)
    _capture_follows_a_monitor(stack, settings, tmp_path, urls["capture API"])


def _serve(urls: dict[str, str], settings: Settings) -> None:
    """Predict by name, and by an application of someone else's."""
    rows = reference_features(settings.changed({"MODEL_NAME": CLASSIFIER})).to_dict("records")
    with modelwatch.Client(predict=f"{urls['predict API']}/models/{CLASSIFIER}") as client:
        assert client.model_info()["model_name"] == CLASSIFIER
        assert client.predict(rows[0]).model_name == CLASSIFIER
        assert len(client.predict_batch(rows[:5]).predictions) == 5
    address = f"{urls['predict API']}/models/{SCORES}/predict"
    unknown = httpx.post(address, json={"features": []}, timeout=60)
    assert unknown.status_code == 404
    served = httpx.get(f"{urls['predict API']}/models", timeout=60).json()["models"]
    assert [each["model_name"] for each in served] == ["wine_quality_model", CLASSIFIER]
    app = FastAPI()
    client = modelwatch.Client(capture=urls["capture API"], model_name=PRICE, model_version="7")
    app.add_middleware(CaptureASGI, client=client, capture=Capture("/price"))

    @app.post("/price")
    def price(body: dict[str, Any]) -> dict[str, float]:
        return {"prediction": 2000 * body["area"]}

    with client, asgi_served(app) as url:
        for area in (50.0, 60.0):
            body = {"area": area, "rooms": 2}
            said = httpx.post(f"{url}/price", json=body, timeout=60).json()
            assert said == {"prediction": 2000 * area}
        assert client.flush(60)
    assert client.log_counts().predictions.sent == 2


def _log_history(capture: str, settings: Settings) -> None:
    """Log the last days, as of their times, of what serves elsewhere and of the classifier."""
    reference = reference_features(settings.changed({"MODEL_NAME": CLASSIFIER}))
    logs = {
        name: modelwatch.Client(
            capture=capture, model_name=name, model_version=version, raises=True
        )
        for name, version in ((CLASSIFIER, "1"), (PRICE, "7"), (SCORES, "n"))
    }
    for day in range(1, DAYS + 1):
        noon = END - (DAYS - day) * DAY - DAY / 2
        at = [noon + timedelta(seconds=second) for second in range(ROWS)]
        wines = reference.sample(ROWS, replace=True, random_state=day)
        logs[CLASSIFIER].log_batch(wines, np.arange(ROWS) % 3, at=at)
        logs[PRICE].log_batch(*flats(day), at=at)
        logs[SCORES].log_batch(scores(day), "score", at=at)
    for log in logs.values():
        with log:
            assert log.flush(60)


def _write_monitors(stack: RunningStack, folder: Path) -> None:
    rules = 'analysis_windows = "P1D/P1D"\nanalysis_history_days = 0\ndrift_mode = "classic"\n'
    own = {
        CLASSIFIER: "drift_numerical_threshold = 0.6\n",
        PRICE: 'analysis_verdict_rule = "any"\ndrift_numerical_threshold = 0.4\n'
        "performance_min_labels = 7\nanalysis_min_rows = 60\n",
        SCORES: "drift_numerical_threshold = 0.5\n",
    }
    for name in MODELS:
        made = Path(stack.json("monitors", "init", name, "--folder", str(folder))["file"])
        text = made.read_text()
        if name != CLASSIFIER:
            text = text.replace('# baseline = "training"', 'baseline = "first"')
        made.write_text(
            text.replace('# owner = "team"', f'owner = "team {name}"') + rules + own[name]
        )


def _what_a_monitor_names_is_kept(stack: RunningStack) -> None:
    theirs = ("--model", PRICE)
    assert stack.json("baseline", "list", *theirs)["in_use"] == "first"
    found = stack.json("performance", *theirs, "--until", END.isoformat())
    assert "7 are needed" in found["verdict"]["reason"]
    assert "60 are needed" in stack.json("compare", "7", "8", *theirs)["sentence"]
    for command in (("delete", "first"), ("use", "training")):
        refused = stack.run("baseline", *command, *theirs)
        assert (refused.returncode, "names the baseline 'first'" in refused.stderr) == (1, True)


def _plan_says_what_then_happens(stack: RunningStack, settings: Settings, folder: Path) -> None:
    def verdict() -> Any:
        with open_client(settings, "analyze") as client:
            found = client.analyze(model_name=PRICE, window_end=END, window_seconds=86_400)
        (result,) = found.results
        return result

    assert (verdict().status, verdict().owner) == ("drift", f"team {PRICE}")
    file = folder / f"{PRICE}.toml"
    file.write_text(file.read_text().replace("threshold = 0.4", "threshold = 1000"))
    (plan,) = stack.json("monitors", "plan", str(folder), "--since", "P7D")["models"]
    (series,) = plan["series"]
    assert (plan["model_name"], plan["notes"]) == (PRICE, [])
    assert plan["sentences"] == [
        "version 7, P1D, 3 windows: 1 alarm becomes 0",
        f"  the drift of {END:%Y-%m-%d %H:%M} is not found",
    ]
    assert [each["other"]["status"] for each in series["windows"]] == ["ok"] * 3
    stack.text("monitors", "apply", str(folder))
    assert verdict().status == "ok"  # nothing was deployed
    stack.text("monitors", "rollback")
    assert verdict().status == "drift"


def _capture_follows_a_monitor(
    stack: RunningStack, settings: Settings, folder: Path, capture: str
) -> None:
    with (folder / f"{SCORES}.toml").open("a") as file:
        file.write('analysis_segments = "kind"\n[constraints.income]\nmissing = false\n')
        file.write("range = { minimum = 0, maximum = 1, allowed_share = 0 }\n")
    stack.text("monitors", "apply", str(folder))

    def judged() -> tuple[list[str], list[str]]:
        with modelwatch.Client(
            capture=capture, model_name=SCORES, model_version="n", raises=True
        ) as log:
            log.log_batch(scores(DAYS + 1), "score")
        with open_client(settings, "analyze") as client:
            found = client.analyze(model_name=SCORES, window_seconds=86_400)
        (result,) = found.results
        segments = [each.name for each in result.segments]
        return segments, [each.check for each in result.quality.violations]

    # what was read holds for 15 seconds
    eventually(lambda: judged() == (["kind=a", "kind=b"], ["range"]))


def _run_schedule(stack: RunningStack, end: datetime) -> dict[str, str]:
    """Invoke the function as the rule does after the day's end; return the verdicts."""
    payload = stack.run_planned("analyze", end + timedelta(minutes=10))
    assert not {*payload["failures"]} & {*MODELS}, payload
    assert payload["sent"] >= len(MODELS), "each by a message"
    reports = S3ReportStore(stack.client("s3"), Settings(stack.json("env")).report_bucket)
    found = {}
    for name in MODELS:
        scheduled = [each for each in reports.names(name, end, end) if not _is_ad_hoc(each)]
        (result,) = map(reports.result, scheduled)
        found[name] = result.status
    return found


def _is_ad_hoc(name: str) -> bool:
    parsed = ResultName.parse(name)
    return bool(parsed and parsed.ad_hoc)
