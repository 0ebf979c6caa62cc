"""`modelwatch releases` and `modelwatch rollback`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from modelwatch.errors import InvalidInputError
from modelwatch_cli.console import console as standard_console
from modelwatch_cli.console import error_console, print_json, print_table
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch_cli.deployment.releases import Release

_LOOKED_AT = 50
"""So many releases back, at most, is the one before the newest."""

_SECONDS = "%Y-%m-%d %H:%M:%S"


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(releases)
    app.command()(rollback)


def releases(
    limit: Annotated[int, typer.Option(min=1, help="most releases, the newest")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="print the releases as JSON")] = False,
) -> None:
    """List what was deployed, newest first, and which of it runs now.

    A deployment or a rollback that changed something is a release; one that failed is none.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from modelwatch_cli.deployment.cloudformation.clients import make_clients
    from modelwatch_cli.deployment.cloudformation.errors import DeploymentError
    from modelwatch_cli.deployment.releases import ReleaseStore, live_apps
    from modelwatch_cli.deployment.rollback import deployed_digests

    settings = Settings()
    clients = make_clients(settings)
    try:
        deployed = deployed_digests(clients, settings)
    except (BotoCoreError, ClientError) as error:
        raise DeploymentError(f"AWS cannot be reached or refused: {error}") from error
    found = ReleaseStore(clients.packages, settings.package_bucket, settings.stage).newest(limit)
    live = live_apps(found, deployed)
    unknown = [
        app
        for app, known in deployed.items()
        if known and not any(app in apps for apps in live.values())
    ]
    if as_json:
        listed = [msgspec.to_builtins(each) | {"live": live[each.number]} for each in found]
        print_json({"releases": listed, "unknown": unknown})
        return
    if not found:
        standard_console.print("There are no releases yet: modelwatch deploy makes one")
        return
    print_table(
        ("release", "deployed (UTC)", "version", "revision", "live", ""),
        [_row(each, live[each.number]) for each in found],
    )
    if unknown:
        verb = "runs" if len(unknown) == 1 else "run"
        standard_console.print(f"{' and '.join(unknown)} {verb} as none of these releases.")


def _row(release: Release, live: list[str]) -> tuple[str, ...]:
    return (
        str(release.number),
        f"{release.at:{_SECONDS}}",
        release.version,
        release.revision,
        "yes" if len(live) == len(release.apps) else ", ".join(live),
        f"puts back {release.puts_back}" if release.puts_back else "",
    )


def rollback(
    release: Annotated[
        int | None,
        typer.Argument(min=1, help="its number; the one before the newest when left out"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="look and compare, and change nothing")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="on AWS: make the changes without a question")
    ] = False,
) -> None:
    """Put an earlier release back: its code, its templates, and the settings it was deployed with.

    Buckets, queues and data stay as they are, and so do layers and alarms; secrets are those of
    today's settings. A release of which a part is gone is refused, and nothing is changed. A second
    time it changes nothing. On AWS each stack's changes are shown and have to be confirmed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from modelwatch_cli.deployment.building.packages import PackageStore
    from modelwatch_cli.deployment.cloudformation.clients import client_maker, make_clients
    from modelwatch_cli.deployment.cloudformation.endpoints import deployed_urls
    from modelwatch_cli.deployment.cloudformation.errors import DeploymentError
    from modelwatch_cli.deployment.commands import Asking, ConsoleProgress
    from modelwatch_cli.deployment.deployer import stack_deployer
    from modelwatch_cli.deployment.releases import ReleaseStore, before_live
    from modelwatch_cli.deployment.rollback import Rollback, deployed_digests
    from modelwatch_cli.project import Project
    from modelwatch_cli.stack.draining import drain as wait_for_queue

    console = error_console if as_json else standard_console
    settings = Settings()
    if not settings.aws_endpoint_url and not (yes or dry_run or sys.stdin.isatty()):
        raise InvalidInputError("--yes", "is needed where no one can be asked: this changes AWS")
    clients = make_clients(settings)
    kept = ReleaseStore(clients.packages, settings.package_bucket, settings.stage)
    try:
        chosen = (
            kept.read(release)
            if release
            else before_live(kept.newest(_LOOKED_AT), deployed_digests(clients, settings))
        )
    except (BotoCoreError, ClientError) as error:
        raise DeploymentError(f"AWS cannot be reached or refused: {error}") from error
    asking, progress = Asking(console, yes), ConsoleProgress(console)
    store = PackageStore(clients.packages, settings.package_bucket)

    def drain() -> int:
        queue = settings.capture_queue_name
        time.sleep(settings.capture_flush_ms / 1000)  # predict may keep records for that long
        return wait_for_queue(client_maker(settings)("sqs"), queue, lambda _: None)[0]

    going = Rollback(
        Project(),
        settings,
        clients,
        stack_deployer(clients, settings, store, asking.confirm, chosen.version),
        progress,
        drain,
    )
    where = settings.aws_endpoint_url or f"AWS, {settings.aws_default_region}"
    console.print(f"Putting release {chosen.number} of stage {settings.stage} back on {where}")
    with console.status("putting back …") as asking.status:
        results = going.run(chosen, dry_run=dry_run)
    urls = deployed_urls(settings)
    if as_json:
        print_json({"dry_run": dry_run, "release": chosen.number, "stacks": results, "urls": urls})
        return
    rows = [(each.name, each.action, f"{each.seconds:.1f}") for each in results]
    print_table(("stack", "would be" if dry_run else "action", "seconds"), rows)
    print_table(("API", "URL"), list(urls.items()))
