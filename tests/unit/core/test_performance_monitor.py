"""The performance monitor on stored captures and labels, held against scikit-learn."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.outcomes import S3OutcomeStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.performance import S3PerformanceStore
from modelwatch.domain.event_ids import derived_event_id, new_event_id
from modelwatch.domain.labels import Label, newest
from modelwatch.domain.numbers import rounded
from modelwatch.domain.performance.results import PerformancePolicy
from modelwatch.domain.records import Record
from modelwatch.domain.sampling import is_sampled
from modelwatch.domain.windows import Window
from modelwatch.metric_names import CATALOG
from modelwatch.services.performance import PerformanceMonitor
from modelwatch.services.performance_samples import performance_samples
from wine_records import wine_record

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
HOURS = 3
WINDOW = Window(START, START + timedelta(hours=HOURS))
V4 = "3c4b2f2e-9a4e-4f6c-8d2b-1f0e2d3c4b5a"


class Stage:
    """Captures and labels in memory, and a monitor that looks at them."""

    def __init__(self):
        self.s3 = InMemoryS3()
        self.records = S3RecordStore(self.s3, "bucket")
        self.labels = S3LabelStore(self.s3, "bucket")
        self.now = NOW
        self.random = np.random.default_rng(1)

    def monitor(self, **changes):
        options = {
            "policy": PerformancePolicy(min_labels=20),
            "refresh_seconds": 0,
            "clock": lambda: self.now.timestamp(),
        }
        return PerformanceMonitor(
            outcomes=S3OutcomeStore(self.s3, "bucket"),
            profiles=S3PerformanceStore(self.s3, "bucket"),
            **{**options, **changes},
        )

    def predict(self, count=90, start=START, hours=HOURS, **changes):
        """Capture predictions of two classes over some hours; return them."""
        made = []
        for number in range(count):
            at = start + timedelta(hours=hours) * number / count
            p = float(self.random.random())
            fields = {
                "captured_at": at,
                "variant": "production",
                "prediction": int(p > 0.5),
                "probabilities": [1 - p, p],
            }
            made.append(wine_record(**(fields | changes)))
        self.capture(made)
        return made

    def capture(self, records):
        hours = {}
        for record in records:
            hours.setdefault(
                record.captured_at.replace(minute=0, second=0, microsecond=0), []
            ).append(record)
        for group in hours.values():
            self.records.write(group)

    def label(self, records, values, days=1, **changes):
        """Store labels for predictions, as the consumer would."""
        hours = {}
        for record, value in zip(records, values, strict=True):
            fields = {
                "event_id": record.event_id.lower(),
                "label": value,
                "labelled_at": record.captured_at + timedelta(days=days),
                "predicted_at": record.captured_at,
            }
            label = Label(**{**fields, **changes})
            hours.setdefault(label.hour, []).append(label)
        for group in hours.values():
            self.labels.write(newest(group))

    def truth(self, records):
        return [int(self.random.random() < record.probabilities[1]) for record in records]

    def reads(self):
        """Return how many objects with rows were read since the last call."""
        count = sum(call == "get" for call in self.s3.calls)
        self.s3.calls.clear()
        return count


@pytest.fixture
def stage():
    return Stage()


def values(result):
    return {name: estimate.value for name, estimate in result.verdict.metrics.items()}


def expected(records, truth):
    predicted = [record.prediction for record in records]
    probabilities = [record.probabilities[1] for record in records]
    return {
        "accuracy": sk.accuracy_score(truth, predicted),
        "precision": sk.precision_score(truth, predicted, average="macro"),
        "recall": sk.recall_score(truth, predicted, average="macro"),
        "f1": sk.f1_score(truth, predicted, average="macro"),
        "roc_auc": pytest.approx(sk.roc_auc_score(truth, probabilities), abs=1e-4),
        "log_loss": sk.log_loss(truth, probabilities),
    }


def test_labels_that_come_late_twice_and_corrected_give_the_numbers_of_scikit_learn(stage):
    records = stage.predict()
    truth = stage.truth(records)
    wrong = [1 - each for each in truth]
    monitor = stage.monitor()
    assert monitor.evaluate("wine", "1", WINDOW).verdict.status == "unknown"
    stage.label(records[:60], truth[:60])
    stage.label(records[:60], truth[:60])
    stage.label(records[40:70], wrong[40:70])
    first = monitor.evaluate("wine", "1", WINDOW)
    assert (first.records, first.labelled) == (90, 70)
    stage.label(records[40:], truth[40:], days=3)
    result = monitor.evaluate("wine", "1", WINDOW)
    assert values(result) == pytest.approx(expected(records, truth))
    assert (result.labelled, result.maturity, result.verdict.task) == (90, 1.0, "classification")
    assert [(each.records, each.labelled) for each in result.hours] == [(30, 30)] * 3
    # another monitor finds the same, whatever order the objects come in
    assert stage.monitor().evaluate("wine", "1", WINDOW).verdict == result.verdict


def test_what_was_summed_up_is_not_read_again_until_its_labels_change(stage):
    records = stage.predict()
    truth = stage.truth(records)
    stage.label(records, truth)
    monitor = stage.monitor()
    monitor.evaluate("wine", "1", WINDOW)
    stage.reads()
    monitor.evaluate("wine", "1", WINDOW)
    # a day of sums, and one of what is known of its labels
    assert stage.reads() == 2
    stage.label(records[:1], [1 - truth[0]], days=2)
    corrected = monitor.evaluate("wine", "1", WINDOW)
    # of one hour: captures, two objects of labels, and for unknown ids the captures of the next
    # hour, where a prediction of this one may be; each day is read once more before it is written
    assert stage.reads() == 2 + 4 + 2
    assert values(corrected) == pytest.approx(expected(records, [1 - truth[0], *truth[1:]]))


def test_labels_that_keep_coming_do_not_have_an_hour_read_at_every_result(stage):
    records = stage.predict()
    truth = stage.truth(records)
    stage.label(records[:50], truth[:50])
    monitor = stage.monitor(refresh_seconds=900)
    assert monitor.evaluate("wine", "1", WINDOW).outdated_hours == 0
    stage.label(records[50:], truth[50:])
    soon = monitor.evaluate("wine", "1", WINDOW)
    assert (soon.labelled, soon.outdated_hours) == (50, 2)
    stage.now += timedelta(minutes=15)
    later = monitor.evaluate("wine", "1", WINDOW)
    assert (later.labelled, later.outdated_hours) == (90, 0)


def test_ids_that_no_one_captured_are_counted_apart(stage):
    records = stage.predict()
    stage.label(records, stage.truth(records))
    strangers = [
        Record(**{name: getattr(record, name) for name in Record.__struct_fields__})
        for record in records[:7]
    ]
    for record in strangers:
        record.event_id = new_event_id(record.captured_at_ms)
    stage.label(strangers, [1] * 7)
    others = stage.predict(20, model_version="2")
    stage.label(others, [1] * 20)
    result = stage.monitor().evaluate("wine", "1", WINDOW)
    assert (result.labels, result.unknown_labels) == (117, 7)
    assert result.labelled == 90


def test_a_prediction_at_the_edge_of_an_hour_finds_its_label_by_the_time_in_its_id(stage):
    records = stage.predict()
    edge = START + timedelta(hours=1)
    for number in range(30):
        before = int(edge.timestamp() * 1000) - 5 - number
        records += stage.predict(1, edge, 1, event_id=new_event_id(before))
    truth = stage.truth(records)
    for record, label in zip(records, truth, strict=True):
        id_time = datetime.fromtimestamp(int(record.event_id.replace("-", "")[:12], 16) / 1000, UTC)
        stage.label([record], [label], predicted_at=id_time)
    result = stage.monitor().evaluate("wine", "1", WINDOW)
    assert (result.labelled, result.unknown_labels) == (120, 0)
    assert values(result) == pytest.approx(expected(records, truth))


def test_ids_without_a_time_are_found_by_the_time_that_was_given(stage):
    records = stage.predict(1, event_id=V4.upper())
    stage.label(records, [1])
    result = stage.monitor().evaluate("wine", "1", WINDOW)
    assert (result.records, result.labelled, result.unknown_labels) == (1, 1, 0)


def test_what_is_true_of_a_prediction_is_true_of_its_shadow(stage):
    records = stage.predict()
    truth = stage.truth(records)
    stage.label(records, truth)
    shadows = []
    for record in records:
        shadows += stage.predict(
            1,
            record.captured_at,
            event_id=derived_event_id(record.event_id, "challenger"),
            model_version="2",
            variant="challenger",
        )
    result = stage.monitor().evaluate("wine", "2", WINDOW)
    assert values(result) == pytest.approx(expected(shadows, truth))
    assert result.unknown_labels == 0


def test_hours_in_which_nothing_says_the_classes_learn_it_from_the_others(stage, monkeypatch):
    """Of a rare class there are hours without a prediction or a label."""
    monkeypatch.setattr("modelwatch.services.performance._BYTES_AT_ONCE", 1)
    rare = []
    for hour in range(HOURS):
        for minute in range(30):
            p = 0.01 * (minute + 1) if hour != 1 else 0.03 * (minute + 1)
            at = START + timedelta(hours=hour, minutes=minute)
            rare += stage.predict(1, at, 0.001, prediction=int(p > 0.5), probabilities=[1 - p, p])
    truth = [int(record.probabilities[1] > 0.6) for record in rare]
    truth[35] = 1
    stage.label(rare, truth)
    monitor = stage.monitor()
    # the hours are summed up from the newest on, the one that shows it is in the middle
    first = monitor.evaluate("wine", "1", WINDOW)
    result = monitor.evaluate("wine", "1", WINDOW)
    assert first.verdict.estimated.rows < 90
    assert result.verdict.estimated.rows == 90
    found, wanted = values(result), expected(rare, truth)
    assert found["roc_auc"] == wanted["roc_auc"]
    assert found["log_loss"] == pytest.approx(wanted["log_loss"])
    stage.reads()
    monitor.evaluate("wine", "1", WINDOW)
    assert stage.reads() == 2


def test_a_reference_says_the_classes(stage):
    rare = stage.predict(40, probabilities=[0.9, 0.1], prediction=0)
    stage.label(rare, [0] * 40)
    unsaid = stage.monitor().evaluate("wine", "1", WINDOW)
    assert "which probability" in unsaid.verdict.estimated.reason
    reference = pa.table(
        {
            "prediction": [0.0, 1.0],
            "prediction_label": ["0", "1"],
            "probabilities": [[0.9, 0.1], [0.2, 0.8]],
        }
    )
    found = stage.monitor().evaluate("wine", "1", WINDOW, reference=reference)
    assert found.verdict.estimated.accuracy.value == pytest.approx(0.9)


def test_of_a_large_reference_a_part_is_enough():
    store = S3OutcomeStore(InMemoryS3(), "bucket")
    table = pa.table(
        {
            "prediction": np.arange(120_000.0),
            "prediction_label": [str(number) for number in range(120_000)],
            "label": np.arange(120_000),
        }
    )
    rows = store.reference(table)
    assert (len(rows), rows.actual[0], rows.actual[-1]) == (50_000, "0", "119999")
    assert store.reference(table.select(["label"])) is None


def test_variants_are_kept_apart_and_together(stage):
    half = stage.predict()
    other = stage.predict(30, variant="canary")
    truth, others = stage.truth(half), stage.truth(other)
    stage.label([*half, *other], [*truth, *others])
    monitor = stage.monitor()
    assert monitor.evaluate("wine", "1", WINDOW).records == 120
    canary = monitor.evaluate("wine", "1", WINDOW, variant="canary")
    assert values(canary) == pytest.approx(expected(other, others))
    assert monitor.evaluate("wine", "1", WINDOW, variant="unused").verdict.status == "unknown"
    assert performance_samples(canary) == []


def test_labels_of_what_sampling_left_out_are_not_unknown(stage):
    rate = 0.5
    ids = [new_event_id(int(START.timestamp() * 1000) + number) for number in range(200)]
    kept_ids = [each for each in ids if is_sampled(each, rate)]
    for event_id in kept_ids:
        stage.predict(1, hours=1, event_id=event_id, sample_rate=rate)
    everything = [wine_record(event_id=each, captured_at=START) for each in ids]
    stage.label(everything, [1] * len(ids))
    result = stage.monitor().evaluate("wine", "1", WINDOW)
    assert (result.labels, result.labelled, result.unknown_labels) == (200, len(kept_ids), 0)


@pytest.mark.parametrize(
    ("labelled", "reason"),
    [(0, "0 labelled"), (19, "19 labelled"), (44, "49% of the predictions"), (45, "45 of 90")],
)
def test_too_few_labels_and_immature_ones_are_unknown(stage, labelled, reason):
    records = stage.predict()
    if labelled:
        stage.label(records[:labelled], stage.truth(records)[:labelled])
    result = stage.monitor().evaluate("wine", "1", WINDOW)
    assert result.verdict.reason.startswith(reason)
    assert (result.verdict.status == "ok") == (labelled == 45)
    # what the probabilities lead to expect needs no label
    assert result.verdict.estimated.status == "ok"
    names = {sample.name for sample in performance_samples(result)}
    assert ("model_accuracy" in names) == (labelled == 45)
    assert {"model_label_maturity_ratio", "model_estimated_accuracy"} <= names


def test_a_window_without_predictions_is_unknown(stage):
    result = stage.monitor().evaluate("wine", "1", WINDOW)
    assert (result.verdict.status, result.maturity) == ("unknown", None)
    assert result.verdict.reason == "no predictions in the window"


def test_the_hour_that_is_not_over_is_read_and_not_kept_unless_it_is_large(stage):
    records = stage.predict(40, NOW - timedelta(minutes=20), 0.2)
    stage.label(records, stage.truth(records))
    window = Window(NOW - timedelta(minutes=30), NOW)
    result = stage.monitor().evaluate("wine", "1", window)
    assert (result.records, result.labelled, result.labels) == (40, 40, 0)
    assert not [key for key in stage.s3.objects if key.startswith("performance/")]
    large = stage.monitor(open_hour_bytes=10).evaluate("wine", "1", window)
    assert (large.records, large.pending_hours) == (0, 1)


def test_a_result_does_not_go_on_for_longer_than_it_may(stage, monkeypatch):
    monkeypatch.setattr("modelwatch.services.performance._BYTES_AT_ONCE", 1)
    stage.predict()
    monitor = stage.monitor(seconds=-1)
    found = [monitor.evaluate("wine", "1", WINDOW).pending_hours for _ in range(3)]
    assert found == [2, 1, 0]


def test_sums_outlive_the_captures_that_they_were_made_from(stage):
    records = stage.predict()
    truth = stage.truth(records)
    stage.label(records, truth)
    monitor = stage.monitor()
    before = monitor.evaluate("wine", "1", WINDOW)
    for key in [key for key in stage.s3.objects if key.startswith("captures/")]:
        del stage.s3.objects[key]
    assert monitor.evaluate("wine", "1", WINDOW).verdict == before.verdict


def test_what_was_kept_and_cannot_be_read_is_made_anew(stage):
    records = stage.predict()
    stage.label(records, stage.truth(records))
    monitor = stage.monitor()
    before = monitor.evaluate("wine", "1", WINDOW)
    for key in [key for key in stage.s3.objects if key.startswith("performance/")]:
        stage.s3.objects[key] = b"broken"
    after = monitor.evaluate("wine", "1", WINDOW)
    assert after == before


def test_predicted_numbers_are_measured(stage):
    records = []
    for number in range(60):
        at = START + timedelta(minutes=number)
        records += stage.predict(
            1, at, 0.01, prediction=10 + float(stage.random.normal()), probabilities=None
        )
    truth = [record.prediction + float(stage.random.normal(0, 0.5)) for record in records]
    stage.label(records, truth)
    result = stage.monitor().evaluate("wine", "1", WINDOW)
    predicted = [record.prediction for record in records]
    found = values(result)
    assert result.verdict.task == "regression"
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(truth, predicted))
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(truth, predicted))
    assert found["r2"] == pytest.approx(sk.r2_score(truth, predicted))
    assert result.verdict.constant_metrics["rmse"] == pytest.approx(np.std(truth))
    assert result.verdict.constant == rounded(float(np.mean(truth)), 6)
    names = {sample.name for sample in performance_samples(result)}
    assert {"model_mean_absolute_error", "model_root_mean_squared_error", "model_r2_score"} <= names


def test_a_labelled_reference_calibrates_what_is_expected(stage):
    stage.predict(300)
    p = np.linspace(0.01, 0.99, 400)
    reference = pa.table(
        {
            "prediction": (p > 0.5).astype(float),
            "prediction_label": [str(int(each > 0.5)) for each in p],
            "probabilities": [[1 - each, each] for each in p],
            # right half the time, however sure it is
            "label": [number % 2 for number in range(400)],
        }
    )
    result = stage.monitor().evaluate("wine", "1", WINDOW, reference=reference)
    assert result.verdict.estimated.calibration == "reference"
    assert result.verdict.estimated.accuracy.value == pytest.approx(0.5, abs=0.02)
    plain = stage.monitor().evaluate("wine", "1", WINDOW, reference=reference.drop(["label"]))
    assert plain.verdict.estimated.accuracy.value == pytest.approx(0.75, abs=0.05)


def test_every_sample_is_in_the_catalog_with_its_labels(stage):
    records = stage.predict()
    stage.label(records, stage.truth(records))
    found = performance_samples(stage.monitor().evaluate("wine", "1", WINDOW))
    assert {sample.name for sample in found} >= {
        "model_performance_status",
        "model_unknown_labels",
        "model_label_maturity_ratio",
        "model_accuracy",
        "model_f1_score",
        "model_precision",
        "model_recall",
        "model_roc_auc",
        "model_log_loss",
        "model_performance_bound",
        "model_estimated_accuracy",
        "model_estimated_roc_auc",
    }
    for sample in found:
        assert tuple(sample.labels) == CATALOG[sample.name].labels


@pytest.mark.parametrize(
    ("predictions", "labels"),
    [
        ([1, 0], ["1.0", "0.0"]),
        ([1, 0], ["1", " 0"]),
        ([True, False], ["True", "FALSE"]),
        ([1, 0], ["True", "False"]),
        ([True, False], ["1.0", "0"]),
        ([2.5, 3], ["2.50", "3.0"]),
        (["1.0", "True"], ["1.0", "True"]),
    ],
)
def test_the_type_of_the_prediction_decides_how_a_label_of_text_is_read(stage, predictions, labels):
    records = [stage.predict(1, START, 1, prediction=value)[0] for value in predictions * 15]
    stage.label(records, labels * 15)
    assert values(stage.monitor().evaluate("wine", "1", WINDOW))["accuracy"] == 1


def test_what_is_captured_is_listed_once_a_day_to_find_unknown_labels(stage):
    for version in ("1", "2"):
        records = stage.predict(count=200, start=START - timedelta(hours=8), hours=10,
                                model_version=version)  # fmt: skip
        stage.label(records, stage.truth(records))
    hours = [START - timedelta(hours=8 - hour) for hour in range(10)]
    stage.s3.calls.clear()
    found = dict(S3OutcomeStore(stage.s3, "bucket").unknown(hours))
    assert found == dict.fromkeys(hours, (40, 0))
    # models, their versions, one day of each version, and one of labels
    assert stage.s3.calls.count("list") <= 2 + 2 * 2 + 1


def test_progress_rises_to_the_end(stage, monkeypatch):
    monkeypatch.setattr("modelwatch.services.performance._BYTES_AT_ONCE", 1)
    records = stage.predict(count=200, start=START - timedelta(hours=20), hours=20)
    stage.label(records, stage.truth(records))
    said = []
    window = Window(START - timedelta(hours=20), START)
    monitor = stage.monitor(progress=lambda done, total: said.append((done, total)))
    assert monitor.evaluate("wine", "1", window).records == 200
    assert said == sorted(said)
    assert said[-1] == (40, 40)
    assert len(said) > 20


def test_hours_read_together_are_as_hours_read_alone(stage, monkeypatch):
    records = stage.predict(count=400, start=START - timedelta(hours=20), hours=20)
    stage.label(records, stage.truth(records))
    window = Window(START - timedelta(hours=20), START)
    together = stage.monitor().evaluate("wine", "1", window)
    for key in [key for key in stage.s3.objects if key.startswith("performance/")]:
        del stage.s3.objects[key]
    monkeypatch.setattr("modelwatch.services.performance._BYTES_AT_ONCE", 1)
    assert stage.monitor().evaluate("wine", "1", window) == together


def test_a_window_costs_a_few_requests_a_day_however_many_hours_it_has(stage):
    """It cost one for each hour, and two listings of its day: thousands for a month."""
    days = 5
    start = START - timedelta(days=days)
    records = stage.predict(count=days * 48, start=start, hours=days * 24)
    truth = stage.truth(records)
    stage.label(records, truth)
    monitor, window = stage.monitor(), Window(start, START)
    stage.s3.calls.clear()
    first = monitor.evaluate("wine", "1", window)
    assert first.labelled == days * 48
    made = Counter(stage.s3.calls)
    assert made["list"] <= 10 * (days + 1)
    assert made["put"] <= 2 * (days + 1)
    # captures and labels of each hour once, though labels of nothing captured are counted as well
    assert made["get"] <= 2 * days * 24 + 6 * (days + 1)
    stage.s3.calls.clear()
    assert monitor.evaluate("wine", "1", window) == first
    assert len(stage.s3.calls) <= 6 * (days + 1)
    stage.label(records[:1], [1 - truth[0]], days=9)
    stage.s3.calls.clear()
    assert monitor.evaluate("wine", "1", window).verdict != first.verdict
    assert len(stage.s3.calls) <= 6 * (days + 1) + 25


def test_hours_that_older_releases_kept_apart_are_read(stage):
    records = stage.predict()
    stage.label(records, stage.truth(records))
    monitor = stage.monitor()
    before = monitor.evaluate("wine", "1", WINDOW)
    folder = "performance/model_name=wine/model_version=1/date=2026-11-22"
    for hour, kept in msgspec.msgpack.decode(
        stage.s3.objects.pop(f"{folder}.profiles"), type=dict[datetime, bytes]
    ).items():
        stage.s3.objects[f"{folder}/hour={hour:%H}.profile"] = kept
    for key in [key for key in stage.s3.objects if key.startswith("captures/")]:
        del stage.s3.objects[key]
    assert monitor.evaluate("wine", "1", WINDOW).verdict == before.verdict


def test_what_is_forgotten_of_a_day_leaves_its_other_hours(stage):
    stage.predict()
    stage.monitor().evaluate("wine", "1", WINDOW)
    store = S3PerformanceStore(stage.s3, "bucket")
    hours = [START + timedelta(hours=hour) for hour in range(HOURS)]
    store.forget("model_name=wine/model_version=1/", hours[:1])
    assert sorted(store.load("wine", "1", hours)) == hours[1:]


def test_performance_of_a_past_window_follows_labels_that_come_after_its_result(stage):
    """Only the hour whose label came is read; what was found before stays what it was."""
    start = START - timedelta(days=3)
    past = Window(start, start + timedelta(hours=HOURS))
    records = stage.predict(start=start)
    truth = stage.truth(records)
    stage.label(records[:60], truth[:60])
    shown = stage.monitor().evaluate("wine", "1", past)
    assert shown.labelled == 60
    stage.label(records[60:], truth[60:], days=3)
    # a scheduled run has a longer window, and another process
    stage.monitor().evaluate("wine", "1", Window(start, START))
    restated = stage.monitor().evaluate("wine", "1", past)
    assert (shown.labelled, restated.labelled) == (60, 90)
    assert values(restated) == pytest.approx(expected(records, truth))
