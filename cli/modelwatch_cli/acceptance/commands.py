"""`modelwatch acceptance`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwatch import __version__
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.console import console, error_console, print_json
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch_cli.acceptance.measuring import Run
    from modelwatch_cli.checks.steps import Outcome

AWS_ONLY = {
    "roles": "LocalStack does not evaluate the functions' roles; on AWS every step needs them",
    "signatures": "LocalStack does not check requests that are signed with AWS credentials",
    "freeze": "a process here runs on after its response; on AWS it is frozen",
    "memory": "memory limits are not enforced here, and processors are not Lambda's",
}
"""What only AWS shows, and why a run on LocalStack does not."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(acceptance)


def acceptance(
    yes: Annotated[
        bool, typer.Option("--yes", help="on AWS: deploy and erase without a question")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
    of_killed: Annotated[
        str,
        typer.Option(
            "--erase", metavar="STAGE", help="erase the stage of one that was killed, and no more"
        ),
    ] = "",
) -> None:
    """Deploy a stage of its own, use it, measure it, erase it, and print a report to paste.

    For AWS: `modelwatch --env-file aws.env acceptance`. It has buckets, a queue, functions and a
    model that no other stage has, and erases them also when it fails or is interrupted. It costs
    some cents. Exits with 1 when a step fails or something could not be erased.
    """
    from modelwatch_cli.acceptance.measuring import Run
    from modelwatch_cli.acceptance.stage import (
        erase,
        own_variables,
        stages_left,
        variables,
        variables_of,
    )
    from modelwatch_cli.checks.steps import take_steps
    from modelwatch_cli.deployment.cloudformation.clients import client_maker
    from modelwatch_cli.deployment.commands import ConsoleProgress

    given = Settings()
    on_aws = not given.aws_endpoint_url
    where = f"AWS, {given.aws_default_region}" if on_aws else "LocalStack"
    own = variables_of(of_killed, given) if of_killed else own_variables(given)
    what = f"{'Erase' if of_killed else 'Deploy'} stage {own['STAGE']}"
    if on_aws and not yes:
        if not sys.stdin.isatty():
            raise InvalidInputError("--yes", "is needed where no one can be asked: this uses AWS")
        typer.confirm(f"{what}: {given.aws_account_id}, {where}?", abort=True, err=True)
    if of_killed:
        with variables(os.environ, own):
            _say_left(left := erase(Settings(), ConsoleProgress(error_console)))
        if left:
            raise typer.Exit(1)
        return
    for stage in stages_left(client_maker(given)("cloudformation")):
        error_console.print(
            f"Stage {stage} is there: another acceptance runs, or was killed. Then erase it: "
            f"`modelwatch acceptance --erase {stage}`",
            markup=False,
        )
    error_console.print(f"Acceptance of {__version__} on {where}: stage {own['STAGE']}")
    outcomes: list[Outcome] = []
    interrupted = False
    with variables(os.environ, own):
        settings = Settings()
        run = Run(settings)

        def done(outcome: Outcome) -> None:
            outcomes.append(outcome)
            text = f"  {outcome.step}: {outcome.state}: {outcome.found} ({outcome.seconds:.1f} s)"
            error_console.print(text, markup=False)

        try:
            take_steps(run.steps(), lambda _: None, done)
        except KeyboardInterrupt:
            interrupted = True
            error_console.print("Interrupted: what was made is erased now; please wait")
        finally:
            _say_left(left := erase(settings, ConsoleProgress(error_console)))
    report = _report(where, own, run, outcomes, left, on_aws, interrupted)
    if as_json:
        print_json(report)
    else:
        console.print(markdown(report), markup=False)
    if interrupted:
        raise ModelwatchError("the acceptance was interrupted")
    if not report["ok"]:
        raise typer.Exit(1)


def _say_left(left: list[str]) -> None:
    for each in left:
        error_console.print(f"Not erased: {each}", markup=False)


def _report(
    where: str,
    own: dict[str, str],
    run: Run,
    outcomes: list[Outcome],
    left: list[str],
    on_aws: bool,
    interrupted: bool,
) -> dict[str, Any]:
    passed = all(outcome.state == "ok" for outcome in outcomes)
    return {
        "ok": passed and not left and not interrupted,
        "version": __version__,
        "where": where,
        "at": datetime.now(UTC).replace(microsecond=0),
        "stage": own["STAGE"],
        "steps": outcomes,
        "not_run": {} if on_aws else AWS_ONLY,
        "measures": run.measures,
        "left": left,
    }


def markdown(report: dict[str, Any]) -> str:
    """Return a report as people paste it into an issue."""
    verdict = "passed" if report["ok"] else "failed"
    lines = [
        f"## modelwatch {report['version']} on {report['where']}: {verdict}",
        "",
        f"{report['at']:%Y-%m-%d %H:%M} UTC, stage {report['stage']}",
        "",
        "| step | outcome | found | s |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {each.step} | {each.state} | {_cell(each.found)} | {each.seconds:.1f} |"
        for each in report["steps"]
    ]
    lines += [f"| {name} | not run | {why} | |" for name, why in report["not_run"].items()]
    lines += ["", "| measured | |", "|---|---|"]
    lines += [f"| {each.what} | {each.value:.6g} {each.unit} |" for each in report["measures"]]
    lines += ["", "Everything was erased." if not report["left"] else "Not erased:"]
    lines += [f"- {_cell(each)}" for each in report["left"]]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
