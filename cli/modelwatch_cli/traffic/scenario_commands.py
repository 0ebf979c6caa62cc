"""`modelwatch scenarios`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.console import console, error_console, print_json, print_table
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch_cli.traffic.expectations import Expectation
    from modelwatch_cli.traffic.numbered import Numbered
    from modelwatch_cli.traffic.scenario_runs import Report
    from modelwatch_cli.traffic.stress import Step

_MARKS = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "[yellow]?[/yellow]"}


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(scenarios)


def scenarios(
    which: Annotated[
        str | None, typer.Argument(help="number or name of a scenario, or all; none lists them")
    ] = None,
    requests: Annotated[
        int | None,
        typer.Option("-n", "--requests", min=1, help="requests, in place of the scenario's"),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "-r",
            "--rate",
            "--rps",
            min=0.001,
            help="requests per second, in place of the scenario's",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="same seed, same rows")] = 1,
    label_delay: Annotated[
        float, typer.Option(min=0, help="peak_hours: seconds from a prediction to its label")
    ] = 10.0,
    slo_ms: Annotated[float, typer.Option(min=0, help="stress: the p95 to hold")] = 250.0,
    step_seconds: Annotated[float, typer.Option(min=1, help="stress: length of a step")] = 10.0,
    until_firing: Annotated[
        bool,
        typer.Option(
            "--until-firing", help="wait until alerts fire, some minutes after they are pending"
        ),
    ] = False,
    bridge: Annotated[
        str | None, typer.Option("--bridge", help="a bridge's /metrics; by default this stack's")
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option("--prometheus", help="a Prometheus; by default this stack's")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
) -> None:
    """Run numbered scenarios against the deployment; each of them checks itself.

    Each prints its expectations first, and checks them afterwards. Send no other traffic meanwhile.
    Exits with 1 if an expectation is not met.
    """
    if which is None:
        _list(as_json)
        return
    from modelwatch_cli.traffic import running
    from modelwatch_cli.traffic.looking import Watched
    from modelwatch_cli.traffic.scenario_runs import Options, run_numbered, run_stress

    chosen = _chosen(which)
    options = Options(requests, rate, seed, label_delay, slo_ms, step_seconds, until_firing)
    settings = Settings()
    watched = Watched.find(bridge, prometheus)
    out = error_console if as_json else console

    def say(expected: list[Expectation]) -> None:
        out.print("Expected:")
        for each in expected:
            out.print(f"  {each.sentence}", markup=False)

    def on_step(step: Step) -> None:
        out.print(
            f"  {step.asked:g}/s: reached {step.reached:.1f}/s, p95 {step.p95_ms:.1f} ms, "
            f"{step.errors} errors: {'held' if step.held else 'not held'}"
        )

    reports: list[Report] = []
    for number, name, title in chosen:
        out.print(f"\n[bold]== {number} {name}[/bold]: {title}")
        target = running.find_target(settings)
        scenario = _numbered().get(number)
        if scenario is None:
            report = run_stress(settings, target, watched, options, say, on_step)
        else:
            report = run_numbered(settings, target, watched, scenario, options, say)
        reports.append(report)
        if not as_json:
            _print(report)
    if as_json:
        print_json([report.as_dict() for report in reports])
    elif len(reports) > 1:
        _print_all(reports)
    failed = [
        f"{each.number} {each.name}: {'; '.join(each.failed)}"
        for each in reports
        if not each.passed
    ]
    if failed:
        raise ModelwatchError("not as expected: " + "\n".join(failed))


def _numbered() -> dict[int, Numbered]:
    from modelwatch_cli.traffic.numbered import NUMBERED

    return {each.number: each for each in NUMBERED}


def _all() -> list[tuple[int, str, str]]:
    from modelwatch_cli.traffic.numbered import STRESS_NAME, STRESS_NUMBER, STRESS_TITLE

    found = [(each.number, each.name, each.title) for each in _numbered().values()]
    return [*found, (STRESS_NUMBER, STRESS_NAME, STRESS_TITLE)]


def _chosen(which: str) -> list[tuple[int, str, str]]:
    every = _all()
    wanted = which.lower().replace("-", "_")
    found = [each for each in every if wanted in ("all", str(each[0]), each[1])]
    if not found:
        known = ", ".join(f"{number} {name}" for number, name, _ in every)
        raise InvalidInputError("scenarios", f"there is no '{which}'; there are {known}, and all")
    return found


def _list(as_json: bool) -> None:
    every = _all()
    if as_json:
        names = ("number", "name", "title")
        print_json([dict(zip(names, each, strict=True)) for each in every])
        return
    print_table(["", "name", "what happens"], every)
    console.print("Run one with `modelwatch scenarios 3`, or all in order with `scenarios all`.")


def _print(report: Report) -> None:
    from modelwatch_cli.traffic.stress import highest

    if report.steps:
        print_table(
            ["rate", "reached", "p95 ms", "errors", "late", ""],
            [
                [
                    f"{step.asked:g}",
                    f"{step.reached:.1f}",
                    f"{step.p95_ms:.1f}",
                    step.errors,
                    step.late,
                    "held" if step.held else "not held",
                ]
                for step in report.steps
            ],
        )
        console.print(f"The highest rate that held: {highest(report.steps) or 'none'}")
    console.print("Observed:")
    for sentence, finding in report.found:
        console.print(f"  {_MARKS[finding.met]} {escape(sentence)}: {escape(finding.seen)}")


def _print_all(reports: list[Report]) -> None:
    console.print()
    print_table(
        ["", "scenario", "result", "as expected", "not looked at", "not as expected"],
        [
            [
                report.number,
                report.name,
                "passed" if report.passed else "failed",
                sum(finding.met is True for _, finding in report.found),
                sum(finding.met is None for _, finding in report.found),
                "; ".join(report.failed),
            ]
            for report in reports
        ],
    )
