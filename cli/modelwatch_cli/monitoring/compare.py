"""`modelwatch compare`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from modelwatch_cli.console import console, error_console, print_json, print_table
from modelwatch_cli.options import model_option, until_option, window_option
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import option_time

if TYPE_CHECKING:
    from modelwatch.domain.comparison import Comparison, Side
    from modelwatch.domain.verdict.results import FeatureDrift
    from modelwatch.services.comparison import Comparer

_COLOURS = {
    "a better": "green",
    "b better": "green",
    "no difference shown": "yellow",
    "not comparable": "red",
    "unknown": "yellow",
}


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(compare)


def compare(
    a: Annotated[str, typer.Argument(help="an alias or a version, such as champion")],
    b: Annotated[str, typer.Argument(help="another one, such as challenger")],
    window: Annotated[str, window_option()] = "PT1H",
    until: Annotated[str | None, until_option("its end; by default now")] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="metric of the verdict; by default accuracy, for a regression mae"),
    ] = None,
    min_labels: Annotated[
        int | None,
        typer.Option(min=1, help="fewest labels of each; by default PERFORMANCE_MIN_LABELS"),
    ] = None,
    min_maturity: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="smallest share of labelled predictions; PERFORMANCE_MIN_MATURITY"
        ),
    ] = None,
    model_name: Annotated[str | None, model_option()] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Compare two variants or versions of a model: inputs, predictions, performance and latency.

    "No difference shown" and "unknown" are results, not failures.
    """
    from modelwatch.domain.durations import parse_duration
    from modelwatch.domain.windows import Window

    settings = Settings()
    end = option_time("--until", until) if until else datetime.now(UTC)
    asked = Window(end - parse_duration(window, "--window"), end)
    with error_console.status("comparing"):
        found = _comparer(settings, min_labels, min_maturity).compare(
            model_name or settings.model_name, a, b, asked, metric or ""
        )
    if as_json:
        print_json(found)
    else:
        _print(found)


def _comparer(settings: Settings, min_labels: int | None, min_maturity: float | None) -> Comparer:
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.aws.secrets import secret
    from modelwatch.adapters.captures.outcomes import S3OutcomeStore
    from modelwatch.adapters.captures.profiles import S3ProfileStore
    from modelwatch.adapters.models.training_references import TrainingReferences
    from modelwatch.adapters.registries import artifacts_of, registry_of
    from modelwatch.adapters.results.baselines import S3BaselineStore
    from modelwatch.adapters.results.performance import S3PerformanceStore
    from modelwatch.domain.capture_policy import read_policy
    from modelwatch.domain.model_capture import CaptureRules
    from modelwatch.domain.monitors import Monitored
    from modelwatch.services.comparison import Comparer
    from modelwatch.services.monitors import capture_policies
    from modelwatch.services.performance import PerformanceMonitor
    from modelwatch.services.references import References
    from modelwatch_cli.monitors.held import held_monitors

    s3, bucket = s3_client(settings), settings.capture_bucket
    registry = registry_of(settings)
    policy = read_policy(settings.capture_policy, secret(settings, "CAPTURE_HASH_KEY"))
    profiles = S3ProfileStore(s3, bucket)
    monitors = held_monitors(settings, s3)
    given = {"min_labels": min_labels, "min_maturity": min_maturity}
    asked: dict[str, Any] = {name: each for name, each in given.items() if each is not None}

    def monitored(name: str) -> Monitored:
        found = monitors.of(name)
        return replace(found, performance=msgspec.structs.replace(found.performance, **asked))

    return Comparer(
        registry=registry,
        profiles=profiles,
        references=References(
            registry=registry,
            training=TrainingReferences(
                artifacts_of(settings, s3),
                capture_policies(CaptureRules(policy), lambda: monitors),
            ),
            profiles=profiles,
            baselines=S3BaselineStore(s3, settings.report_bucket),
        ),
        performance=PerformanceMonitor(
            outcomes=S3OutcomeStore(s3, bucket),
            profiles=S3PerformanceStore(s3, bucket),
            # a user of the command waits for it
            refresh_seconds=0,
            seconds=3600,
        ),
        monitored=monitored,
    )


def _print(found: Comparison) -> None:
    sides = (found.a, found.b)
    console.print(
        f"{found.model_name}, {found.window_start:%Y-%m-%d %H:%M} to {found.window_end:%H:%M} UTC",
        markup=False,
    )
    console.print(found.outcome, style=_COLOURS[found.outcome])
    console.print(found.sentence, markup=False)
    for note in found.notes:
        console.print(f"Note: {note}", markup=False)
    console.print()
    print_table(["", found.a.name, found.b.name], [*_facts(*sides)])
    if found.performance:
        console.print()
        print_table(
            ["metric", found.a.name, found.b.name, "difference", "low", "high"],
            [
                [
                    name,
                    each.a.value,
                    each.b.value,
                    each.difference.value,
                    each.difference.low,
                    each.difference.high,
                ]
                for name, each in found.performance.items()
            ],
        )
    for title, features in (("inputs", found.inputs), ("predictions", found.outputs)):
        if features:
            console.print()
            _print_features(title, features)


def _facts(a: Side, b: Side) -> list[list[object]]:
    facts: list[list[object]] = [
        ["version", a.model_version, b.model_version],
        ["predictions", str(a.rows), str(b.rows)],
        ["labelled", f"{a.labelled} of {a.records}", f"{b.labelled} of {b.records}"],
    ]
    if a.latency_ms and b.latency_ms:
        facts.append(["latency p50, p95, p99 in ms", _latency(a), _latency(b)])
    return facts


def _latency(side: Side) -> str:
    return ", ".join(f"{value:.3g}" for value in side.latency_ms)


def _print_features(title: str, features: tuple[FeatureDrift, ...]) -> None:
    words = {"ok": "alike", "drift": "different", "unknown": "unknown"}
    print_table(
        [title, "", "distance", "method", "p", "why"],
        [
            [
                each.feature,
                words[each.status],
                "-" if each.score is None else f"{each.score:.3f}",
                each.method,
                "-" if each.p_value is None else f"{each.p_value:.2g}",
                each.reason,
            ]
            for each in features
        ],
    )
