"""What the models of the benchmark have before the run: captures, baselines, monitors."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context

import numpy as np

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.domain.baselines import Baseline, CapturedWindow
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.monitors import Monitor, MonitorSet
from modelwatch.domain.profiles import merge_profiles
from modelwatch.domain.records import Record
from modelwatch.domain.windows import Window
from modelwatch_cli.console import counting
from modelwatch_cli.settings import Settings

FEATURES = 5
HOUR = timedelta(hours=1)
DRIFTS_EVERY = 200
PROCESSES = 2


def names(models: int) -> list[str]:
    return [f"model-{number:04}" for number in range(models)]


def records(name: str, start: datetime, rows: int, seed: int, shift: float) -> list[Record]:
    """Return an hour's records of a model, in the order of time."""
    generator = np.random.default_rng(seed)
    values = (generator.normal(size=(rows, FEATURES)) + shift).round(4)
    times = [start + HOUR * number / rows for number in range(rows)]
    return [
        Record(
            event_id=new_event_id(int(at.timestamp() * 1000)),
            captured_at=at,
            model_name=name,
            model_version="1",
            features={f"feature_{place}": value for place, value in enumerate(row)},
            prediction=index % 2,
        )
        for index, (at, row) in enumerate(zip(times, values.tolist(), strict=True))
    ]


def store_models(settings: Settings, models: int, rows: int, objects: int, hour: datetime) -> None:
    """Store each model's captures and baseline, and the monitors of all."""
    store = partial(_store_model, rows=rows, objects=objects, hour=hour)
    with (
        ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes,
        counting("models stored") as advance,
    ):
        numbered = enumerate(names(models))
        for done, _ in enumerate(processes.map(store, numbered, chunksize=10), start=1):
            advance(done, models)
    monitors = {
        name: Monitor(
            stage=settings.stage,
            owner=f"team-{number % 20}",
            baseline="first",
            settings={"DRIFT_NUMERICAL_THRESHOLD": f"{0.2 + number % 10 / 100:.2f}"},
        )
        for number, name in enumerate(names(models))
    }
    store_of_monitors = S3MonitorStore(s3_client(settings), settings.report_bucket)
    store_of_monitors.append(MonitorSet(number=1, monitors=monitors))


def _store_model(numbered: tuple[int, str], rows: int, objects: int, hour: datetime) -> None:
    """Store captures of two hours, in ``objects`` each, and a baseline before them."""
    (number, name), settings = numbered, Settings()
    client = s3_client(settings)
    store = S3RecordStore(client, settings.capture_bucket)
    before = Window(hour - 2 * HOUR, hour - HOUR)
    store.write(records(name, before.start, rows, 3 * number, 0))
    shift = 1.5 if number % DRIFTS_EVERY == 0 else 0
    for later in (1, 2):
        made = records(name, before.start + later * HOUR, rows, 3 * number + later, shift)
        for part in range(objects):
            store.write(made[part * rows // objects : (part + 1) * rows // objects])
    found = S3ProfileStore(client, settings.capture_bucket).profiles(name, "1", before)
    profile = merge_profiles(list(found.variants.values()))
    baseline = Baseline(
        model_name=name,
        name="first",
        origin=CapturedWindow("1", before.start, before.end),
        made_at=before.end,
        rows=profile.rows,
    )
    constraints = learn_constraints(profile)
    S3BaselineStore(client, settings.report_bucket).create(baseline, profile, constraints)
