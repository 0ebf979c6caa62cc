"""`modelwatch deploy` and `modelwatch undeploy`."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.status import Status

from modelwatch.errors import InvalidInputError, WrongSettingsError
from modelwatch_cli.console import console as standard_console
from modelwatch_cli.console import error_console, print_json, print_table
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch_cli.deployment.cloudformation.change_sets import Change
    from modelwatch_cli.deployment.deployer import StackResult


class ConsoleProgress:
    """Writes a line for each step of a deployment."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, subject: str, message: str) -> None:
        """Write a sentence about ``subject``."""
        self._console.print(f"  {subject}: {message}", markup=False)

    def done(self, result: StackResult) -> None:
        """Write the result of a stack."""
        self.say(result.name, f"{result.action} ({result.seconds:.1f} s)")


class Asking:
    """Shows the changes of a stack, and asks for them; one stack at a time."""

    def __init__(self, console: Console, is_confirmed: bool) -> None:
        self._console = console
        self._is_confirmed = is_confirmed
        self._one = threading.Lock()
        self.status: Status | None = None

    def confirm(self, stack: str, changes: Sequence[Change]) -> bool:
        """Return whether the changes shall be made."""
        with self._one:
            for each in changes:
                text = f"  {stack}: {each.action} {each.resource} ({each.kind})"
                self._console.print(text, markup=False)
            if self._is_confirmed:
                return True
            if self.status:
                self.status.stop()
            try:
                return typer.confirm(f"Change {stack}?", err=self._console.stderr)
            finally:
                if self.status:
                    self.status.start()


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(deploy)
    app.command()(undeploy)


def deploy(
    apps: Annotated[
        list[str] | None, typer.Argument(help="predict, capture, analyze; all when left out")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="build and compare, and change nothing")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="only look for what would make it fail")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="on AWS: make the changes without a question")
    ] = False,
) -> None:
    """Deploy the functions, and what they need, through CloudFormation.

    To AWS_ENDPOINT_URL, or to AWS when that is empty. Settings that are wrong are refused before
    anything changes, and on AWS also an account, rights, buckets, a registry or quotas with which
    it cannot succeed: `--check` lists what was found, and exits with 1 if something is wrong. What
    did not change is left alone. On AWS each stack's changes are shown and have to be confirmed.
    Predict is a zip or an image, as the
    versions that serve need (PREDICT_PACKAGE). On AWS, API_AUTH has to say who may call.
    """
    # Chalice and boto3 take a while to import, and `modelwatch --help` needs neither.
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch_cli import buckets
    from modelwatch_cli.deployment.building.environments import model_requirements
    from modelwatch_cli.deployment.checks import check_settings
    from modelwatch_cli.deployment.cloudformation.clients import client_maker, make_clients
    from modelwatch_cli.deployment.cloudformation.endpoints import deployed_urls
    from modelwatch_cli.deployment.cloudformation.plan import chosen_apps, make_plan
    from modelwatch_cli.deployment.deployer import Deployer
    from modelwatch_cli.deployment.neighbours import stages
    from modelwatch_cli.deployment.preflight import SETTINGS, Finding, PreflightError, look_ahead
    from modelwatch_cli.deployment.served import (
        ServedVersion,
        choose_package,
        deployed_package,
        read_served,
    )
    from modelwatch_cli.project import Project
    from modelwatch_cli.retention.rules import set_retention
    from modelwatch_cli.stack.environment import LOADER

    started = time.monotonic()
    console = error_console if as_json else standard_console
    settings = Settings()
    chosen = chosen_apps(apps or ())
    progress = ConsoleProgress(console)
    clients = make_clients(settings)
    findings = [Finding(SETTINGS, "ok", "they fit together")]
    served: tuple[ServedVersion, ...] = ()
    try:
        served = check_settings(
            settings,
            chosen,
            progress.say,
            read_served,
            LOADER.names_in_files(),
            LOADER.names_in_environment(),
            lambda: stages(clients.cloudformation),
        )
    except WrongSettingsError as error:
        findings = [Finding(SETTINGS, "wrong", str(each)) for each in error.errors]
        if settings.aws_endpoint_url and not check:
            raise
    if check or not settings.aws_endpoint_url:
        findings += look_ahead(settings, chosen, client_maker(settings))
    wrong = [each for each in findings if each.state == "wrong"]
    if check:
        if as_json:
            print_json({"ok": not wrong, "findings": findings})
        else:
            lines = [(each.subject, each.state, each.text) for each in findings]
            print_table(("what", "is", "found"), lines)
        raise typer.Exit(1 if wrong else 0)
    if wrong:
        raise PreflightError(wrong)
    on_aws = not settings.aws_endpoint_url
    if on_aws and not (yes or dry_run or sys.stdin.isatty()):
        raise InvalidInputError("--yes", "is needed where no one can be asked: this changes AWS")
    package, why = "", ""
    if "predict" in chosen:
        package, why = choose_package(
            settings, served, lambda: deployed_package(clients.cloudformation, settings)
        )
        progress.say("predict", f"as {'an image' if package == 'image' else 'a zip'}: {why}")
    plan = make_plan(settings, chosen, package)
    needs: list[str] = []
    if package == "image":
        needs = model_requirements(settings, {each.title: each.requirements for each in served})
    asking = Asking(console, yes)
    deployer = Deployer(
        project=Project(),
        settings=settings,
        plan=plan,
        clients=clients,
        progress=progress,
        ensure_buckets=lambda names: buckets.ensure_buckets(s3_client(settings), names),
        set_retention=lambda: set_retention(settings, s3_client(settings)),
        ensure_package_bucket=lambda name: buckets.ensure_buckets(clients.packages, [name]),
        model_requirements=needs,
        dry_run=dry_run,
        confirm=asking.confirm,
    )
    where = settings.aws_endpoint_url or f"AWS, {settings.aws_default_region}"
    console.print(f"Deploying stage {plan.stage} to {where}")
    with console.status("deploying …") as asking.status:
        results = deployer.run()
    urls = deployed_urls(settings)
    if as_json:
        outcome = {"dry_run": dry_run, "stacks": results, "urls": urls}
        print_json(outcome | ({"predict": {"package": package, "why": why}} if package else {}))
        return
    rows = [
        (result.name, result.action, f"{result.seconds:.1f}")
        for result in sorted(results, key=lambda result: result.name)
    ]
    print_table(("stack", "would be" if dry_run else "action", "seconds"), rows)
    print_table(("API", "URL"), list(urls.items()))
    if not dry_run:
        console.print(f"Deployed in {time.monotonic() - started:.1f} s.")


def undeploy(
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
) -> None:
    """Delete the functions, their layers and the capture queue; buckets and data stay.

    Records that wait in the queue are deleted with it. On AWS the queue stays, with its stack.
    """
    from modelwatch_cli.deployment.cloudformation.clients import make_clients
    from modelwatch_cli.deployment.cloudformation.plan import make_plan
    from modelwatch_cli.deployment.removal import undeploy as delete_stacks

    console = error_console if as_json else standard_console
    settings = Settings()
    with console.status("deleting …"):
        results = delete_stacks(
            make_plan(settings),
            make_clients(settings),
            ConsoleProgress(console),
            on_aws=not settings.aws_endpoint_url,
        )
    if as_json:
        print_json({"stacks": results})
