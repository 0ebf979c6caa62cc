"""What evaluates windows of the past: the analyze function's evaluator, without metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from modelwatch.adapters.aws.secrets import secret
from modelwatch.adapters.captures.outcomes import S3OutcomeStore
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.models.training_references import TrainingReferences
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.adapters.results.analysis_settings import monitored, performance_policy
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.adapters.results.episodes import S3EpisodeStore
from modelwatch.adapters.results.evidently_report import EvidentlyReporter
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.adapters.results.past import S3PastStore
from modelwatch.adapters.results.performance import S3PerformanceStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.capture_policy import read_policy
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.ports.metrics import Sample
from modelwatch.services.evaluation import Evaluator
from modelwatch.services.learning import Learning
from modelwatch.services.monitors import MonitorReader, capture_policies, declared_segments
from modelwatch.services.performance import PerformanceMonitor
from modelwatch.services.references import References
from modelwatch_cli.monitoring.replay import this_code
from modelwatch_cli.settings import Settings


class PastAnalysis(NamedTuple):
    """What evaluates windows, and the parts that say which there are."""

    evaluator: Evaluator
    reports: S3ReportStore
    monitors: MonitorReader


class _NoMetrics:
    """Metrics are of the present."""

    def emit(self, samples: Sequence[Sample]) -> None:
        """Drop them."""


def past_analysis(settings: Settings, s3: Any) -> PastAnalysis:
    """Return what evaluates windows of the past as the analyze function would have.

    ``s3``: a client, such as one that reads once.
    """
    captures, results = settings.capture_bucket, settings.report_bucket
    policy = read_policy(settings.capture_policy, secret(settings, "CAPTURE_HASH_KEY"))
    reports = S3ReportStore(s3, results)
    monitors = MonitorReader(
        S3MonitorStore(s3, results), settings.stage, partial(monitored, settings)
    )
    segments_of = declared_segments(monitors.latest)
    profiles = S3ProfileStore(s3, captures, segments_of)
    policies = capture_policies(CaptureRules(policy), monitors.latest)
    evaluator = Evaluator(
        profiles=profiles,
        references=References(
            registry=registry_of(settings),
            training=TrainingReferences(artifacts_of(settings, s3), policies, segments_of),
            profiles=profiles,
            baselines=S3BaselineStore(s3, results),
        ),
        # no run comes after to learn the rest
        learning=Learning(profiles, S3PastStore(s3, results), math.inf),
        performance=PerformanceMonitor(
            outcomes=S3OutcomeStore(s3, captures),
            profiles=S3PerformanceStore(s3, captures),
            policy=performance_policy(settings),
            # a user of the command waits for it
            refresh_seconds=0,
            seconds=3600,
        ),
        reporter=EvidentlyReporter(),
        reports=reports,
        episodes=S3EpisodeStore(s3, results),
        metrics=_NoMetrics(),
        code=this_code(settings),
    )
    return PastAnalysis(evaluator, reports, monitors)
