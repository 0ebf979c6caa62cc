"""Builds the services of analyze from settings, once, at the first event."""

from dataclasses import dataclass
from functools import cache, partial

from modelwatch import __version__
from modelwatch.adapters.access.tokens import Callers
from modelwatch.adapters.aws.clients import events_client, lambda_client, s3_client, sqs_client
from modelwatch.adapters.aws.emf import metric_sink
from modelwatch.adapters.aws.events import EventBridgeBus
from modelwatch.adapters.aws.invocations import LambdaStarter
from modelwatch.adapters.aws.queues import SqsAnalysisQueue, SqsDeliveries
from modelwatch.adapters.aws.secrets import secret
from modelwatch.adapters.captures.outcomes import S3OutcomeStore
from modelwatch.adapters.captures.profiles import S3ProfileStore
from modelwatch.adapters.models.training_references import TrainingReferences
from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.adapters.results.analysis_settings import monitored, performance_policy
from modelwatch.adapters.results.asked import S3AskedStore
from modelwatch.adapters.results.baselines import S3BaselineStore
from modelwatch.adapters.results.episodes import S3EpisodeStore
from modelwatch.adapters.results.evidently_report import EvidentlyReporter
from modelwatch.adapters.results.monitors import S3MonitorStore
from modelwatch.adapters.results.past import S3PastStore
from modelwatch.adapters.results.performance import S3PerformanceStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.capture_policy import read_policy
from modelwatch.domain.model_capture import CaptureRules
from modelwatch.domain.verdict.evidence import CodeVersion
from modelwatch.ports.metrics import MetricSink
from modelwatch.ports.serving import ModelRegistry
from modelwatch.services.analyze import AnalyzeService
from modelwatch.services.announcing import Announcer
from modelwatch.services.asking import Asking
from modelwatch.services.comparison import Comparer
from modelwatch.services.evaluation import Evaluator
from modelwatch.services.learning import Learning
from modelwatch.services.monitors import (
    MonitorReader,
    capture_policies,
    declared_segments,
    known_owners,
)
from modelwatch.services.performance import PerformanceMonitor
from modelwatch.services.reading import ResultReader
from modelwatch.services.references import References
from modelwatch.settings.functions import AnalyzeSettings
from modelwatch.settings.serving import aliases_of_served

_QUEUE_BUDGET_MS = 10_000

_OPEN_HOUR_BYTES = 4 * 2**20
"""The rows of the running hour are read at every run: only where they are few."""


@cache
def door() -> Callers:
    """Return what knows who may call."""
    return Callers.of(AnalyzeSettings())


@cache
def metrics() -> MetricSink:
    """Return where metrics go."""
    return metric_sink(AnalyzeSettings())


@cache
def analyze_service() -> AnalyzeService:
    """Return the service."""
    settings, parts = AnalyzeSettings(), _parts()
    s3 = s3_client(settings)
    announcer = None
    if settings.event_bus != "none":
        bus = EventBridgeBus(events_client(settings), settings.event_bus)
        episodes = S3EpisodeStore(s3, settings.report_bucket)
        announcer = Announcer(episodes, bus, metrics(), settings.stage)
    queue = None
    if url := settings.analysis_queue_url:
        queue = SqsAnalysisQueue(sqs_client(settings, _QUEUE_BUDGET_MS), queue_url=url)
    return AnalyzeService(
        serving=aliases_of_served(settings),
        registry=parts.registry,
        profiles=parts.profiles,
        reports=S3ReportStore(s3, settings.report_bucket),
        evaluator=evaluator(),
        metrics=metrics(),
        monitors=parts.monitors,
        announcer=announcer,
        queue=queue,
    )


@cache
def evaluator() -> Evaluator:
    """Return what evaluates a window."""
    settings, parts = AnalyzeSettings(), _parts()
    s3, bucket = s3_client(settings), settings.report_bucket
    return Evaluator(
        profiles=parts.profiles,
        references=parts.references,
        learning=Learning(parts.profiles, S3PastStore(s3, bucket)),
        performance=parts.performance,
        reporter=EvidentlyReporter(),
        reports=S3ReportStore(s3, bucket),
        episodes=S3EpisodeStore(s3, bucket),
        metrics=metrics(),
        code=CodeVersion(__version__, settings.code_revision),
    )


@cache
def deliveries() -> SqsDeliveries:
    """Return what lets messages of the analysis queue come again."""
    settings = AnalyzeSettings()
    sqs = sqs_client(settings, _QUEUE_BUDGET_MS)
    return SqsDeliveries(sqs, queue_url=settings.analysis_queue_url)


@cache
def asking() -> Asking:
    """Return what runs analyses and comparisons on request; without Lambda, the caller waits."""
    settings = AnalyzeSettings()
    function = settings.aws_lambda_function_name
    return Asking(
        S3AskedStore(s3_client(settings), settings.report_bucket),
        lambda request, at, mark: analyze_service().analyze(request, at, mark),
        lambda request, at: comparer().compare_asked(settings.model_name, request, at),
        LambdaStarter(lambda_client(settings), function) if function else None,
    )


@cache
def comparer() -> Comparer:
    """Return what compares variants."""
    parts = _parts()
    return Comparer(
        registry=parts.registry,
        profiles=parts.profiles,
        references=parts.references,
        performance=parts.performance,
        monitored=lambda name: parts.monitors.current().of(name),
    )


@cache
def result_reader() -> ResultReader:
    """Return what reads results back."""
    settings = AnalyzeSettings()
    s3, bucket = s3_client(settings), settings.report_bucket
    monitors = S3MonitorStore(s3, bucket)
    return ResultReader(
        S3ReportStore(s3, bucket), S3EpisodeStore(s3, bucket), lambda: known_owners(monitors)
    )


@dataclass(frozen=True)
class _Parts:
    """What both look at."""

    registry: ModelRegistry
    profiles: S3ProfileStore
    references: References
    performance: PerformanceMonitor
    monitors: MonitorReader


@cache
def _parts() -> _Parts:
    settings = AnalyzeSettings()
    s3 = s3_client(settings)
    registry = registry_of(settings)
    policy = read_policy(settings.capture_policy, secret(settings, "CAPTURE_HASH_KEY"))
    artifacts = artifacts_of(settings, s3)
    monitors = MonitorReader(
        S3MonitorStore(s3, settings.report_bucket),
        settings.stage,
        partial(monitored, settings),
    )
    segments_of = declared_segments(monitors.latest)
    profiles = S3ProfileStore(s3, settings.capture_bucket, segments_of)
    policies = capture_policies(CaptureRules(policy), monitors.latest)
    return _Parts(
        registry=registry,
        profiles=profiles,
        references=References(
            registry=registry,
            training=TrainingReferences(artifacts, policies, segments_of),
            profiles=profiles,
            baselines=S3BaselineStore(s3, settings.report_bucket),
        ),
        performance=PerformanceMonitor(
            outcomes=S3OutcomeStore(s3, settings.capture_bucket),
            profiles=S3PerformanceStore(s3, settings.capture_bucket),
            policy=performance_policy(settings),
            open_hour_bytes=_OPEN_HOUR_BYTES,
        ),
        monitors=monitors,
    )
