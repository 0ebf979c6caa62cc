"""A drift is accepted as the new normal, and taken back: reference, past and episode follow."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from analysis_stage import NOW, AnalysisStage, records
from modelwatch.domain.baselines import Baseline, CapturedWindow
from modelwatch.domain.constraints import learn_constraints
from modelwatch.domain.profiles import merge_profiles
from modelwatch.domain.window_plans import WindowPlan
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, StoreError
from modelwatch_cli.baselines.accepting import Acceptor, baseline_name, captured_in

HOUR = timedelta(hours=1)


class Maker:
    """Makes baselines of a stage's captures, as `BaselineMaker` does of those on S3."""

    def __init__(self, stage: AnalysisStage) -> None:
        self.stage = stage
        self.made: list[Baseline] = []

    def make(self, name, source, only_version="", episode=""):
        window = Window(
            datetime.fromisoformat(source.since), datetime.fromisoformat(source.until)
        ).outward()
        read = self.stage.profiles.profiles("wine", source.version, window)
        profile = merge_profiles(list(read.variants.values()))
        baseline = Baseline(
            name=name,
            model_name="wine",
            origin=CapturedWindow(source.version, window.start, window.end),
            made_at=datetime(2026, 11, 23, tzinfo=UTC),
            rows=profile.rows,
            model_version=only_version,
            episode=episode,
        )
        self.made.append(baseline)
        return self.stage.baselines.create(baseline, profile, learn_constraints(profile))


@pytest.fixture
def stage() -> AnalysisStage:
    """Hours of the clock; four of them, up to now, have another value than the training data."""
    stage = AnalysisStage(plans=(WindowPlan(HOUR, HOUR),), history_days=0)
    for hour in range(4):
        stage.store.write(records(100, 5.0, age_seconds=3600 * hour + 300))
    return stage


def opened(stage: AnalysisStage):
    stage.now = NOW - 3 * HOUR + timedelta(seconds=10)
    stage.service.analyze_due(stage.now)
    for _ in range(3):
        stage.run_after(hours=1)
    (episode,) = stage.episodes.load("wine").episodes()
    assert (episode.status, episode.last - episode.opened) == ("open", 3 * HOUR)
    return episode


def acceptor(stage: AnalysisStage) -> Acceptor:
    return Acceptor(Maker(stage), stage.baselines, stage.episodes, "wine")


def of_references(stage: AnalysisStage, version: str = "1"):
    found = stage.references.of("wine", version, Window(NOW, NOW + HOUR))
    return None if found is None else (found.title, found.past_from)


def test_an_accepted_episode_is_the_reference_of_its_version_until_it_is_reverted(stage):
    episode = opened(stage)
    before = of_references(stage)
    start, end = captured_in(episode)
    assert (start, end) == (episode.opened, episode.last)
    found, baseline = acceptor(stage).accept(episode.id, "ada", "new market")
    assert (found.status, found.reason, found.accepted.note) == ("closed", "accepted", "new market")
    assert (baseline.episode, baseline.model_version, baseline.rows) == (episode.id, "1", 300)
    assert of_references(stage)[1] == start
    assert "training" in before[0]
    # the same traffic is normal now, and the old one is not
    stage.store.write(records(100, 5.0, age_seconds=-3300))
    (result,) = stage.run_after(hours=1).results
    assert (result.status, len(stage.episodes.load("wine").episodes())) == ("ok", 1)
    stage.store.write(records(100, 1.0, age_seconds=-3600 - 3300))
    (result,) = stage.run_after(hours=1).results
    assert result.status == "drift"
    assert acceptor(stage).revert(found.id, "bob", "it was wrong").accepted.reverted_by == "bob"
    assert of_references(stage) == before
    stage.store.write(records(100, 5.0, age_seconds=-2 * 3600 - 3300))
    (result,) = stage.run_after(hours=1).results
    assert result.status == "drift"
    with pytest.raises(InvalidInputError, match="not accepted"):
        acceptor(stage).revert(found.id, "bob", "")
    with pytest.raises(InvalidInputError, match="closed"):
        acceptor(stage).accept(found.id, "ada", "")


def test_other_versions_keep_the_model_s_baseline(stage):
    episode = opened(stage)
    acceptor(stage).accept(episode.id, "ada", "")
    name = baseline_name(episode)
    assert stage.baselines.in_use("wine", "1") == name
    assert stage.baselines.in_use("wine", "2") == stage.baselines.in_use("wine") == "training"
    with pytest.raises(InvalidInputError, match="in use"):
        stage.baselines.delete("wine", name)
    stage.baselines.use("wine", "training")  # holds for all again
    assert stage.baselines.in_use("wine", "1") == "training"
    acceptor(stage).revert(episode.id, "bob", "")  # what is in use by now stays
    assert stage.baselines.in_use("wine", "1") == "training"


class Away:
    """A part of which one call fails."""

    def __init__(self, part: object, call: str) -> None:
        self.part = part
        self.call = call

    def __getattr__(self, name: str):
        if name == self.call:
            raise StoreError("away")
        return getattr(self.part, name)


@pytest.mark.parametrize(
    ("part", "call"), [("_maker", "make"), ("_baselines", "use_for"), ("_episodes", "update")]
)
def test_an_interrupted_acceptance_is_finished_by_the_same_command(stage, part, call):
    episode = opened(stage)
    broken = acceptor(stage)
    setattr(broken, part, Away(getattr(broken, part), call))
    with pytest.raises(StoreError):
        broken.accept(episode.id, "ada", "")
    stage.run_after(hours=1)
    found, _ = acceptor(stage).accept(episode.id, "ada", "")
    assert found.accepted is not None
    assert found.accepted.before == ""
    assert stage.baselines.in_use("wine", "1") == baseline_name(episode)


@pytest.mark.parametrize(
    "versions", [("1.5", "1-5"), ("a" * 80, "a" * 79 + "b"), ("é", "è"), ("1", "2")]
)
def test_each_episode_has_a_baseline_of_its_own(versions, stage):
    episode = opened(stage)
    found = [replace(episode, id=f"{version}-20261123T100000Z") for version in versions]
    names = [baseline_name(each) for each in found]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name) for name in names)
