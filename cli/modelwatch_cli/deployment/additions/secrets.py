"""The right to read exactly the secrets that an app's settings refer to."""

from __future__ import annotations

from typing import Any

from modelwatch.adapters.aws.secrets import reference_of
from modelwatch.settings import Group
from modelwatch_cli.deployment.cloudformation.templates import Template, with_policy
from modelwatch_cli.settings import Settings

_READ = {"secretsmanager": "secretsmanager:GetSecretValue", "ssm": "ssm:GetParameter"}


def with_secrets(template: Template, group: type[Group], settings: Settings) -> Template:
    """Return an app's ``template``, whose role may read the secrets that its settings name.

    Parameters
    ----------
    group
        The settings that the app reads.
    """
    texts = [settings.text(each.name) for each in group.declared().values() if each.is_secret]
    found = {each for each in map(reference_of, texts) if each}
    if not found:
        return template
    statements: list[dict[str, Any]] = [
        {
            "Sid": f"ReadSecretsIn{service.capitalize()}",
            "Effect": "Allow",
            "Action": _READ[service],
            "Resource": sorted({each.arn for each in found if each.service == service}),
        }
        for service in sorted({each.service for each in found})
    ]
    return with_policy(template, "secrets", statements)
