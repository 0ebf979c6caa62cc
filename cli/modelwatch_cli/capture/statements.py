"""`modelwatch captures table`: the statement that makes a version's captures a table of Athena."""

from __future__ import annotations

from typing import Annotated

import typer

from modelwatch.errors import NotFoundError
from modelwatch_cli.console import print_json
from modelwatch_cli.options import model_option, version_option
from modelwatch_cli.settings import Settings

_LOOKED_AT = 20
"""Objects whose columns are looked at: the newest."""


def captures_table(
    model_name: Annotated[str, model_option("whose captures")],
    model_version: Annotated[str, version_option("its version")],
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
) -> None:
    """Print the SQL statement that makes a version's captures a table of Athena, with features.

    The tables of SQL_TABLES=on hold all models, and so no features. Columns are those of the newest
    objects.
    """
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.aws.objects import S3Objects
    from modelwatch.adapters.captures.feature_columns import unified_schema
    from modelwatch.adapters.captures.layout import CaptureObject, version_prefix
    from modelwatch.adapters.captures.records import S3RecordStore
    from modelwatch_cli.deployment.additions.tables import create_statement, version_table

    settings = Settings()
    client, bucket = s3_client(settings), settings.capture_bucket
    prefix = version_prefix(model_name, model_version)
    keys = (CaptureObject.parse(key) for key, _ in S3Objects(client, bucket).keys(prefix))
    found = sorted((each for each in keys if each), key=lambda each: each.last_ms)[-_LOOKED_AT:]
    if not found:
        raise NotFoundError(f"there are no captures of {model_name} version {model_version}")
    store = S3RecordStore(client, bucket)
    schema = unified_schema([store.schema(each.key).remove_metadata() for each in found])
    statement = create_statement(version_table(model_name, model_version, schema), settings)
    if as_json:
        print_json({"statement": statement})
    else:
        typer.echo(f"{statement};")
