"""Secrets by reference: in place of a secret, a setting may hold the ARN where it is kept.

``arn:aws:secretsmanager:…:secret:NAME-XXXXXX`` or ``arn:aws:ssm:…:parameter/NAME``; with ``#FIELD``
behind it, it is that field of a JSON object. So a template and a function's variables show the
reference alone, and the function's role may read exactly that secret.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from modelwatch.errors import SettingError
from modelwatch.settings.reading import Group

_REFERENCE = re.compile(
    r"(arn:aws[a-z-]*:(?:secretsmanager:(?P<region>[a-z0-9-]+):\d{12}:secret:"
    r"|ssm:(?P<other>[a-z0-9-]+):\d{12}:parameter/)[\w/+=.@-]+)(?:#(?P<field>.+))?"
)


class Reference(NamedTuple):
    """Where a secret is kept.

    Attributes
    ----------
    field
        Of a JSON object; empty: the whole text.
    """

    arn: str
    service: str
    region: str
    field: str


def reference_of(value: str) -> Reference | None:
    """Return the reference that ``value`` is; None if it is something else.

    >>> reference_of("arn:aws:ssm:eu-west-1:123456789012:parameter/mlflow/token#a").field
    'a'
    >>> reference_of("a password")
    """
    match = _REFERENCE.fullmatch(value)
    if match is None:
        return None
    region = match["region"] or match["other"]
    return Reference(match[1], match[1].split(":")[2], region, match["field"] or "")


def secret(settings: Group, name: str) -> str:
    """Return the setting ``name``, read from where it is kept if that is what it says.

    Raises SettingError when it cannot be read there.
    """
    value = settings.text(name)
    reference = reference_of(value)
    if reference is None:
        return value
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        kept = _read(reference)
    except (BotoCoreError, ClientError) as error:
        raise SettingError(name, f"{reference.arn} cannot be read: {error}") from error
    if not reference.field:
        return kept
    try:
        return str(json.loads(kept)[reference.field])
    except (ValueError, KeyError, TypeError):
        # not the cause: it may quote the secret
        raise SettingError(
            name, f"{reference.arn} is no JSON object with the field '{reference.field}'"
        ) from None


def _read(reference: Reference) -> str:
    import boto3

    if reference.service == "ssm":
        client = boto3.client("ssm", region_name=reference.region)
        found = client.get_parameter(Name=reference.arn, WithDecryption=True)
        return str(found["Parameter"]["Value"])
    store = boto3.client("secretsmanager", region_name=reference.region)
    return str(store.get_secret_value(SecretId=reference.arn)["SecretString"])
