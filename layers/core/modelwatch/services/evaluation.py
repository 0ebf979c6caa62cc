"""Evaluates one window of a model version: its verdicts, with evidence, reports and metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import msgspec

from modelwatch.domain.constraints.document import overridden
from modelwatch.domain.monitors import Monitored
from modelwatch.domain.past.calibration import Calibration
from modelwatch.domain.past.relations import relations_of
from modelwatch.domain.performance.results import PerformanceResult
from modelwatch.domain.profiles import Profile, WindowProfile, merge_profiles
from modelwatch.domain.verdict.evidence import CodeVersion
from modelwatch.domain.verdict.results import AnalysisResult, LastResult, ResultName, notes_on
from modelwatch.domain.verdict.sides import WindowProfiles
from modelwatch.domain.verdict.window import evaluate_window
from modelwatch.domain.windows import Window
from modelwatch.metric_names import CATALOG
from modelwatch.ports.analysis import DriftReporter, EpisodeStore, ProfileStore, ReportStore
from modelwatch.ports.metrics import MetricSink
from modelwatch.ports.performance import PerformanceMonitor
from modelwatch.services.analysis_bounds import LeftOut, chosen_variants
from modelwatch.services.analysis_reports import report_files, worth_a_report
from modelwatch.services.analysis_requests import AnalysisTask
from modelwatch.services.analysis_samples import (
    monitor_samples,
    result_samples,
    segment_samples,
    standing_samples,
)
from modelwatch.services.episodes import episode_sentences, note_result
from modelwatch.services.learning import Learning
from modelwatch.services.onsets import find_onset
from modelwatch.services.performance_samples import performance_samples
from modelwatch.services.references import References, SampledReference
from modelwatch.services.remembering import last_results, remembered, window_key
from modelwatch.services.replay import evidence_of

_LOG = logging.getLogger(__name__)


class Evaluated(NamedTuple):
    """A result of all rows and one of each variant; ``left_out``: variants that have none."""

    results: list[AnalysisResult]
    left_out: LeftOut | None = None


class _Shared(NamedTuple):
    """What the variants of a window have in common."""

    task: AnalysisTask
    read: WindowProfile
    reference: SampledReference | None
    is_alarm: bool
    began: float


class Evaluator:
    """Evaluates windows, each alone."""

    def __init__(
        self,
        *,
        profiles: ProfileStore,
        references: References,
        learning: Learning,
        performance: PerformanceMonitor,
        reporter: DriftReporter,
        reports: ReportStore,
        episodes: EpisodeStore,
        metrics: MetricSink,
        code: CodeVersion,
    ) -> None:
        self._profiles = profiles
        self._references = references
        self._learning = learning
        self._performance = performance
        self._reporter = reporter
        self._reports = reports
        self._episodes = episodes
        self._metrics = metrics
        self._code = code

    def evaluate(
        self, task: AnalysisTask, last: Mapping[str, LastResult] | None = None
    ) -> Evaluated:
        """Evaluate all rows of a version and, where it has several variants, each of them.

        A window of the past that is empty has no result.

        Parameters
        ----------
        last
            What is remembered of the version's newest analyses, where it was read already.

        Raises
        ------
        ModelwatchError
            When captures, reference, past or results cannot be read, or not be written.
        """
        began = time.perf_counter()
        read = self._profiles.profiles(task.name, task.version, task.window)
        if task.past and not read.variants:
            return Evaluated([])
        profiles = {"": merge_profiles(list(read.variants.values()))}
        left_out = None
        if len(read.variants) > 1:
            chosen, others = chosen_variants(read.variants)
            profiles.update((variant, read.variants[variant]) for variant in chosen)
            if others:
                left_out = LeftOut(task.name, task.version, "variants", others)
        reference = None
        if max(each.rows for each in profiles.values()) >= task.rules.min_rows:
            baseline = task.monitored.baseline
            reference = self._references.of(task.name, task.version, task.window, baseline)
            if reference is not None and (own := task.monitored.constraints):
                reference = replace(reference, constraints=overridden(reference.constraints, own))
        past = self._learning.calibration(task, reference)
        if last is None:
            last = last_results(self._reports, task.name, task.version)
        newest: dict[str, LastResult] = {}
        # by any length of window; a key with a blank is of a variant
        is_alarm = any(each.status == "drift" for key, each in last.items() if " " not in key)
        shared = _Shared(task, read, reference, is_alarm, began)
        results = []
        for variant, profile in profiles.items():
            key = window_key(task.title, variant)
            known = past.of_a_part() if past and variant else past
            result = self._evaluate(shared, variant, profile, known, last.get(key))
            newest[key] = remembered(result, last.get(key))
            results.append(result)
        if not task.ad_hoc:
            samples = note_result(self._episodes, results[0], task.monitored.planned)
            self._metrics.emit(samples if task.present else [])
        if task.present and not task.ad_hoc:
            windows = {**last, **newest}
            self._reports.remember(task.name, task.version, windows)
            self._metrics.emit(standing_samples(task.name, task.version, windows))
        return Evaluated(results, left_out)

    def performance_in(
        self, name: str, version: str, window: Window, monitored: Monitored
    ) -> PerformanceResult | None:
        """Return the performance of a version by the labels of a window; None: see the log."""
        try:
            reference, losses = self._references.held_out(name, version)
            return self._performance.evaluate(
                name,
                version,
                window,
                reference=reference,
                losses=losses,
                policy=monitored.performance,
            )
        except Exception:  # noqa: BLE001 - said in the log
            # labels are another matter than drift: trouble with them must not hide the verdict
            _LOG.exception("the performance of %s is not known", version_title(name, version))
            return None

    def _evaluate(
        self,
        shared: _Shared,
        variant: str,
        profile: Profile,
        past: Calibration | None,
        last: LastResult | None,
    ) -> AnalysisResult:
        """Make, store and report the result of one variant; an empty one stands for all rows."""
        task, read, reference, is_alarm, began = shared
        main = task.main and not variant
        found = WindowProfiles(
            model_name=task.name,
            model_version=task.version,
            window=task.window,
            profile=profile,
            objects=read.objects,
            segments=read.segments if main else None,
            relations=relations_of(profile.sample, past.pairs) if past else {},
        )
        verdict = evaluate_window(found, reference, task.rules, past)
        is_asked = main and (task.present or task.past)
        performance = self._performance_of(task) if is_asked else None
        onset = last.onset if last and verdict.status == last.status == "drift" else None
        files: Mapping[str, bytes] = {}
        if reference is not None and worth_a_report(task, verdict, last):
            if verdict.status == "drift" and not variant:
                onset = find_onset(task, verdict, profile, reference, self._profiles)
            files = report_files(
                task, variant, verdict, profile, reference, self._profiles, self._reporter,
                (*episode_sentences(self._episodes, task, verdict, variant),
                 *notes_on(verdict, onset, performance)),
            )  # fmt: skip
        name = str(
            ResultName(task.name, task.version, task.window.end, task.title, variant, task.ad_hoc)
        )
        evidence = evidence_of(name, found, reference, task.rules, self._code, past)
        result = AnalysisResult(
            name=name,
            model_name=task.name,
            model_version=task.version,
            variant=variant,
            window=task.title,
            window_start=task.window.start,
            window_end=task.window.end,
            repeated=0 if variant else read.repeated,
            late=task.late,
            ad_hoc=bool(task.ad_hoc),
            performance=performance,
            duration_seconds=round(time.perf_counter() - began, 3),
            has_report=bool(files),
            manifest=evidence.digest,
            monitor=task.monitored.monitor,
            owner=task.monitored.owner,
            onset=onset,
            **msgspec.structs.asdict(verdict),
        )
        is_new = self._reports.save(result, files, evidence)
        if not is_new:
            # what was given first holds: captures may have come since
            result = self._reports.result(name)
        shown = task.present and (not task.ad_hoc or self._shows(task, result, is_alarm))
        samples = result_samples(result, main=main, present=shown)
        if main and shown:
            samples += segment_samples(result, last.segments if last else ())
            samples += monitor_samples(task.name, task.monitored.owner, task.monitored.labels)
        if result.performance is not None:
            samples += performance_samples(result.performance)
        if is_new:
            self._metrics.emit(samples)
        elif shown:
            # whoever stored it may have been killed before any gauge showed it; it counts once
            self._metrics.emit([each for each in samples if CATALOG[each.name].kind == "gauge"])
        return result

    def _shows(self, task: AnalysisTask, result: AnalysisResult, is_alarm: bool) -> bool:
        """Return whether gauges show an ad hoc result on the present.

        It never ends an alarm of the schedule: another window may well be ok.
        """
        is_quieter = is_alarm and result.status != "drift"
        return task.rules == task.monitored.rules and result.status != "unknown" and not is_quieter

    def _performance_of(self, task: AnalysisTask) -> PerformanceResult | None:
        window = Window.ending(
            task.window.end, seconds=task.rules.performance_window.total_seconds()
        )
        return self.performance_in(task.name, task.version, window, task.monitored)


def version_title(name: str, version: str) -> str:
    """Return what a version is called in messages."""
    return f"{name} version {version}" if version else name
