"""A regression that is only logged, in no registry: its verdicts, and what helps them on."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from analysis_stage import AnalysisStage
from apps import app_with, served
from capture_stage import capture_service
from in_memory import InMemoryMetrics, InMemoryQueue
from modelwatch import Client
from modelwatch.domain.baselines import Baseline, RollingWindow
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.verdict.results import AnalysisResult

ROWS = 400


def of_price(stage: AnalysisStage) -> AnalysisResult:
    (result,) = [each for each in stage.analyze().results if each.model_name == "price"]
    return result


@pytest.mark.parametrize(("factor", "status"), [(1.0, "ok"), (1.8, "drift")])
def test_it_is_unknown_until_its_own_past_is_its_baseline(factor, status):
    stage = AnalysisStage()
    stage.now = now = datetime.now(UTC).replace(microsecond=0)
    queue, metrics = InMemoryQueue(), InMemoryMetrics()
    service = capture_service(time.time, queue=queue, metrics=metrics)
    draw = np.random.default_rng(7)
    with (
        app_with("capture", metrics=metrics, capture_service=service) as app,
        served(app) as url,
        Client(capture=url, model_name="price", model_version="7", raises=True) as client,
    ):
        for age, times in ((timedelta(hours=20), 1.0), (timedelta(minutes=30), factor)):
            area, rooms = draw.normal(70, 15, ROWS) * times, draw.integers(1, 6, ROWS)
            client.log_batch({"area": area, "rooms": rooms}, 2000 * area, at=now - age)
    assert len(queue.records) == 2 * ROWS
    stage.store.write(queue.records)

    first = of_price(stage)
    command = "modelwatch baseline create NAME --model price --version 7 --rolling P7D"
    assert first.status == "unknown"
    assert command in first.reason

    origin = RollingWindow("P1D")
    baseline = Baseline(name="own", model_name="price", origin=origin, made_at=now, rows=ROWS)
    past = origin.before(stage.rules.plans[0].due(now, None, lag=stage.rules.lag).windows[-1])
    profile = stage.profiles.profiles("price", "7", past).variants[""]
    stage.baselines.create(baseline, profile, learn_constraints(profile), {})
    stage.baselines.use("price", "own")
    found = of_price(stage)
    assert found.status == status, found.reason
    assert ("area" in found.drifted_features) == (status == "drift")
    assert "rooms" not in found.drifted_features
