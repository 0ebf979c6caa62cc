"""What is kept of an analysis, and the same result made of it again."""

import json
import lzma
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_stage import NOW, AnalysisStage, records
from in_memory_s3 import InMemoryS3
from modelwatch.adapters.captures.parquet import records_table
from modelwatch.adapters.erasure.reports import S3ReportErasure
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.baselines import Baseline, RollingWindow
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.differences import differences
from modelwatch.domain.importance import Importance
from modelwatch.domain.profiles import Profile, number_column
from modelwatch.domain.verdict.evidence import (
    CodeVersion,
    Evidence,
    ReadReference,
    decode_manifest,
    decode_reference,
    decode_window,
    encode_manifest,
    sha256,
)
from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch.domain.verdict.rules import DriftPolicy
from modelwatch.errors import EvidenceError, NotFoundError
from modelwatch.services.backtest import Backtester
from modelwatch.services.replay import evaluate_again
from modelwatch.services.replay import replay as replay_result

CODE = CodeVersion("0.2.0", "ffff")
STORED = Path(__file__).parents[2] / "support" / "results" / "before_critical_score.msgpack.xz"
"""A result, and its evidence, of the release that wrote `needed` alone."""


@pytest.fixture
def stage() -> AnalysisStage:
    """A stage whose results are on S3, in the form that production has."""
    stage = AnalysisStage()
    keep_on_s3(stage)
    draw = np.random.default_rng(1)
    reference = records(300, 1.0)
    for each, value in zip(reference, draw.normal(13, 1, 300), strict=True):
        each.features["alcohol"] = float(value)
    stage.training.tables["1"] = records_table(reference)
    stage.training.importances["1"] = Importance(
        features={"alcohol": 0.1, "colour": 0.7}, rows=60, repetitions=5, measure="accuracy"
    )
    return stage


def keep_on_s3(stage: AnalysisStage) -> None:
    stage.s3 = InMemoryS3()
    stage.reports = S3ReportStore(stage.s3, "bucket")
    stage.make_service()


def capture(stage: AnalysisStage, mean: float, **options) -> None:
    draw = np.random.default_rng(2)
    window = records(80, 1.0, **options)
    for each in window:
        each.features["alcohol"] = float(draw.normal(mean, 1))
        if draw.random() < 0.2:
            each.features["colour"] = "never seen"
    stage.store.write(window)


def replay(stage: AnalysisStage, name: str):
    return replay_result(stage.reports, name, CODE)


def key(stage: AnalysisStage, part: str) -> str:
    (found,) = (key for key in stage.s3.objects if part in key)
    return found


@pytest.mark.parametrize("mean", [13.0, 15.0])
@pytest.mark.parametrize("mode", ["calibrated", "classic"])
def test_a_result_is_made_again_to_the_bit(mean, mode):
    stage = AnalysisStage(policy=DriftPolicy(mode=mode))
    keep_on_s3(stage)
    capture(stage, mean)
    (result,) = stage.analyze().results
    # everything else is gone or different
    stage.store.groups.clear()
    stage.training.tables.clear()
    stage.baselines.use = None
    done = replay(stage, result.name)
    assert (done.same, done.differences) == (True, ())
    assert (done.given_by.revision, done.replayed_by) == ("1a2b3c", CODE)
    assert done.manifest.rules.policy.mode == mode
    assert stage.reports.result(result.name).manifest == result.manifest != ""


def test_segments_are_made_again_too():
    stage = AnalysisStage(segments="colour; strong: alcohol > 13")
    keep_on_s3(stage)
    capture(stage, 15.0)
    (result,) = stage.analyze().results
    assert {each.name for each in result.segments} > {"colour=red", "strong"}
    stage.store.groups.clear()
    done = replay(stage, result.name)
    assert done.same, done.differences
    few = AnalysisStage(segments="colour")
    keep_on_s3(few)
    few.store.write(records(12, 1.0))
    (result,) = few.analyze().results
    assert [(each.rows, each.status) for each in result.segments] == [(12, "unknown")]
    assert replay(few, result.name).same


def test_what_was_read_is_in_the_manifest_and_not_in_the_result(stage):
    capture(stage, 15.0)
    (result,) = stage.analyze().results
    manifest = json.loads(stage.s3.objects[key(stage, "/manifest-")])
    assert manifest["window"]["rows"] == 80
    assert manifest["reference"]["title"] == "training data of version 1"
    assert manifest["rules"]["min_rows"] == 20
    assert manifest["rules"]["plans"] == [{"length": "PT3600S", "step": None}]
    assert "objects" not in json.loads(stage.s3.objects[key(stage, "/result.json")])
    assert result.quality.violations
    assert replay(stage, result.name).same


def test_windows_without_rows_keep_no_profile_and_can_be_replayed(stage):
    stage.store.write(records(19, 1.0))
    (result,) = stage.analyze().results
    assert not any("window-" in key or "reference-" in key for key in stage.s3.objects)
    assert replay(stage, result.name).same


def test_variants_are_kept_apart_and_their_reference_once(stage):
    capture(stage, 15.0)
    capture(stage, 13.0, variant="shadow")
    results = stage.run_after(seconds=0).results
    assert len(results) == 3
    assert all(replay(stage, result.name).same for result in results)
    assert sum("/window-" in key for key in stage.s3.objects) == 3
    assert sum("/.references/reference-" in key for key in stage.s3.objects) == 1


def roll(stage: AnalysisStage) -> None:
    profile = Profile(rows=100, features={"alcohol": number_column(np.ones(100))})
    baseline = Baseline(
        name="day", model_name="wine", origin=RollingWindow("P1D"), made_at=NOW, rows=100
    )
    stage.baselines.create(baseline, profile, learn_constraints(profile))
    stage.baselines.use("wine", "day")


def test_a_rolling_reference_is_kept_beside_its_result(stage):
    roll(stage)
    capture(stage, 13.0, age_seconds=7200)
    capture(stage, 15.0)
    (result,) = stage.analyze().results
    stage.store.groups.clear()
    stage.baselines.use("wine", "training")
    assert result.reference == "baseline day: the P1D before the window"
    assert "/reference-20261122T090000Z-20261123T090000Z-" in key(stage, "/reference-")
    assert replay(stage, result.name).same


def test_each_analysis_of_a_window_has_its_own_evidence(stage):
    capture(stage, 13.0)
    end = NOW - timedelta(seconds=5)
    first = stage.run_after(seconds=0).results[0]
    stage.store.write(records(20, 9.0))
    second = stage.analyze(window_end=end).results[0]
    assert (first.rows, second.rows) == (80, 100)
    assert replay(stage, first.name).same
    assert replay(stage, second.name).same
    names = stage.reports.names("wine", end, end)
    assert sorted(names) == sorted([first.name, second.name])
    assert Backtester(stage.reports, stage.rules).names("wine", end, end) == [first.name]


def test_another_result_is_shown_place_by_place(stage):
    capture(stage, 15.0)
    (result,) = stage.analyze().results
    alcohol = msgspec.structs.replace(result.features[0], score=0.25)
    other = msgspec.structs.replace(
        result, features=(alcohol, *result.features[1:]), drifted_features=()
    )
    found = {each.place: each.given for each in differences(other, result)}
    assert found == {"features.alcohol.score": 0.25, "drifted_features": []}


@pytest.mark.parametrize("part", ["/manifest-", "/window-", "/.references/"])
def test_a_part_that_is_missing_or_damaged_is_named(stage, part):
    capture(stage, 15.0)
    (result,) = stage.analyze().results
    place = key(stage, part)
    whole = stage.s3.objects[place]
    stage.s3.objects[place] = whole[:-3] + b"abc"
    with pytest.raises(EvidenceError, match=r"is damaged: analyses/wine/1/"):
        replay(stage, result.name)
    del stage.s3.objects[place]
    with pytest.raises(EvidenceError, match="no longer exists"):
        replay(stage, result.name)
    stage.s3.objects[place] = whole
    assert replay(stage, result.name).same


def test_a_result_without_evidence_or_no_result_is_said(stage):
    capture(stage, 15.0)
    (result,) = stage.analyze().results
    older = msgspec.structs.replace(result, name="wine.1.20200102T000000Z.PT1H", manifest="")
    assert stage.reports.save(older, {})
    with pytest.raises(EvidenceError, match="has no stored evidence"):
        replay(stage, older.name)
    assert not stage.reports.save(msgspec.structs.replace(older, rows=1), {})
    assert stage.reports.result(older.name) == older
    with pytest.raises(NotFoundError, match="there is no result"):
        replay(stage, "wine.1.20200101T000000Z.PT1H")


def test_what_is_erased_cannot_be_replayed(stage):
    roll(stage)
    capture(stage, 13.0, age_seconds=7200)
    capture(stage, 15.0)
    (result,) = stage.analyze().results
    long_ago = int((NOW - timedelta(days=30)).timestamp() * 1000)
    assert S3ReportErasure(stage.s3, "bucket").erase("wine", "1", [long_ago]) == 0
    assert replay(stage, result.name).same
    in_reference = int((NOW - timedelta(hours=2)).timestamp() * 1000)
    S3ReportErasure(stage.s3, "bucket").erase("wine", "1", [in_reference])
    with pytest.raises(EvidenceError, match="the reference no longer exists"):
        replay(stage, result.name)
    in_window = int((NOW - timedelta(minutes=1)).timestamp() * 1000)
    assert S3ReportErasure(stage.s3, "bucket").erase("wine", "1", [in_window]) == 1
    assert not any(".profile" in key for key in stage.s3.objects)
    with pytest.raises(EvidenceError, match="the profile of the window no longer exists"):
        replay(stage, result.name)


def test_names_of_a_time(stage):
    for hours in range(4):
        stage.analyze(window_end=NOW - timedelta(hours=hours))
    found = stage.reports.names("wine", NOW - timedelta(hours=2), NOW - timedelta(hours=1))
    assert [name.split(".")[2] for name in found] == ["20261123T080005Z", "20261123T090005Z"]


def test_a_manifest_of_another_format_is_refused(stage):
    capture(stage, 15.0)
    (result,) = stage.analyze().results
    manifest = stage.reports.evidence(result).manifest
    assert decode_manifest(encode_manifest(manifest)) == manifest
    later = msgspec.structs.replace(manifest, format=2)
    with pytest.raises(EvidenceError, match="format 2; this code reads 1"):
        decode_manifest(encode_manifest(later))


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading(payload):
    def reference(payload):
        return decode_reference(payload, ReadReference(title="", rows=0, sha256=""))

    for decode in (decode_manifest, reference, decode_window):
        with pytest.raises(EvidenceError):
            decode(payload)


def test_ends_of_windows_are_in_utc(stage):
    (result,) = stage.analyze(window_end=datetime(2026, 11, 23, 10, tzinfo=UTC)).results
    assert replay(stage, result.name).manifest.window.end == result.window_end


def test_a_result_of_an_earlier_release_replays():
    stored = msgspec.msgpack.decode(lzma.decompress(STORED.read_bytes()))
    given = msgspec.json.decode(stored["result"], type=AnalysisResult)
    assert [each.critical_score > 0.2 for each in given.features] == [True] * 3
    manifest = decode_manifest(stored["manifest"])
    evidence = Evidence(manifest, stored["window"], stored["reference"])
    assert sha256(stored["manifest"]) == given.manifest
    # another processor may round otherwise
    for each in differences(given, evaluate_again(given, evidence)):
        assert each.now == pytest.approx(each.given, rel=1e-9)
