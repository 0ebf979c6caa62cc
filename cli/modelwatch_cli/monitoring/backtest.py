"""`modelwatch backtest`: the verdicts that another configuration would have given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.console import console, print_json, print_table, progress
from modelwatch_cli.monitoring.replay import report_store
from modelwatch_cli.options import model_option, since_option, until_option, version_option
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import past_span

if TYPE_CHECKING:
    from modelwatch.domain.alarms import AlarmSpan
    from modelwatch.domain.verdict.results import Severity
    from modelwatch.services.backtest import Series

_SEVERITIES: tuple[Severity, ...] = ("drift", "warning", "ok", "unknown")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(backtest)


def backtest(
    since: Annotated[str, since_option("windows that end after this")],
    until: Annotated[
        str | None, until_option("windows that end before this time; by default now")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="a setting to change"),
    ] = None,
    model_version: Annotated[
        str | None, version_option("only this version; by default all")
    ] = None,
    model_name: Annotated[str | None, model_option()] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print every window as JSON")] = False,
) -> None:
    """Show the alarms that another configuration would have raised for past windows.

    It is the model's current configuration (its monitor, else the settings) with the changes of
    --set. Windows are evaluated from their
    stored profiles, each with its original reference: no row is read, and nothing is written.
    """
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.results.analysis_settings import monitored
    from modelwatch.adapters.results.monitors import S3MonitorStore
    from modelwatch.services.backtest import Backtester

    settings = Settings()
    changed = parse_changes(changes or [])
    model = model_name or settings.model_name
    store = S3MonitorStore(s3_client(settings), settings.report_bucket)
    monitor = store.current().monitors.get(model)
    if monitor is not None:  # what --set says goes before what the monitor says
        own = {name: value for name, value in monitor.settings.items() if name not in changed}
        monitor = msgspec.structs.replace(monitor, settings=own)
    rules = monitored(settings.changed(changed), monitor).rules
    start, end = past_span(since, until)
    tester = Backtester(report_store(settings), rules)
    names = tester.names(model, start, end, model_version or "")
    if not names:
        raise ModelwatchError(f"{model} has no results of windows that end in that time")
    with progress() as bar:
        task = bar.add_task("windows", total=len(names))
        found = tester.run(names, lambda: bar.advance(task))
    if as_json:
        print_json(
            {
                "model_name": model,
                "since": start,
                "until": end,
                "set": changed,
                "rules": rules,
                "series": found,
            }
        )
        return
    _print(model, found)


def parse_changes(given: list[str]) -> dict[str, str]:
    """Read settings such as ``DRIFT_MODE=classic``.

    Raises InvalidInputError when one is no setting that influences a verdict, or is given twice.

    Examples
    --------
    >>> parse_changes(["DRIFT_MODE=classic"])
    {'DRIFT_MODE': 'classic'}
    """
    from modelwatch.adapters.results.analysis_settings import VERDICT_SETTINGS

    changes: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise InvalidInputError("--set", f"'{each[:80]}' is not NAME=VALUE")
        if name not in VERDICT_SETTINGS:
            raise InvalidInputError(
                "--set",
                f"{name[:80]} does not influence the verdict when it is made again; "
                f"these settings do: {', '.join(VERDICT_SETTINGS)}",
            )
        if name in changes:
            raise InvalidInputError("--set", f"{name} is given twice")
        changes[name] = value
    return changes


def _print(model: str, found: list[Series]) -> None:
    heads = ["version", "variant", "window", "windows"]
    heads += [f"{side} {each}" for side in ("given", "other") for each in _SEVERITIES]
    heads += ["given alarms", "other alarms"]
    print_table(heads, [_counts(each) for each in found], title=f"Windows of {model}")
    alarms = [
        (
            each.model_version,
            each.variant or "all",
            each.window,
            _span(alarm.given),
            _span(alarm.other),
            _features(alarm.given or alarm.other),
        )
        for each in found
        for alarm in each.alarms
    ]
    if alarms:
        console.print()
        heads = ["version", "variant", "window", "given alarm (UTC)", "other", "drifted"]
        print_table(heads, alarms)
    problems = [each.problem for series in found for each in series.windows if each.problem]
    if problems:
        console.print(
            f"{len(problems)} windows cannot be evaluated again; first reason: {problems[0]}",
            markup=False,
        )


def _counts(series: Series) -> list[object]:
    sides = (series.given, series.other)
    return [
        series.model_version,
        series.variant or "all",
        series.window,
        len(series.windows),
        *(side.get(each, 0) for side in sides for each in _SEVERITIES),
        series.given_alarms,
        series.other_alarms,
    ]


def _span(episode: AlarmSpan | None) -> str:
    if episode is None:
        return "none"
    end = f"{episode.ends:%Y-%m-%d %H:%M}" if episode.is_over else "now"
    return f"{episode.begins:%Y-%m-%d %H:%M} to {end}"


def _features(episode: AlarmSpan | None) -> str:
    names = episode.drifted_features if episode else ()
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
