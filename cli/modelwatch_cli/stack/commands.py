"""`modelwatch up`, `down`, `status`, `logs`, `urls`, `env` and `reset`."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwatch.errors import DamagedError, ModelwatchError
from modelwatch_cli.console import console, error_console, print_json, print_table
from modelwatch_cli.options import model_option, since_option, until_option, version_option
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch_cli.stack.display import Display

_JSON = typer.Option("--json", help="print JSON")
NOT_ALL_UP = 3
"""Exit code of `status` when some part is not up, as `systemctl status` has it."""


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    for command in (up, down, status, logs, urls, env, drain, reset):
        app.command()(command)


def up() -> None:
    """Start the stack on this machine: LocalStack, S3, MLflow, the bridge and Prometheus.

    Parts that run already do not change. Everything listens on 127.0.0.1.
    """
    from modelwatch_cli.stack.display import Display
    from modelwatch_cli.stack.environment import LOADER
    from modelwatch_cli.stack.supervisor import Supervisor

    began = time.monotonic()
    supervisor = Supervisor()
    with Display(error_console) as display:
        started = supervisor.up(display.begins, display.done)
    if not shutil.which("prometheus"):
        error_console.print(
            "  Prometheus      is not on the PATH and was not started; "
            "install it (such as `apt install prometheus`) and run `modelwatch up` again"
        )
    # the next steps of a demo in this process find the stack, too
    LOADER.reload()
    error_console.print(f"The stack is up ({time.monotonic() - began:.1f} s).")
    if "localstack" in started:
        error_console.print("`modelwatch deploy` puts the functions on it.")


def down(
    force: Annotated[
        bool, typer.Option("--force", help="do not wait for the capture queue")
    ] = False,
) -> None:
    """Drain the capture queue, and stop the parts that `up` started.

    Models, captures and reports stay; deploy the functions again after the next `up`.
    """
    from modelwatch_cli.stack.display import Display
    from modelwatch_cli.stack.draining import queue_client
    from modelwatch_cli.stack.supervisor import Supervisor

    began = time.monotonic()
    supervisor = Supervisor()
    with Display(error_console) as display:
        if not force and supervisor.is_up("localstack"):
            _drain(queue_client(supervisor.plan.stack_env()), supervisor.plan.settings, display)
        stopped = supervisor.down(display.begins, display.done)
    if stopped:
        error_console.print(f"The stack is down ({time.monotonic() - began:.1f} s).")
    else:
        error_console.print("The stack was down already.")


def status(
    model: Annotated[str | None, model_option("only this model; by default all")] = None,
    version: Annotated[str | None, version_option("only this version; by default all")] = None,
    since: Annotated[
        str | None, since_option("only what was analyzed after this; by default all")
    ] = None,
    until: Annotated[
        str | None, until_option("only what was last analyzed before this time")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="most model versions, the worst")] = 20,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show which parts run, and how models stand: the worst first, with their open episodes.

    Exits with 3 if a part is not up; a drift is no failure.
    """
    from modelwatch_cli.monitoring.reports import ModelQuery, print_models
    from modelwatch_cli.stack.parts import TITLES
    from modelwatch_cli.stack.supervisor import Supervisor

    asked = ModelQuery(model, version, since, until, limit)
    supervisor = Supervisor()
    parts = supervisor.status()
    settings = Settings()
    runs = {part.name for part in parts if part.state == "up"}
    # elsewhere than on this machine no part says whether the functions are there
    models = asked.read(settings) if "localstack" in runs or not settings.aws_endpoint_url else None
    if as_json:
        print_json({"parts": parts, "models": models.found if models else []})
    else:
        rows = [
            (
                TITLES[part.name],
                part.state,
                part.address,
                part.pid,
                _since(part.since) if part.since else "",
                f"{part.memory_bytes / 1e6:.0f} MB" if part.memory_bytes else "",
            )
            for part in parts
        ]
        print_table(["part", "state", "address", "pid", "since", "memory"], rows)
        if models:
            print_models(models)
    for part in parts:
        if part.state == "taken":
            error_console.print(f"{TITLES[part.name]}: {part.note}", markup=False)
        elif part.state == "dead":
            error_console.print(
                f"{TITLES[part.name]} ended unexpectedly; `modelwatch up` starts it again; "
                f"the end of its log, {part.note}:",
                *(f"    {line}" for line in supervisor.home.log_end(part.name)),
                sep="\n",
                markup=False,
            )
    if any(part.state != "up" for part in parts):
        raise typer.Exit(NOT_ALL_UP)


def logs(
    name: Annotated[
        str,
        typer.Argument(help="localstack, s3, mlflow, bridge, prometheus; or a function: predict …"),
    ],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="go on with new lines")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="how many lines")] = 100,
) -> None:
    """Print the log of a part, or what a function wrote to CloudWatch Logs.

    Metrics of functions are printed in words.
    """
    for line in _log_lines(name, lines, follow):
        console.print(line, markup=False)


def urls(
    model: Annotated[
        str | None, model_option("also where this model predicts; the newest report is its own")
    ] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Print the addresses: live page, APIs, MLflow, metrics, Prometheus, the newest report."""
    with error_console.status("asking"):
        found = _addresses(model)
    if as_json:
        print_json(found)
    else:
        print_table(["what", "address"], found.items())


def env(as_json: Annotated[bool, _JSON] = False) -> None:
    """Print the variables with which other programs find the stack, for a shell.

    Use as: eval "$(modelwatch env)"
    """
    from modelwatch_cli.stack.environment import LOADER

    variables = LOADER.from_file()
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        console.print(f"export {name}={shlex.quote(value)}", markup=False)


def drain() -> None:
    """Wait until the capture queue is empty; `down` does this itself.

    Use it before you stop a stack that runs elsewhere. Exits with 1 if messages are left.
    """
    import boto3

    from modelwatch_cli.stack.checks import require_stack
    from modelwatch_cli.stack.display import Display
    from modelwatch_cli.stack.errors import StackError

    settings = Settings()
    require_stack(settings)
    with Display(error_console) as display:
        left = _drain(
            boto3.client("sqs", region_name=settings.aws_default_region), settings, display
        )
    if left:
        raise StackError(
            f"{left} messages are still in the capture queue; each holds one record or many"
        )


def reset(
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Stop the stack and delete its data: models, captures, reports, logs, everything."""
    from modelwatch_cli.stack.display import Display
    from modelwatch_cli.stack.supervisor import Supervisor

    supervisor = Supervisor()
    home = supervisor.home
    if not yes:
        if not sys.stdin.isatty():
            raise ModelwatchError(f"reset deletes all data in {home.root}; confirm with --yes")
        typer.confirm(
            f"Delete all models, captures and reports in {home.root}?", abort=True, err=True
        )
    with Display(error_console) as display:
        supervisor.down(display.begins, display.done)
    home.delete()
    error_console.print(f"The data in {home.root} is deleted.")


def _since(started_at: float) -> str:
    """Return the time of day, or the date if that was more than a day ago."""
    recent = time.time() - started_at < 86_400
    return f"{datetime.fromtimestamp(started_at):{'%H:%M:%S' if recent else '%Y-%m-%d'}}"


def _drain(sqs: Any, settings: Settings, display: Display) -> int:
    """Wait for the capture queue, show it, and return how many records are left."""
    from modelwatch_cli.stack.draining import drain as wait_for_queue

    title = "capture queue"
    display.begins(title, "draining")
    # predict may keep the records of its last requests for this time
    time.sleep(settings.capture_flush_ms / 1000)
    left, waited = wait_for_queue(
        sqs,
        settings.capture_queue_name,
        lambda count: display.begins(title, f"draining: {count} messages"),
    )
    if waited and not left:
        # the bridge still has to read the reports of the last invocations
        time.sleep(settings.bridge_poll_seconds + 0.5)
    display.done(title, f"not drained: {left} messages are lost if it stops" if left else "empty")
    return left


def _log_lines(name: str, lines: int, follow: bool) -> Iterator[str]:
    from modelwatch_cli.stack.home import Home
    from modelwatch_cli.stack.part_logs import read_part_log
    from modelwatch_cli.stack.parts import TITLES

    settings = Settings()
    if name in TITLES:
        yield from read_part_log(Home.of(settings), name, lines, follow)
        return
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from modelwatch_cli.stack.errors import StackError
    from modelwatch_cli.stack.function_logs import read_function_log

    try:
        client = boto3.client("logs", region_name=settings.aws_default_region)
        yield from read_function_log(client, settings, name, lines, follow)
    except (BotoCoreError, ClientError) as error:
        raise StackError(f"CloudWatch Logs cannot be read: {error}") from error


def _addresses(model: str | None) -> dict[str, str]:
    """Return the addresses that exist; raises InvalidInputError for a model that is not served."""
    from modelwatch.errors import StoreError
    from modelwatch_cli.deployment.cloudformation.calling import predict_url
    from modelwatch_cli.deployment.cloudformation.endpoints import deployed_urls
    from modelwatch_cli.deployment.cloudformation.errors import NotDeployedError
    from modelwatch_cli.stack.checks import require_stack
    from modelwatch_cli.stack.supervisor import Supervisor

    settings = Settings()
    require_stack(settings)
    apis: dict[str, str] = {}
    report = None
    try:
        apis = deployed_urls(settings)
        report = _newest_report(settings, apis.get("analyze"), model or "")
    except (NotDeployedError, StoreError) as error:
        error_console.print(str(error), markup=False)
    found = {f"{app} API": url for app, url in apis.items()}
    if model and "predict" in apis:
        found["predict URL"] = predict_url(apis["predict"], settings, model)
    if settings.model_registry:
        found["registry"] = settings.model_registry
    else:
        found["MLflow"] = settings.mlflow_tracking_uri
    for part in Supervisor().status():
        if part.name == "bridge" and part.state == "up":
            found = {"live page": part.address.removesuffix("metrics"), **found}
            found["metrics"] = part.address
        elif part.name == "prometheus" and part.state == "up":
            found["Prometheus"] = part.address
    return {**found, "newest report": report} if report else found


def _newest_report(settings: Settings, analyze_url: str | None, model: str) -> str | None:
    """Return the address of the newest report; None if there is none, or no page for it."""
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.results.reports import S3ReportStore

    if analyze_url is None:
        return None
    store = S3ReportStore(s3_client(settings), settings.report_bucket)
    newest = store.newest(store.versions(model), None, None, 20)
    for each in newest:
        try:
            result = store.result(str(each.name))
        except DamagedError:
            continue  # one is as good as another here
        if result.has_report:
            return f"{analyze_url}/reports/{result.name}"
    return None
