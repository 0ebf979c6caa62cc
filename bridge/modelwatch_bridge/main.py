"""`modelwatch-bridge`: the metrics bridge as a process."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.errors import ModelwatchError
from modelwatch.metric_names import CATALOG, Metric
from modelwatch.settings.account import ASKED
from modelwatch.settings.analysis import analysis_queue
from modelwatch_bridge.counting.collector import Page, TotalsCollector
from modelwatch_bridge.counting.ledger import Ledger
from modelwatch_bridge.declared_metrics import declared_metrics
from modelwatch_bridge.history.history import History
from modelwatch_bridge.history.history_file import HistoryFile
from modelwatch_bridge.service import BridgeService, Reader
from modelwatch_bridge.serving.guard import Guard
from modelwatch_bridge.serving.health import Health
from modelwatch_bridge.serving.reports import Reports, Results
from modelwatch_bridge.serving.server import BridgeServer
from modelwatch_bridge.serving.site import Site

if TYPE_CHECKING:
    from modelwatch.domain.episodes.joining import Episode
from modelwatch_bridge.settings import BridgeSettings
from modelwatch_bridge.sources.cloudwatch import CloudWatchLogSource, SQSQueues, is_followed
from modelwatch_bridge.sources.deliveries import DeliveryFollower
from modelwatch_bridge.sources.files import FileFollower
from modelwatch_bridge.sources.follower import LogGroupFollower, Reach
from modelwatch_bridge.sources.tcp import HOST, EmfListener
from modelwatch_bridge.sources.throttles import CloudWatchThrottles, ThrottleReader

LOG = logging.getLogger(__name__)

_JOIN_SECONDS = 1.5
"""How long a running round may take to end. It is safe to abort it: see `ledger.py`."""


def now_ms() -> int:
    """Return the time, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    settings = BridgeSettings(os.environ | ASKED)
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        serve(settings, stop)
    except ModelwatchError as error:
        sys.stderr.write(f"modelwatch-bridge: {error}\n")
        return 1
    return 0


def serve(settings: BridgeSettings, stop: threading.Event) -> None:
    """Run the bridge until ``stop`` is set.

    Raises ModelwatchError when a setting is wrong, the port is taken or the state file is in use.
    """
    metrics_file = settings.metrics_file
    catalog = CATALOG | (declared_metrics(Path(metrics_file)) if metrics_file else {})
    state = Path(settings.bridge_state)
    ledger = Ledger(state, catalog, settings.bridge_max_series)
    health = Health(now_ms, int(settings.bridge_stale_seconds * 1000))
    collector = TotalsCollector(ledger.totals, catalog)
    page = Page(collector, ledger.totals, catalog)
    store = HistoryFile(state.with_name(f"{state.stem}-history.sqlite"))
    history = History(ledger.totals, collector, catalog, now_ms, store)
    server = _server(settings, page, history, health)
    listener = _listener(settings, ledger)
    more = [] if listener is None else [listener]
    service = _service(settings, more, ledger, page, history, health, catalog, stop)
    LOG.info("listening on http://%s:%d", *server.server_address[:2])
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    reading = threading.Thread(target=service.run, args=(stop,), name="reading", daemon=True)
    reading.start()
    stop.wait()
    server.shutdown()
    reading.join(_JOIN_SECONDS)
    if listener is not None:
        listener.close()
    if not reading.is_alive():
        if listener is not None:
            listener.poll()  # what was accepted since the last round
        ledger.close()
        store.close()
    server.server_close()


def _server(settings: BridgeSettings, page: Page, history: History, health: Health) -> BridgeServer:
    address = settings.bridge_host, settings.bridge_port
    reports = Reports(
        lambda: _results(settings), now_ms, lambda model: _open_episodes(settings, model)
    )
    site = Site(history, health, reports, settings.stage)
    guard = Guard.of(settings.bridge_host, settings.bridge_token, settings.bridge_names)
    try:
        return BridgeServer(address, page, health, site, guard)
    except OSError as error:
        raise ModelwatchError(
            f"cannot listen on {address[0]}:{address[1]} (BRIDGE_PORT): {error.strerror}"
        ) from error


def _results(settings: BridgeSettings) -> Results:
    # imports half of the analysis' libraries, 30 MB
    from modelwatch.adapters.results.episodes import S3EpisodeStore
    from modelwatch.adapters.results.reports import S3ReportStore
    from modelwatch.services.reading import ResultReader

    s3, bucket = s3_client(settings), settings.report_bucket
    return ResultReader(S3ReportStore(s3, bucket), S3EpisodeStore(s3, bucket))


def _open_episodes(settings: BridgeSettings, model: str) -> Sequence[Episode]:
    from modelwatch.adapters.results.episodes import S3EpisodeStore

    store = S3EpisodeStore(s3_client(settings), settings.report_bucket)
    return store.load(model).open_episodes()


def _listener(settings: BridgeSettings, ledger: Ledger) -> EmfListener | None:
    port = settings.bridge_emf_port
    if not port:
        return None
    try:
        return EmfListener(port, ledger, now_ms)
    except (OSError, OverflowError) as error:
        raise ModelwatchError(
            f"cannot listen on {HOST}:{port} (BRIDGE_EMF_PORT): {error}"
        ) from error


def _service(
    settings: BridgeSettings,
    more: list[EmfListener],
    ledger: Ledger,
    page: Page,
    history: History,
    health: Health,
    catalog: Mapping[str, Metric],
    stop: threading.Event,
) -> BridgeService:
    # a logs API that does not respond must show in /health soon: few retries, the loop continues
    config = Config(
        connect_timeout=3, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3}
    )
    region = settings.aws_default_region
    late_ms = int(settings.bridge_late_seconds * 1000)
    lookback_ms = int(settings.bridge_lookback_seconds * 1000)
    source = CloudWatchLogSource(
        boto3.client("logs", region_name=region, config=config),
        settings.bridge_log_group_prefix,
    )
    follower: LogGroupFollower | DeliveryFollower
    if settings.metrics_transport == "firehose":
        follower = DeliveryFollower(
            s3_client(settings),
            settings.metrics_bucket,
            partial(is_followed, prefix=settings.bridge_log_group_prefix),
            ledger,
            now_ms,
            lookback_ms,
            stop.is_set,
        )
    else:
        reach = Reach(
            late_ms=late_ms,
            recent_ms=min(10_000, late_ms),
            deep_every_ms=late_ms // 5,
            lookback_ms=lookback_ms,
        )
        follower = LogGroupFollower(source, ledger, now_ms, reach, stop.is_set)
    readers: list[Reader] = [follower, *more]
    if files := _names(settings.bridge_files):
        readers.append(FileFollower([Path(name) for name in files], ledger, now_ms))
    if every_seconds := settings.bridge_throttles_seconds:
        metrics = CloudWatchThrottles(boto3.client("cloudwatch", region_name=region, config=config))
        every_ms = int(every_seconds * 1000)
        readers.append(
            ThrottleReader(source, metrics, ledger, now_ms, every_ms, late_ms, lookback_ms)
        )
    default = f"{settings.capture_queue_name},{analysis_queue(settings.stage)}"
    watched = settings.bridge_queues or default
    names = [] if watched == "-" else _names(watched)
    queues = SQSQueues(boto3.client("sqs", region_name=region, config=config), names)
    return BridgeService(
        readers=readers,
        queues=queues if names else None,
        ledger=ledger,
        page=page,
        history=history,
        health=health,
        catalog=catalog,
        clock=now_ms,
        poll_seconds=max(0.05, settings.bridge_poll_seconds),
        retire_ms=int(settings.bridge_retire_seconds * 1000),
        lag_seconds=lambda: follower.lag_seconds,
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    sys.exit(main())
