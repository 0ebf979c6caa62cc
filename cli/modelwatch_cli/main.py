"""The `modelwatch` command."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from modelwatch import __version__
from modelwatch.domain.optional import optional_part
from modelwatch.errors import ModelwatchError
from modelwatch_cli import demo
from modelwatch_cli.acceptance import commands as acceptance
from modelwatch_cli.backfill import commands as backfill
from modelwatch_cli.baselines import commands as baselines
from modelwatch_cli.capture import captures, dlq, forget, labels
from modelwatch_cli.checks import commands as checks
from modelwatch_cli.console import console, error_console
from modelwatch_cli.costs import commands as costs
from modelwatch_cli.deployment import commands as deployment
from modelwatch_cli.deployment import release_commands
from modelwatch_cli.episodes import commands as episodes
from modelwatch_cli.monitoring import backtest, compare, performance, replay, reports
from modelwatch_cli.monitoring import commands as monitoring
from modelwatch_cli.monitors import commands as monitors
from modelwatch_cli.retention import commands as retention
from modelwatch_cli.rollback import commands as rollback
from modelwatch_cli.serving import commands as serving
from modelwatch_cli.serving import models
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack import commands as stack
from modelwatch_cli.stack.checks import name_silent_servers
from modelwatch_cli.stack.environment import LOADER
from modelwatch_cli.traffic import commands as traffic
from modelwatch_cli.traffic import scenario_commands as scenarios
from modelwatch_cli.training import adopt
from modelwatch_cli.training import commands as training

app = typer.Typer(
    name="modelwatch",
    help="Serverless monitoring of machine-learning models.",
    no_args_is_help=True,
    # Python shows an unexpected error
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        console.print(f"modelwatch {__version__}")
        raise typer.Exit


@app.callback()
def load_environment(
    env_file: Annotated[
        Path | None,
        typer.Option(
            help="file of NAME=value lines, in place of .env and of what `up` wrote: "
            "where AWS is meant, say"
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option("--version", help="print the version", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Monitor machine-learning models: train, deploy, predict, and detect drift.

    Environment variables override .env, and .env overrides the addresses that `up` wrote.
    """
    LOADER.load(env_file)


for module in (
    stack,
    training,
    adopt,
    serving,
    models,
    rollback,
    deployment,
    release_commands,
    traffic,
    scenarios,
    captures,
    labels,
    dlq,
    forget,
    retention,
    costs,
    monitoring,
    reports,
    optional_part(captures.SAGEMAKER, "model_monitor"),
    performance,
    replay,
    backtest,
    backfill,
    compare,
    baselines,
    monitors,
    episodes,
    checks,
    acceptance,
    demo,
):
    if module is not None:
        module.register(app)


def main() -> None:
    """Run the command; an expected error prints one sentence and exits with 1.

    If a server that it needs does not respond, a line before says which, and what starts it.
    """
    # a termination cleans up like Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        try:
            app()
        except Exception as error:
            name_silent_servers(error, Settings())
            raise
    except ModelwatchError as error:
        error_console.print(f"Error: {error}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
