"""What a release sends and stores, kept as a file: each later release has to read it.

``python tests/support/stored_formats.py``, with ``PYTHONPATH=tests/support``, writes the file of
this version once, as the last step before it is released.
"""

from __future__ import annotations

import lzma
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

import modelwatch
from analysis_stage import NOW, AnalysisStage
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.aws.queues import label_bodies, message_bodies, packed_bodies
from modelwatch.adapters.captures.labels import S3LabelStore
from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.adapters.results.episodes import S3EpisodeStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.baselines import Baseline, TrainingData
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.labels import Label
from modelwatch.domain.records import PREDICT_SOURCE, Record
from modelwatch.domain.windows import Window
from wine_records import numbered_id, wine_record

FOLDER = Path(__file__).parent / "stored"
WINDOW = Window.ending(NOW, seconds=3600)


class Stored(NamedTuple):
    """Messages by their form, and objects of one bucket by key."""

    messages: dict[str, list[str]]
    objects: dict[str, bytes]


_decoder = msgspec.msgpack.Decoder(Stored)


def sample_records() -> list[Record]:
    """Return 60 records of predict, each with all that a release may say of one."""
    return [
        wine_record(
            event_id=numbered_id(number),
            captured_at=NOW - timedelta(seconds=600 + number),
            variant="champion",
            features={
                "alcohol": None if number == 7 else 13 + number / 10,
                "colour": ("red", "white")[number % 2],
                "rank": number,
                "sweet": number % 3 == 0,
            },
            prediction=number % 3,
            probabilities=[0.25, 0.5, 0.25],
            latency_ms=1.5,
            source=PREDICT_SOURCE,
            types="dslb",
            sample_rate=0.5,
            lost_before=2 if number == 3 else 0,
        )
        for number in range(60)
    ]


def other_records() -> list[Record]:
    """Return records of another application."""
    return [wine_record(event_id=numbered_id(number), source="billing") for number in (100, 101)]


def sample_labels() -> list[Label]:
    """Return labels of the first records."""
    labels: list[float | bool | str] = [1, 0.5, True, "red"]
    return [
        Label(
            event_id=each.event_id,
            label=label,
            labelled_at=NOW,
            predicted_at=each.captured_at,
            source="lab",
        )
        for each, label in zip(sample_records(), labels, strict=False)
    ]


def messages() -> dict[str, list[str]]:
    """Return what this code sends, by its form."""
    return {
        "packed": packed_bodies(sample_records()),
        "list": list(message_bodies(other_records())),
        "labels": list(label_bodies(sample_labels())),
    }


def make() -> Stored:
    """Return what this code makes."""
    s3 = InMemoryS3()
    store = S3RecordStore(s3, "bucket")
    store.write(sample_records())
    S3LabelStore(s3, "bucket").write(sample_labels())
    stage = AnalysisStage()
    stage.make_service(S3ReportStore(s3, "bucket"), S3EpisodeStore(s3, "bucket"))
    stage.store.write(sample_records())
    stage.training.tables["1"] = store.read("wine", "1", WINDOW)
    (result,) = stage.run_after(seconds=0).results
    assert result.status == "ok"
    profile = stage.profiles.profiles("wine", "1", WINDOW).variants["champion"]
    baseline = Baseline(
        name="spring", model_name="wine", origin=TrainingData("1"), made_at=NOW, rows=profile.rows
    )
    S3BaselineStore(s3, "bucket").create(baseline, profile, learn_constraints(profile))
    return Stored(messages(), s3.objects)


def read(path: Path) -> Stored:
    """Return what a release made."""
    return _decoder.decode(lzma.decompress(path.read_bytes()))


def path_of(version: str) -> Path:
    """Return where what a version made is kept."""
    return FOLDER / f"{version}.msgpack.xz"


if __name__ == "__main__":
    payload = lzma.compress(msgspec.msgpack.encode(make()))
    with path_of(modelwatch.__version__).open("xb") as file:
        file.write(payload)
