"""Tables of Athena over captures, labels and results: SQL_TABLES=on, a stack of its own.

Columns are those of the code that writes the files. Partitions are projected: Athena computes from
a query which folders there can be, so what lands is there at once, and nothing has to be crawled.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pyarrow as pa

from modelwatch.adapters.captures.labels import LABEL_SCHEMA, LABELS
from modelwatch.adapters.captures.layout import CAPTURES, version_prefix
from modelwatch.adapters.captures.parquet import FIXED_SCHEMA
from modelwatch.adapters.results.rows import OF_THE_KEY, RESULT_ROWS
from modelwatch.adapters.results.rows import SCHEMA as RESULTS_SCHEMA
from modelwatch_cli.deployment.cloudformation.templates import Template
from modelwatch_cli.settings import Settings

SCAN_LIMIT_BYTES = 100 * 2**30
"""A query that reads more is ended: half a dollar."""

OUTPUT_DAYS = 1
"""So long S3 keeps what a query found: it may be rows of persons."""

FIRST_DAY = "2010-01-01"
"""Projected days begin here; imported predictions are seldom older."""

_TYPES = {"string": "string", "double": "double", "int64": "bigint", "bool": "boolean"}

_PROJECTED = {
    # of any value: a query has to give it
    "model_name": {"type": "injected"},
    "model_version": {"type": "injected"},
    "date": {
        "type": "date",
        "format": "yyyy-MM-dd",
        "range": f"{FIRST_DAY},NOW+1DAYS",
        "interval": "1",
        "interval.unit": "DAYS",
    },
    "hour": {"type": "integer", "range": "0,23", "digits": "2"},
}


class SqlTable(NamedTuple):
    """A table over the Parquet files below a prefix.

    ``bucket`` is the setting that names the bucket; ``partitions`` are in the order of the key.
    """

    name: str
    says: str
    bucket: str
    prefix: str
    schema: pa.Schema
    partitions: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Where a partition is, below the bucket; ``${name}`` stands for a partition's value."""
        return self.prefix + "".join(f"{each}=${{{each}}}/" for each in self.partitions)

    @property
    def columns(self) -> dict[str, str]:
        """The type in Athena of each column in the files."""
        return {each.name: athena_type(each.type) for each in self.schema}

    @property
    def projection(self) -> dict[str, str]:
        """The properties from which Athena computes the partitions."""
        return {"projection.enabled": "true"} | {
            f"projection.{name}.{each}": value
            for name in self.partitions
            for each, value in _PROJECTED[name].items()
        }


def _without(schema: pa.Schema, names: tuple[str, ...]) -> pa.Schema:
    return pa.schema([each for each in schema if each.name not in names])


TABLES = (
    SqlTable(
        "captures",
        "what was predicted, without the features, whose columns differ from model to model",
        "CAPTURE_BUCKET",
        CAPTURES,
        FIXED_SCHEMA,
        ("model_name", "model_version", "date", "hour"),
    ),
    SqlTable("labels", "labels by the hour of their predictions", "CAPTURE_BUCKET", LABELS,
             LABEL_SCHEMA, ("date", "hour")),
    SqlTable(
        "results",
        "scores, verdicts and performance: a row for each window, and one for each feature",
        "REPORT_BUCKET",
        RESULT_ROWS,
        _without(RESULTS_SCHEMA, OF_THE_KEY),
        ("model_name", "model_version", "date"),
    ),
)  # fmt: skip


def athena_type(kind: pa.DataType) -> str:
    """Return how Athena calls a type of a file's column.

    >>> athena_type(pa.list_(pa.float64()))
    'array<double>'
    """
    if pa.types.is_list(kind):
        return f"array<{athena_type(kind.value_type)}>"
    return "timestamp" if pa.types.is_timestamp(kind) else _TYPES[str(kind)]


def database_name(stage: str) -> str:
    """Return the name of a stage's database: Glue takes no hyphen.

    >>> database_name("my-prod")
    'modelwatch_my_prod'
    """
    return f"modelwatch_{stage.replace('-', '_')}"


def version_table(model_name: str, model_version: str, schema: pa.Schema) -> SqlTable:
    """Return the table of one version's captures, whose columns are those of ``schema``.

    Athena reads no whole number as a double, and versions may differ in that.
    """
    name = re.sub(r"[^a-z0-9]+", "_", f"captures_{model_name}_{model_version}".lower())
    says = f"captures of {model_name} version {model_version}"
    prefix = version_prefix(model_name, model_version)
    return SqlTable(name, says, "CAPTURE_BUCKET", prefix, schema, ("date", "hour"))


def create_statement(table: SqlTable, settings: Settings) -> str:
    """Return the statement that makes a table in Athena, in the stage's database."""
    place = f"s3://{settings.text(table.bucket)}/"
    columns = [f"  {_quoted(name)} {kind}" for name, kind in table.columns.items()]
    partitions = [f"{_quoted(each)} {_partition_type(each)}" for each in table.partitions]
    properties = table.projection | {"storage.location.template": place + table.folder}
    return "\n".join(
        [
            f"create external table {database_name(settings.stage)}.{table.name} (",
            ",\n".join(columns),
            f") partitioned by ({', '.join(partitions)})",
            "stored as parquet",
            f"location {_text(place + table.prefix)}",
            "tblproperties (",
            ",\n".join(f"  {_text(name)} = {_text(each)}" for name, each in properties.items()),
            ")",
        ]
    )


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _partition_type(name: str) -> str:
    return "int" if name == "hour" else "string"


def tables_template(settings: Settings) -> Template:
    """Return the template of the stack: tables, who may read them, and what a query may cost."""
    resources: dict[str, Any] = {
        "Output": _output(),
        "OutputAccessPolicy": _only_through_tls("Output"),
        "Database": {
            "Type": "AWS::Glue::Database",
            "Properties": {
                "CatalogId": {"Ref": "AWS::AccountId"},
                "DatabaseInput": {
                    "Name": database_name(settings.stage),
                    "Description": f"modelwatch {settings.stage}: captures, labels, results",
                },
            },
        },
        "WorkGroup": _workgroup(settings),
        "Readers": _readers(settings),
    }
    for each in TABLES:
        resources[each.name.capitalize()] = _table(each, settings)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "modelwatch: tables of captures, labels and results in Athena",
        "Resources": resources,
        "Outputs": {
            "WorkGroup": {"Value": {"Ref": "WorkGroup"}},
            "ReadersPolicyArn": {"Value": {"Ref": "Readers"}},
        },
    }


def _table(table: SqlTable, settings: Settings) -> dict[str, Any]:
    place = f"s3://{settings.text(table.bucket)}/"
    parquet = "org.apache.hadoop.hive.ql.io.parquet"
    return {
        "Type": "AWS::Glue::Table",
        "Properties": {
            "CatalogId": {"Ref": "AWS::AccountId"},
            "DatabaseName": {"Ref": "Database"},
            "TableInput": {
                "Name": table.name,
                "Description": table.says,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": {
                    "classification": "parquet",
                    "storage.location.template": place + table.folder,
                    **table.projection,
                },
                "PartitionKeys": [
                    {"Name": each, "Type": _partition_type(each)} for each in table.partitions
                ],
                "StorageDescriptor": {
                    "Location": place + table.prefix,
                    "InputFormat": f"{parquet}.MapredParquetInputFormat",
                    "OutputFormat": f"{parquet}.MapredParquetOutputFormat",
                    "SerdeInfo": {
                        "SerializationLibrary": f"{parquet}.serde.ParquetHiveSerDe",
                    },
                    "Columns": [
                        {"Name": name, "Type": kind} for name, kind in table.columns.items()
                    ],
                },
            },
        },
    }


def _output() -> dict[str, Any]:
    """Return the bucket of what queries find; it empties itself, also when the stack is gone."""
    encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    return {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "RetainExceptOnCreate",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "Id": "found-long-ago",
                        "Status": "Enabled",
                        "ExpirationInDays": OUTPUT_DAYS,
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                    }
                ]
            },
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        },
    }


def _only_through_tls(bucket: str) -> dict[str, Any]:
    arn = {"Fn::GetAtt": [bucket, "Arn"]}
    statement = {
        "Sid": "OnlyThroughTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {
        "Type": "AWS::S3::BucketPolicy",
        "DeletionPolicy": "RetainExceptOnCreate",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "Bucket": {"Ref": bucket},
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        },
    }


def _workgroup(settings: Settings) -> dict[str, Any]:
    key = settings.kms_key_arn
    encryption = {"EncryptionOption": "SSE_S3"}
    if key:
        encryption = {"EncryptionOption": "SSE_KMS", "KmsKey": key}
    return {
        "Type": "AWS::Athena::WorkGroup",
        "Properties": {
            "Name": f"modelwatch-{settings.stage}",
            "Description": "modelwatch: queries of captures and results, each with a bound",
            # what was asked is forgotten with it
            "RecursiveDeleteOption": True,
            "WorkGroupConfiguration": {
                "BytesScannedCutoffPerQuery": SCAN_LIMIT_BYTES,
                # a client cannot write elsewhere, or without encryption
                "EnforceWorkGroupConfiguration": True,
                "PublishCloudWatchMetricsEnabled": True,
                "EngineVersion": {"SelectedEngineVersion": "Athena engine version 3"},
                "ResultConfiguration": {
                    "OutputLocation": {"Fn::Sub": "s3://${Output}/"},
                    "EncryptionConfiguration": encryption,
                    "ExpectedBucketOwner": {"Ref": "AWS::AccountId"},
                },
            },
        },
    }


def _readers(settings: Settings) -> dict[str, Any]:
    """Return the policy for those who may ask: it reads these tables, and nothing else."""
    output = {"Fn::GetAtt": ["Output", "Arn"]}
    within = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:%s"
    database = database_name(settings.stage)
    statements: list[dict[str, Any]] = [
        _allow("Ask", ["athena:StartQueryExecution", "athena:StopQueryExecution",
                       "athena:GetQueryExecution", "athena:GetQueryResults",
                       "athena:GetWorkGroup"],
               {"Fn::Sub": within % ("athena", f"workgroup/modelwatch-{settings.stage}")}),
        _allow("ReadTables", ["glue:GetDatabase", "glue:GetTable", "glue:GetTables"],
               [{"Fn::Sub": within % ("glue", each)}
                for each in ("catalog", f"database/{database}", f"table/{database}/*")]),
        _allow("ReadFiles", ["s3:GetObject"],
               [_arn(f"{settings.text(each.bucket)}/{each.prefix}*") for each in TABLES]),
        *(
            _allow(f"List{_logical(setting)}", ["s3:ListBucket"], _arn(settings.text(setting)))
            | {"Condition": {"StringLike": {"s3:prefix": [
                f"{each.prefix}*" for each in TABLES if each.bucket == setting]}}}
            for setting in sorted({each.bucket for each in TABLES})
        ),
        _allow("FindBuckets", ["s3:GetBucketLocation"],
               [output, *(_arn(settings.text(setting))
                          for setting in sorted({each.bucket for each in TABLES}))]),
        _allow("WriteFound", ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload",
                              "s3:ListMultipartUploadParts"], {"Fn::Sub": "${Output.Arn}/*"}),
    ]  # fmt: skip
    if key := settings.kms_key_arn:
        statements.append(_allow("UseKey", ["kms:Decrypt", "kms:GenerateDataKey"], key))
    return {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {
            "Description": "modelwatch: ask Athena for captures, labels and results",
            "Path": settings.role_path,
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
        },
    }


def _allow(name: str, actions: list[str], resource: Any) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resource}


def _arn(place: str) -> dict[str, str]:
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::{place}"}


def _logical(setting: str) -> str:
    return re.sub(r"_(.)", lambda found: found[1].upper(), setting.capitalize())
