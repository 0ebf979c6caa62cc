"""Analyze: windows of captures against the reference of the same model version."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from modelwatch.domain.due import DueAnalysis
from modelwatch.domain.durations import format_duration
from modelwatch.domain.monitors import Monitor, Monitored
from modelwatch.domain.names import few_of
from modelwatch.domain.records import time_faults
from modelwatch.domain.verdict.results import AnalysisResult, LastResult
from modelwatch.domain.window_plans import DueWindows, WindowPlan
from modelwatch.domain.windows import Window
from modelwatch.errors import InvalidInputError, ModelwatchError, NoModelError, public_text
from modelwatch.ports.analysis import AnalysisQueue, ProfileStore, ReportStore
from modelwatch.ports.metrics import MetricSink, Sample
from modelwatch.ports.serving import ModelRegistry
from modelwatch.services.analysis_bounds import LeftOut
from modelwatch.services.analysis_requests import AnalysisRequest, AnalysisTask
from modelwatch.services.analysis_samples import failure_sample, monitor_samples
from modelwatch.services.analysis_versions import Watched, watched_versions
from modelwatch.services.announcing import Announcer
from modelwatch.services.evaluation import Evaluator, version_title
from modelwatch.services.monitors import MonitorReader, Monitors
from modelwatch.services.remembering import last_results, window_key
from modelwatch.services.restating import restate

_LOG = logging.getLogger(__name__)


class Analysis(msgspec.Struct, frozen=True):
    """What one run did: results, and by model version why it has none."""

    results: list[AnalysisResult]
    failures: dict[str, str]


class ScheduledRun(Analysis, frozen=True):
    """What a run of the schedule did itself; ``sent``: how many messages do the rest."""

    sent: int = 0


class ReportPlace(msgspec.Struct, frozen=True):
    """Where a report is: the address works for an hour."""

    url: str


class AnalyzeService:
    """Analyzes every version with captures in the window, and those that serve now.

    Parameters
    ----------
    serving
        Alias by name of each model that predict serves.
    queue
        Takes what is due of several models, for others to evaluate; None: a run does it all.
    """

    def __init__(
        self,
        *,
        serving: Mapping[str, str],
        registry: ModelRegistry,
        profiles: ProfileStore,
        reports: ReportStore,
        evaluator: Evaluator,
        metrics: MetricSink,
        monitors: MonitorReader,
        announcer: Announcer | None = None,
        queue: AnalysisQueue | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._served = serving
        self._registry = registry
        self._profiles = profiles
        self._reports = reports
        self._evaluator = evaluator
        self._metrics = metrics
        self._monitors = monitors
        self._announcer = announcer
        self._queue = queue
        self._clock = clock

    def analyze(
        self, request: AnalysisRequest, at: datetime | None = None, mark: str = ""
    ) -> Analysis:
        """Analyze one window, each model version alone: one that fails does not stop the rest.

        The results have names of their own, beside the schedule's of the same window, which goes on
        as if no one had asked. Gauges show a result on the present that says ok or drift by the
        settings' rules: neither few rows nor other rules hide a drift that they show.

        Parameters
        ----------
        at
            When it was asked; by default now.
        mark
            Eight hex digits that are in the names of the results; by default random ones.
        """
        monitors = self._monitors.current()
        end = request.window_end or (at or self._now()) - monitors.defaults.rules.lag

        def length(each: Monitored) -> timedelta:
            if request.window_seconds:
                return timedelta(seconds=request.window_seconds)
            return each.rules.plans[0].length

        mark = mark or secrets.token_hex(4)
        only, version = request.model_name, request.model_version
        watched, left_out = self._versions(monitors, self._serving(), end, length, only, version)
        versions = watched.versions
        if only and not (versions or left_out):
            # no metric counts it: the name is the caller's
            left_out[version_title(only, version or "")] = _not_there(only, watched.known)
        tasks = [
            AnalysisTask(
                name,
                version,
                Window.ending(end, seconds=length(monitored).total_seconds()),
                format_duration(length(monitored)),
                monitored,
                int(request.min_rows) if request.min_rows else None,
                present=request.window_end is None,
                with_report=request.with_report,
                ad_hoc=mark,
            )
            for name, version, monitored in versions
        ]
        return self._run(tasks, left_out)

    def analyze_due(self, at: datetime | None = None) -> ScheduledRun:
        """Analyze all windows that are due, and those that were missed since the last run.

        What is due of several models goes into the queue, where there is one: no model waits for
        another. What is due of one model is evaluated here and now.

        Parameters
        ----------
        at
            When the run was due; the same time again finds the same windows, and their results
            stay as they are.

        Raises
        ------
        InvalidInputError
            When that is still to come.
        QueueError
            When the queue does not take what is due; the same run again sends the rest.
        """
        now = at or self._now()
        self._refuse_future(now)
        monitors = self._monitors.current()
        due: list[DueAnalysis] = []
        end = now - monitors.defaults.rules.lag
        serving = self._serving()
        watched, failures = self._versions(monitors, serving, end, _longest)
        versions = watched.versions
        for name, version, monitored in versions:
            try:
                serves = serving.get(name) == version
                due += self._due(name, version, monitored, now, serves)
            except Exception as error:  # noqa: BLE001 - one bad model never stops the others
                failures |= self._failed(name, version, error, monitored)
        known = {name: monitored for name, _, monitored in versions}
        sent, results = 0, []
        if self._queue and len({each.model_name for each in due}) > 1:
            self._queue.send(due)
            sent = len(due)
            for each in due:  # whoever evaluates a model announces its events
                known.pop(each.model_name, None)
        else:
            for each in due:
                results += self._evaluate_due(each, known[each.model_name], failures)
        for name, monitored in known.items():
            self._announce(name, monitored, now)
        return ScheduledRun(results, failures, sent)

    def evaluate_due(self, due: DueAnalysis) -> dict[str, str]:
        """Evaluate what a message of the queue asks for, and announce its events.

        Nothing is left to do when it was done before, when another stage has a monitor of the model
        now, or when the model has no windows of that length any more.

        Returns
        -------
        dict[str, str]
            What failed, as in `Analysis`; empty: the message is done with.
        """
        failures: dict[str, str] = {}
        said = None
        try:
            self._refuse_future(due.planned)
            monitors = self._monitors.current()
            if not monitors.is_ours(due.model_name):
                return {}
            said = monitors.said(due.model_name)
            monitored = monitors.of(due.model_name)
        except Exception as error:  # noqa: BLE001 - counted with the model's name
            return self._failed(due.model_name, due.model_version, error, said)
        self._evaluate_due(due, monitored, failures)
        self._announce(due.model_name, monitored, due.planned)
        return failures

    def _due(
        self, name: str, version: str, monitored: Monitored, now: datetime, serves: bool
    ) -> Iterator[DueAnalysis]:
        """Yield the lengths that are due.

        Of the version that serves the main window always is, for it says that no one asks; each
        other length from its first window with captures on. Of another version a length is due as
        long as there are captures in its windows.
        """
        last = last_results(self._reports, name, version)
        for index, plan in enumerate(monitored.rules.plans):
            windows = _windows(plan, last, monitored, now).windows
            if not windows:
                continue
            is_awaited = serves and (index == 0 or window_key(plan.name, "") in last)
            whole = Window(windows[0].start, windows[-1].end)
            if is_awaited or self._profiles.has_captures(name, version, whole):
                yield DueAnalysis(name, version, plan.name, now)

    def _evaluate_due(
        self, asked: DueAnalysis, monitored: Monitored, failures: dict[str, str]
    ) -> list[AnalysisResult]:
        """Evaluate the windows of a version and a length that are due, the oldest first."""
        name, version = asked.model_name, asked.model_version
        results: list[AnalysisResult] = []
        for index, plan in enumerate(monitored.rules.plans):
            if plan.name != asked.window:
                continue
            try:
                last = last_results(self._reports, name, version)
                due = _windows(plan, last, monitored, asked.planned)
            except Exception as error:  # noqa: BLE001 - one bad model never stops the others
                failures |= self._failed(name, version, error, monitored)
                return results
            tasks = [
                AnalysisTask(
                    name,
                    version,
                    window,
                    plan.name,
                    monitored,
                    main=index == 0,
                    present=window == due.windows[-1],
                    late=window != due.windows[-1],
                )
                for window in due.windows
            ]
            done = self._run(tasks, failures, last)
            results += done.results
            known = last.get(window_key(plan.name, ""))
            if known and any(each.performance and each.performance.labels for each in done.results):
                self._restate(asked, monitored, known.window_end, due.windows[-1].end)
            # once the newest has its result, no one asks for the older ones any more
            if due.missed and any(each.window_end == due.windows[-1].end for each in done.results):
                self._miss(asked, due)
        return results

    def _restate(
        self, asked: DueAnalysis, monitored: Monitored, before: datetime, newest: datetime
    ) -> None:
        """Restate the performance of older results by the labels that came since."""
        name, version = asked.model_name, asked.model_version
        try:
            count = restate(
                self._reports,
                lambda window: self._evaluator.performance_in(name, version, window, monitored),
                (name, version),
                asked.window,
                before=before,
                newest=newest,
                length=monitored.rules.performance_window,
                now=self._now(),
            )
            _LOG.info("%s: %d results restated", version_title(name, version), count)
        except ModelwatchError:
            # the newest results are stored; the next age of these comes
            _LOG.exception("the results of %s are not restated", version_title(name, version))

    def _miss(self, asked: DueAnalysis, due: DueWindows) -> None:
        name, version = asked.model_name, asked.model_version
        _LOG.warning(
            "%s version %s: %d windows of %s up to %s are never analyzed",
            name, version, due.missed, asked.window, due.missed_until,
        )  # fmt: skip
        labels = {"model_name": name, "model_version": version}
        self._metrics.emit([Sample("evidently_analysis_missed_total", due.missed, labels)])

    def _announce(self, name: str, monitored: Monitored, now: datetime) -> None:
        if self._announcer:
            self._announcer.announce(name, monitored.owner, now)

    def _run(
        self,
        tasks: list[AnalysisTask],
        failures: dict[str, str],
        last: Mapping[str, LastResult] | None = None,
    ) -> Analysis:
        """Carry out ``tasks``; what fails is added to the ``failures`` so far."""
        results: list[AnalysisResult] = []
        for task in tasks:
            try:
                done = self._evaluator.evaluate(task, last)
                results += done.results
                if done.left_out:
                    title = f"variants of {version_title(task.name, task.version)}"
                    failures[title] = self._leave_out(done.left_out)
            except Exception as error:  # noqa: BLE001 - one bad model never stops the others
                failures |= self._failed(task.name, task.version, error, task.monitored)
        return Analysis(results, failures)

    def _failed(
        self, name: str, version: str, error: Exception, said: Monitor | Monitored | None
    ) -> dict[str, str]:
        """Count a failure, and say whose it is: a model may fail before it has any result.

        Returns what failed and why, as in `Analysis`.
        """
        title = version_title(name, version)
        _LOG.error("analysis of %s failed", title, exc_info=error)
        whose = monitor_samples(name, said.owner, said.labels) if said else []
        self._metrics.emit([failure_sample(name, version), *whose])
        why = type(error).__name__
        if isinstance(error, ModelwatchError):
            why = f"{why}: {public_text(error)}"
        return {title: why}

    def _versions(
        self,
        monitors: Monitors,
        serving: Mapping[str, str],
        end: datetime,
        length: Callable[[Monitored], timedelta],
        only: str | None = None,
        only_version: str | None = None,
    ) -> tuple[Watched, dict[str, str]]:
        """Return what to analyze, and by model what is left out."""
        watched = watched_versions(
            monitors, self._profiles, serving, end, length, only, only_version
        )
        failures = {each.model_name: self._leave_out(each) for each in watched.left_out}
        for name, why in watched.refused.items():
            failures |= self._failed(name, "", why, monitors.said(name))
        return watched, failures

    def _serving(self) -> dict[str, str]:
        """Return the version that serves by the model's name, as far as there is one and known."""
        found = {}
        for name, alias in self._served.items():
            try:
                found[name] = self._registry.resolve(name, alias).version
            except NoModelError:
                continue  # what was captured is analyzed all the same
            except ModelwatchError as error:
                _LOG.warning("which version of %s serves is not known: %s", name, error)
        return found

    def _leave_out(self, left_out: LeftOut) -> str:
        _LOG.error("%s: %r", left_out.model_name, str(left_out))
        self._metrics.emit([failure_sample(left_out.model_name, left_out.version)])
        return str(left_out)

    def _refuse_future(self, planned: datetime) -> None:
        """Refuse a run for a time that is still to come, whoever made up its event.

        Results of windows that are not over would stay, and the schedule would skip these.
        """
        if faults := list(time_faults("planned", planned, self._clock() * 1000)):
            raise InvalidInputError.of(faults)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._clock()), UTC)


def _windows(
    plan: WindowPlan, last: Mapping[str, LastResult], monitored: Monitored, now: datetime
) -> DueWindows:
    known = last.get(window_key(plan.name, ""))
    return plan.due(now, known.window_end if known else None, lag=monitored.rules.lag)


def _longest(monitored: Monitored) -> timedelta:
    return max(plan.length for plan in monitored.rules.plans)


def _not_there(model_name: str, known: Mapping[str, list[str]]) -> str:
    """Say that a model or a version has nothing to analyze, and what there is to analyze."""
    if versions := known.get(model_name):
        return (
            "no captures in the window, and it does not serve; there are versions "
            f"{few_of(versions)}"
        )
    said = "no captures in the window, and no version of it serves"
    return f"{said}; there are the models {few_of([*known])}" if known else said
