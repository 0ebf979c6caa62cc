"""Holding the settings of what is captured against the models that serve, before they are deployed.

In the function, a rule for a feature that no model has would only be a warning in a log; and what
it was meant to keep back would be captured.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import yaml

from modelwatch.adapters.aws import s3_client
from modelwatch.adapters.mlflow_registry import MlflowRegistry
from modelwatch.adapters.s3_artifacts import S3Artifacts
from modelwatch.domain.capture_policy import KEY_SETTING, POLICY_SETTING, read_policy
from modelwatch.domain.models import ModelVersion
from modelwatch.domain.schemas import Schema, schema_from_signature
from modelwatch.errors import ModelLoadError, ModelwatchError, SettingError
from modelwatch.settings import Settings


def check_capture(
    settings: Settings,
    say: Callable[[str], None],
    served_schemas: Callable[[Settings], list[Schema]] | None = None,
) -> None:
    """Refuse settings of capture that predict could not start with, or that miss their aim.

    Parameters
    ----------
    say
        Told when the features of the models that serve cannot be known, and why: that is no error,
        there may be none yet.
    served_schemas
        Gives their schemas; `read_served_schemas` by default.

    Raises
    ------
    SettingError
        When the rate or the policy is none, hashes have no key, or a rule fits no feature.
    """
    settings.share("CAPTURE_SAMPLE_RATE")
    policy = read_policy(settings.text(POLICY_SETTING), settings.text(KEY_SETTING))
    if not policy.rules:
        return
    try:
        schemas = (served_schemas or read_served_schemas)(settings)
    except ModelwatchError as error:
        say(f"{POLICY_SETTING} is not held against the model's features: {error}")
        return
    problems = policy.problems(schemas)
    if problems:
        raise SettingError(POLICY_SETTING, "; ".join(problems))


def read_served_schemas(settings: Settings) -> list[Schema]:
    """Return the input columns of every version that the registry says shall serve.

    Raises
    ------
    ModelwatchError
        When they cannot be known.
    """
    registry = MlflowRegistry(
        settings.text("MLFLOW_TRACKING_URI"), stage=settings.text("MODEL_STAGE")
    )
    artifacts = S3Artifacts(s3_client(settings), settings.text("MODEL_BUCKET"))
    plan = registry.plan(settings.text("MODEL_NAME"), settings.text("MODEL_ALIAS"))
    return [_schema(artifacts, version) for version in plan.versions.values()]


def _schema(artifacts: S3Artifacts, version: ModelVersion) -> Schema:
    manifest = artifacts.manifest(version)
    if manifest is not None:
        return manifest.schema
    described = artifacts.read(version, "MLmodel")
    try:
        signature = yaml.safe_load(described or b"")["signature"]
        return schema_from_signature(json.loads(signature["inputs"]))
    except (yaml.YAMLError, ValueError, LookupError, TypeError) as error:
        title = f"{version.name} version {version.version}"
        raise ModelLoadError(f"{title} has no signature that can be read: {error}") from error
