"""Errors of a regression without labels: what is learned, stored, summed up and said."""

import zlib
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.outcomes import S3OutcomeStore
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.performance import S3PerformanceStore
from modelwatch.domain.performance.encoding import HourPerformance, decode_hour, encode_hour
from modelwatch.domain.performance.expected import ExpectedLosses
from modelwatch.domain.performance.loss_estimation import estimate_errors, expected_metrics
from modelwatch.domain.performance.losses import (
    MISSING,
    LossModel,
    decode_loss_model,
    encode_loss_model,
)
from modelwatch.domain.performance.profile import PerformanceProfile, merge_performance
from modelwatch.domain.performance.results import PerformancePolicy
from modelwatch.domain.performance.rows import outcomes
from modelwatch.domain.windows import Window
from modelwatch.errors import ProfileFormatError
from modelwatch.metric_names import CATALOG
from modelwatch.services.performance import PerformanceMonitor
from modelwatch.services.performance_samples import performance_samples
from modelwatch_training.losses import learn_losses, losses_of
from wine_records import wine_record

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(hours=3))


def drawn(rows, seed=0, bad=0.3):
    """Return features, predictions and labels: errors are ten times as large for ``diesel``."""
    draw = np.random.default_rng(seed)
    age = draw.normal(size=rows)
    fuel = np.where(draw.random(rows) < bad, "diesel", "gas")
    labels = 10 * age + np.where(fuel == "diesel", 10.0, 1.0) * draw.normal(size=rows)
    return {"age": age.tolist(), "fuel": fuel.tolist()}, (10 * age).tolist(), labels.tolist()


@pytest.fixture(scope="module")
def model():
    learned = learn_losses(*drawn(4000))
    assert isinstance(learned, LossModel)
    return learned


def matrix_of(model, columns, predictions):
    values = {**columns, "": predictions}
    return np.column_stack([each.numbers(values[each.name]) for each in model.features])


@pytest.mark.parametrize("bad", [0.3, 0.9, 0.0])
def test_the_estimate_follows_the_rows_and_its_interval_holds_what_labels_show(model, bad):
    columns, predictions, labels = drawn(5000, seed=1, bad=bad)
    errors = np.subtract(predictions, labels)
    losses = ExpectedLosses.of(model, matrix_of(model, columns, predictions)[:1000], 5000)
    estimates, metrics = expected_metrics(losses)
    for name, true in {
        "mae": np.abs(errors).mean(),
        "rmse": np.sqrt((errors**2).mean()),
    }.items():
        assert estimates[name].low <= true <= estimates[name].high
        assert estimates[name].value == pytest.approx(true, rel=0.2, abs=0.3)
    assert metrics["r2"] == pytest.approx(1 - (errors**2).mean() / np.var(labels), abs=0.15)
    assert metrics["bias"] == pytest.approx(errors.mean(), abs=0.6)


def test_an_alarm_needs_the_whole_interval_above_the_threshold(model):
    def alarms(rows, bad):
        columns, predictions, _ = drawn(rows, seed=2, bad=bad)
        losses = ExpectedLosses.of(model, matrix_of(model, columns, predictions), rows)
        found = estimate_errors(losses, model, 20)
        assert found.status == "ok"
        return found.alarms

    assert alarms(2000, 0.3) == ()
    assert "mae" in alarms(2000, 0.9)
    # so few rows leave the interval too wide
    assert alarms(20, 0.5) == ()


def test_the_same_rows_give_the_same_bytes_which_are_read_back(model):
    payload = encode_loss_model(model)
    assert payload == encode_loss_model(learn_losses(*drawn(4000)))
    assert decode_loss_model(payload) == model
    assert len(payload) < 1_000_000


@pytest.mark.parametrize(
    "change",
    [
        {"left": b""},
        {"columns": b"\1\0\0"},
        {"groups": 1},
        {"format": 9},
        {"roots": np.array([-1] * 40, "<i4").tobytes()},
        {"features": ()},
    ],
)
def test_arrays_that_are_no_trees_are_refused(model, change):
    damaged = msgspec.structs.replace(model, **change)
    with pytest.raises(ProfileFormatError):
        decode_loss_model(encode_loss_model(damaged))


def test_a_tree_that_leads_back_to_itself_is_refused(model):
    left = np.frombuffer(model.left, "<i4").copy()
    left[0] = 0
    damaged = msgspec.structs.replace(model, left=left.tobytes())
    with pytest.raises(ProfileFormatError, match="no trees"):
        decode_loss_model(encode_loss_model(damaged))
    for payload in (b"", b"no zlib", zlib.compress(b"no msgpack")):
        with pytest.raises(ProfileFormatError):
            decode_loss_model(payload)


def test_odd_values_have_a_place():
    columns, predictions, labels = drawn(500)
    columns["age"][:3] = [None, 1e300, True]
    columns["fuel"][:2] = [None, "hydrogen"]
    columns["empty"] = [None] * 500
    predictions[3], labels[4] = None, None
    model = learn_losses(columns, predictions, labels)
    assert [each.name for each in model.features] == ["age", "fuel", ""]
    assert model.rows == 498
    fine, coarse = model.losses(matrix_of(model, columns, predictions))
    assert np.isfinite(fine).all()
    assert np.isfinite(coarse).all()
    age = model.features[0]
    assert age.numbers([None, "text", float("inf")]).tolist() == [MISSING, MISSING, 1e38]


@pytest.mark.parametrize(
    ("rows", "given", "reason"),
    [
        ([1.5] * 150, None, "no labels of the test rows were given"),
        ([1.5] * 99, [1.0] * 99, "99 test rows with a number"),
        ([1.5] * 150, ["red"] * 150, "0 test rows with a number"),
        ([1, 0] * 75, [1, 0] * 75, ""),
        (["red"] * 150, ["red"] * 150, ""),
    ],
)
def test_why_nothing_is_learned(rows, given, reason):
    table = records_table([wine_record(prediction=value) for value in rows])
    if given is not None:
        table = table.append_column("label", [given])
    found = losses_of(table)
    assert isinstance(found, str)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_sums_of_hours_add_up_and_are_kept(model):
    columns, predictions, _ = drawn(600, seed=3)
    matrix = matrix_of(model, columns, predictions)
    whole = ExpectedLosses.of(model, matrix, 600)
    profiles = [
        PerformanceProfile.of(
            outcomes(predictions[part], [None] * 300),
            losses=ExpectedLosses.of(model, matrix[part], 300),
        )
        for part in (slice(300), slice(300, 600))
    ]
    kept = [
        decode_hour(encode_hour(HourPerformance({"": each}, "", "", ()))).variants[""]
        for each in profiles
    ]
    merged = merge_performance([*kept, PerformanceProfile()]).losses
    assert (merged.rows, merged.sampled) == (600, 600)
    np.testing.assert_allclose(merged.sums, whole.sums)
    np.testing.assert_allclose(merged.predictions, whole.predictions)
    assert merged.known.tolist() == whole.known.tolist()


def test_hours_that_were_kept_before_have_no_expectation():
    payload = encode_hour(HourPerformance({"": PerformanceProfile(records=3)}, "c", "l", ()))
    document = msgspec.msgpack.decode(zlib.decompress(payload))
    document[-1] = {name: profile[:7] for name, profile in document[-1].items()}
    old = decode_hour(zlib.compress(msgspec.msgpack.encode(document)))
    assert (old.variants[""].records, old.variants[""].losses) == (3, None)


class Stage:
    def __init__(self):
        self.s3 = InMemoryS3()
        self.monitor = PerformanceMonitor(
            outcomes=S3OutcomeStore(self.s3, "bucket"),
            profiles=S3PerformanceStore(self.s3, "bucket"),
            policy=PerformancePolicy(min_labels=20),
            refresh_seconds=0,
            clock=NOW.timestamp,
        )

    def capture(self, columns, predictions, objects=1):
        made = [
            wine_record(
                captured_at=START + timedelta(seconds=number),
                variant="production",
                features={name: values[number] for name, values in columns.items()},
                prediction=prediction,
            )
            for number, prediction in enumerate(predictions)
        ]
        for part in range(objects):
            S3RecordStore(self.s3, "bucket").write(made[part::objects])
        return made

    def estimated(self, model):
        return self.monitor.evaluate("wine", "1", WINDOW, losses=model).verdict.estimated


def test_captures_are_looked_at_in_bounded_samples_whatever_the_objects(model):
    columns, predictions, labels = drawn(2500, seed=4)
    one, many = Stage(), Stage()
    made = one.capture(columns, predictions)
    for part in range(5):
        # the same records in several objects, some of them twice
        S3RecordStore(many.s3, "bucket").write(made[part * 500 : part * 500 + 700])
    found, again = one.estimated(model), many.estimated(model)
    assert (found.status, found.rows, found.calibration) == ("ok", 2500, "reference")
    true = np.abs(np.subtract(predictions, labels)).mean()
    assert found.mae.low <= true <= found.mae.high
    assert again.mae.value == pytest.approx(found.mae.value)
    sums = one.monitor._profiles.load("wine", "1", [START])[START].variants["production"].losses
    assert (sums.rows, sums.sampled) == (2500, 1000)
    result = one.monitor.evaluate("wine", "1", WINDOW, losses=model)
    emitted = performance_samples(result)
    assert {each.name for each in emitted} >= {
        "model_estimated_mean_absolute_error",
        "model_estimated_root_mean_squared_error",
        "model_estimated_bound",
    }
    for sample in emitted:
        assert tuple(sample.labels) == CATALOG[sample.name].labels


def test_hours_that_were_summed_up_without_the_model_are_read_once_more(model):
    stage = Stage()
    columns, predictions, _ = drawn(50, seed=5)
    stage.capture(columns, predictions)
    assert stage.estimated(None).status == "unknown"
    assert stage.estimated(model).status == "ok"
    stage.s3.calls.clear()
    assert stage.estimated(model).status == "ok"
    assert sum(call == "get" for call in stage.s3.calls) <= 1


@pytest.mark.parametrize(
    ("fuel", "reason"),
    [
        (None, "the captures have no value that the reference has of fuel"),
        ("3f2a", "the captures have no value that the reference has of fuel"),
    ],
)
def test_features_that_are_kept_back_or_hashed_allow_no_estimate(model, fuel, reason):
    stage = Stage()
    columns, predictions, _ = drawn(50, seed=5)
    columns["fuel"] = [fuel] * 50
    stage.capture(columns, predictions)
    assert stage.estimated(model).reason == reason
    del columns["fuel"]
    other = Stage()
    other.capture(columns, predictions)
    assert other.estimated(model).reason == reason
