"""`modelwatch check` and `modelwatch check metrics`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from modelwatch.errors import ModelwatchError
from modelwatch_cli.console import console, error_console, print_json, progress
from modelwatch_cli.options import model_option
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch_cli.checks.metrics import Finding
    from modelwatch_cli.checks.steps import Outcome

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
)

_MARKS = {"ok": "[green]✓[/green]", "failed": "[red]✗[/red]", "skipped": "[yellow]-[/yellow]"}
_JSON = typer.Option("--json", help="print JSON")
_BRIDGE = typer.Option("--bridge", help="the bridge's /metrics page, if it runs elsewhere")
_PROMETHEUS = typer.Option("--prometheus", help="Prometheus, if it runs elsewhere")


def register(parent: typer.Typer) -> None:
    """Add the commands to ``parent``."""
    parent.add_typer(app, name="check")


@app.callback()
def check(
    context: typer.Context,
    bridge: Annotated[str, _BRIDGE] = "",
    model_name: Annotated[
        str | None,
        model_option("a model of MODELS; by default MODEL_NAME"),
    ] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Send 20 predictions and follow them: to S3, the analysis, its report and the metrics.

    They are captured like all others; their rows are drawn from the model's reference data. The
    analysis covers a past window, which changes no gauge and no alert. Exits with 1 if a step
    fails.
    """
    if context.invoked_subcommand is not None:
        return
    from modelwatch_cli.checks.steps import take_steps
    from modelwatch_cli.checks.whole_way import WholeWay
    from modelwatch_cli.deployment.cloudformation.calling import serving_settings

    settings = serving_settings(Settings(), model_name)
    began = time.monotonic()
    way = WholeWay(settings, metrics_addresses(settings, bridge)["bridge"], model_name)
    with error_console.status("") as status:

        def done(outcome: Outcome) -> None:
            if not as_json:
                _print_step(outcome)

        outcomes = take_steps(way.steps(), lambda name: status.update(name), done)
    seconds = round(time.monotonic() - began, 1)
    ok = all(outcome.state == "ok" for outcome in outcomes)
    if as_json:
        print_json({"ok": ok, "seconds": seconds, "steps": outcomes})
    else:
        console.print(f"{'All is well' if ok else 'Something is wrong'} ({seconds:.1f} s).")
    if not ok:
        raise typer.Exit(1)


@app.command()
def metrics(
    bridge: Annotated[str, _BRIDGE] = "",
    prometheus: Annotated[str, _PROMETHEUS] = "",
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Look for every metric, and run every query of the dashboards and rules.

    Queries run in Prometheus. Without Prometheus, the bridge shows whether the series of the
    queries exist. Exits with 1 if something is missing that should exist.
    """
    from modelwatch_cli.checks.metrics import (
        Examiner,
        check_catalog,
        read_prometheus,
        rule_problems,
    )
    from modelwatch_cli.checks.questions import board_questions, rule_questions
    from modelwatch_cli.checks.served import ask_about_served
    from modelwatch_cli.monitoring.live_metrics import Prometheus, read_bridge

    settings = Settings()
    addresses = metrics_addresses(settings, bridge, prometheus)
    rules = list(rule_questions())
    recorded = {rule.title: rule.expression for rule in rules if rule.kind == "recording"}
    server = Prometheus(addresses["prometheus"]) if "prometheus" in addresses else None
    source = addresses["prometheus" if server else "bridge"]
    live = read_prometheus(server, recorded) if server else read_bridge(source)
    known = ask_about_served(settings, live)
    findings = check_catalog(live, known)
    problems = rule_problems(server, rules) if server else {}
    examiner = Examiner(live, known, recorded, server)
    questions = [*board_questions(), *rules]
    with progress() as bar:
        task = bar.add_task("queries", total=len(questions))
        for question in questions:
            findings.append(problems.get(question) or examiner.find(question))
            bar.advance(task)
    wrong = [finding for finding in findings if finding.state == "wrong"]
    if as_json:
        print_json({"ok": not wrong, "source": source, "findings": findings})
    else:
        _print_findings(source, findings)
    if wrong:
        raise typer.Exit(1)


def metrics_addresses(settings: Settings, bridge: str = "", prometheus: str = "") -> dict[str, str]:
    """Return the addresses of metrics: ``bridge`` and, if it is used, ``prometheus``.

    The defaults are those of the stack on this machine, if ``settings`` describe it.

    Raises ModelwatchError when they describe another one, and no address is given.
    """
    from modelwatch_cli.stack.supervisor import Supervisor

    given = {name: url for name, url in (("bridge", bridge), ("prometheus", prometheus)) if url}
    if given:
        return given
    supervisor = Supervisor()
    if settings.aws_endpoint_url != supervisor.plan.url("LOCALSTACK_PORT"):
        raise ModelwatchError(
            "the metrics of a deployment elsewhere are not on this machine: say where they are, "
            "with --bridge http://HOST:9108/metrics or, for `check metrics`, --prometheus URL"
        )
    found = {"bridge": f"{supervisor.plan.url('BRIDGE_PORT')}/metrics"}
    if supervisor.is_up("prometheus"):
        found["prometheus"] = supervisor.plan.url("PROMETHEUS_PORT")
    return found


def _print_step(outcome: Outcome) -> None:
    seconds = f"  [dim]{outcome.seconds:.1f} s[/dim]" if outcome.state != "skipped" else ""
    console.print(f"{_MARKS[outcome.state]} {outcome.step:<9} {escape(outcome.found)}{seconds}")
    if outcome.remedy:
        console.print(f"            → {outcome.remedy}", markup=False)


def _print_findings(source: str, findings: Sequence[Finding]) -> None:
    """Print a line per place, the errors below it, and then the queries that may be empty."""
    console.print(f"Asked of {source}", markup=False)
    for place in dict.fromkeys(finding.place for finding in findings):
        here = [finding for finding in findings if finding.place == place]
        counts = Counter(finding.state for finding in here)
        empty = f", {counts['empty']} rightly empty" if counts["empty"] else ""
        wrong = f", {counts['wrong']} wrong" if counts["wrong"] else ""
        mark = _MARKS["failed" if wrong else "ok"]
        console.print(f"{mark} {escape(place)}: {counts['data']} with data{empty}{wrong}")
        for finding in here:
            if finding.state == "wrong":
                console.print(f"    {finding.title}: {finding.why}", markup=False)
                if finding.expression:
                    console.print(f"        {finding.expression}", markup=False)
    reasons: dict[str, set[str]] = {}
    for finding in findings:
        if finding.state == "empty":
            reasons.setdefault(finding.why, set()).add(finding.title)
    if reasons:
        console.print("\nRightly empty:")
    for why, titles in sorted(reasons.items()):
        console.print(f"  {why}: {', '.join(sorted(titles))}", markup=False)
    if any(finding.state == "wrong" for finding in findings):
        console.print(
            "\nWhat is not there comes with traffic and the analysis that follows it: "
            "`modelwatch check`, then wait for the schedule. If it does not come: "
            "`modelwatch logs bridge`.",
            markup=False,
        )
