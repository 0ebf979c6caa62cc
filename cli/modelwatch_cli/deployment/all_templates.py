"""The templates of all stacks as a deployment sends them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelwatch_cli.deployment.additions.alarms.stack import alarm_template
from modelwatch_cli.deployment.additions.encryption import with_key
from modelwatch_cli.deployment.additions.limits import with_roles
from modelwatch_cli.deployment.additions.transport import with_filters
from modelwatch_cli.deployment.additions.versions import with_versions
from modelwatch_cli.deployment.building.packaging import function_names, package_app, with_code
from modelwatch_cli.deployment.cloudformation.plan import APPS, wants_tables
from modelwatch_cli.deployment.cloudformation.templates import (
    Template,
    load_template,
    with_kept_queues,
)
from modelwatch_cli.deployment.deployer import configured
from modelwatch_cli.project import Project
from modelwatch_cli.settings import Settings


def packages(region: str) -> dict[str, Template]:
    """Return what Chalice makes of the apps, by name."""
    return {app: package_app(Project(), app, region).template for app in APPS}


def all_templates(
    settings: Settings, packaged: Mapping[str, Template]
) -> Iterator[tuple[str, Template]]:
    """Yield the template of each stack, by the part that it is of."""
    limits: dict[str, int] = {}
    for app in APPS:
        template = configured(packaged[app], app, settings)
        limits |= dict.fromkeys(function_names(template, settings.stage), 60)
        template = with_filters(with_code(template, "packages", "functions/key.zip"), settings)
        yield app, with_versions(template, {}, settings) if app == "predict" else template
    for path in sorted(Project().template("storage").parent.glob("*.yaml")):
        template = with_roles(load_template(path), settings)
        yield path.stem, with_kept_queues(with_key(template, settings.kms_key_arn))
    alarms = alarm_template(settings, limits, settings.capture_queue_name)
    yield "alarms", with_key(alarms, settings.kms_key_arn)
    if wants_tables(settings):
        from modelwatch_cli.deployment.additions.tables import tables_template

        yield "sql", with_key(tables_template(settings), settings.kms_key_arn)
