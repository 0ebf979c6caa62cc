"""`modelwatch replay`: makes a past result again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwatch import __version__
from modelwatch_cli.console import console, count_of, error_console, print_json, print_table
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch.adapters.results.reports import S3ReportStore
    from modelwatch.domain.verdict.evidence import CodeVersion
    from modelwatch.services.replay import Replay


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(replay)


def replay(
    name: Annotated[str, typer.Argument(help="name of a result; see `modelwatch reports --json`")],
    as_json: Annotated[
        bool, typer.Option("--json", help="print differences and the manifest as JSON")
    ] = False,
) -> None:
    """Make a result again from its stored evidence, and compare them to the last bit.

    It reads no captures, registry, baselines or current configuration. Exits with 1 if anything
    differs.
    """
    from modelwatch.services.replay import replay as replay_result

    settings = Settings()
    with error_console.status("replaying"):
        done = replay_result(report_store(settings), name, this_code(settings))
    if as_json:
        print_json(done)
    else:
        _print(done)
    if not done.same:
        raise typer.Exit(1)


def report_store(settings: Settings) -> S3ReportStore:
    """Return the store of results."""
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.results.reports import S3ReportStore

    return S3ReportStore(s3_client(settings), settings.report_bucket)


def this_code(settings: Settings) -> CodeVersion:
    """Return the version of the code that runs this command."""
    from modelwatch.domain.verdict.evidence import CodeVersion
    from modelwatch_cli.deployment.building.revision import git_revision
    from modelwatch_cli.project import Project

    revision = settings.code_revision or git_revision(Project())
    return CodeVersion(__version__, revision)


def _print(done: Replay) -> None:
    manifest = done.manifest
    compared = "nothing" if manifest.reference is None else manifest.reference.title
    console.print(
        f"{done.result}: {count_of(manifest.window.rows, 'row')} of "
        f"{count_of(len(manifest.window.objects), 'object')}, "
        f"compared with {compared}; given by {done.given_by}, replayed by {done.replayed_by}",
        markup=False,
    )
    if done.same:
        console.print("the same", style="green")
        return
    console.print(f"{len(done.differences)} differences", style="red")
    print_table(
        ["place", "given", "now"],
        [[each.place, _short(each.given), _short(each.now)] for each in done.differences],
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
