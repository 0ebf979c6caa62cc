"""The versions that should serve, from the registry: a deployment checks and packages for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from modelwatch.adapters.models.artifacts import Artifacts
from modelwatch.adapters.registries import Registry, artifacts_of, registry_of
from modelwatch.domain.models import Manifest, ModelVersion
from modelwatch.domain.schemas import Schema, schema_from_signature
from modelwatch.errors import ModelLoadError, NoModelError, SettingError
from modelwatch.settings.kinds import meant
from modelwatch.settings.serving import aliases_of_served, verified_alone
from modelwatch_cli.deployment.cloudformation.errors import DeploymentError
from modelwatch_cli.deployment.cloudformation.plan import stack_name, stage_of
from modelwatch_cli.deployment.cloudformation.stacks import StackDeployer
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

ZIP, IMAGE = "zip", "image"


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """A version that should serve, with modelwatch's manifest and MLflow's files.

    Attributes
    ----------
    manifest
        None if it was logged with plain MLflow.
    described, requirements
        Its files MLmodel and requirements.txt; empty where there are none.
    """

    version: ModelVersion
    manifest: Manifest | None
    described: bytes = b""
    requirements: bytes = b""

    @property
    def title(self) -> str:
        """Model and version, in words."""
        return self.version.title

    @property
    def has_onnx(self) -> bool:
        """Whether it has a verified ONNX form."""
        return self.manifest is not None and self.manifest.onnx is not None

    def schema(self) -> Schema:
        """Return its input columns.

        Raises ModelLoadError when neither a manifest nor a signature says them.
        """
        if self.manifest is not None:
            return self.manifest.schema
        try:
            signature = yaml.safe_load(self.described)["signature"]
            return schema_from_signature(json.loads(signature["inputs"]))
        except (yaml.YAMLError, ValueError, LookupError, TypeError) as error:
            raise ModelLoadError(
                f"{self.title} has no signature that can be read: {error}"
            ) from error


def read_served(settings: Settings) -> tuple[ServedVersion, ...]:
    """Return every version that should serve, from the registry.

    Raises
    ------
    SettingError
        When the registry has models, and none of this name; or the model has versions, and none
        with this alias or in this stage.
    ModelwatchError
        When it is not known, or nothing is registered yet.
    """
    registry = registry_of(settings)
    artifacts = artifacts_of(settings)
    found: dict[tuple[str, str], ModelVersion] = {}
    for name, alias in aliases_of_served(settings).items():
        try:
            plan = registry.plan(name, alias)
        except NoModelError as error:
            _refuse_contradiction(settings, registry, name, alias)
            raise NoModelError(str(error)) from error
        found |= {(name, version.version): version for version in plan.versions.values()}
    return tuple(_served(artifacts, version) for version in found.values())


def check_reach(settings: Settings, apps: Collection[str]) -> None:
    """Refuse a registry that the functions ``apps`` cannot reach.

    Raises SettingError when it is on this machine and they are on AWS, or there is no such
    registry.
    """
    on_aws = not settings.aws_endpoint_url
    if on_aws and {"predict", "analyze"} & set(apps) and registry_of(settings).is_local:
        raise SettingError(
            "MODEL_REGISTRY",
            f"functions on AWS cannot read {settings.model_registry}, which is on this "
            "machine; leave it empty, and name an MLflow with MLFLOW_TRACKING_URI",
        )


def check_verified(settings: Settings, served: tuple[ServedVersion, ...]) -> None:
    """Raise SettingError if predict would refuse a version that should serve."""
    unverified = [each.title for each in served if not each.version.manifest_sha256]
    if verified_alone(settings) and unverified:
        raise SettingError(
            "REQUIRE_VERIFIED_MODELS",
            f"is true on AWS unless false is said, and {_have(unverified)} no manifest that the "
            "registry vouches for: `modelwatch adopt` makes one",
        )


def choose_package(
    settings: Settings, served: tuple[ServedVersion, ...], deployed: Callable[[], str]
) -> tuple[str, str]:
    """Return the form of predict, ``zip`` or ``image``, and the reason.

    Raises SettingError when a zip is asked for, and a version has no ONNX form.

    Parameters
    ----------
    served
        The versions to serve; empty when they are not known.
    deployed
        Returns its present form; empty when it is not deployed.
    """
    setting = settings.predict_package
    without = [each.title for each in served if not each.has_onnx]
    if setting == ZIP and without:
        raise SettingError(
            "PREDICT_PACKAGE",
            f"a zip runs ONNX forms alone, and {_have(without)} none; 'auto' chooses the image",
        )
    if setting != "auto":
        return setting, f"PREDICT_PACKAGE is {setting}"
    if without:
        return IMAGE, f"{_have(without)} no verified ONNX form, and mlflow runs what has none"
    if served:
        return ZIP, f"{_have([each.title for each in served])} a verified ONNX form"
    now = deployed()
    if now:
        return now, "the version to serve is not known, and it is one now"
    return ZIP, "no version is known to serve yet; deploy again for one without an ONNX form"


def deployed_package(client: CloudFormationClient, settings: Settings) -> str:
    """Return the present form of predict; empty when it is not deployed.

    Raises DeploymentError when CloudFormation does not respond.
    """
    name = stack_name(stage_of(settings), "predict")
    try:
        stack = StackDeployer(client, lambda _: "").read(name)
    except (BotoCoreError, ClientError) as error:
        raise DeploymentError(f"AWS cannot be reached or refused: {error}") from error
    if stack is None:
        return ""
    # only a zip has layers
    return ZIP if "CoreLayer" in stack.parameters else IMAGE


def _served(artifacts: Artifacts, version: ModelVersion) -> ServedVersion:
    return ServedVersion(
        version,
        artifacts.manifest(version),
        artifacts.read(version, "MLmodel") or b"",
        artifacts.read(version, "requirements.txt") or b"",
    )


def _refuse_contradiction(settings: Settings, registry: Registry, name: str, alias: str) -> None:
    """Raise an error if the registry contradicts the settings; return if it has nothing yet."""
    is_further = name != settings.model_name
    names = registry.names()
    if name not in names:
        if names:
            known = ", ".join(sorted(names)[:10])
            raise SettingError(
                "MODELS" if is_further else "MODEL_NAME",
                f"the registry has no model '{name}' (it has {known}){meant(name, names)}",
            )
        return
    model = registry.model(name)
    stage = settings.model_stage
    if stage and model.stages:
        known = ", ".join(sorted(f"version {v} in {s}" for s, v in model.stages.items()))
        raise SettingError(
            "MODEL_STAGE",
            f"{name} has no version in stage '{stage}' (it has {known}); "
            "`modelwatch promote VERSION` puts one there",
        )
    if not stage and model.aliases:
        known = ", ".join(sorted(model.aliases))
        raise SettingError(
            "MODELS" if is_further else "MODEL_ALIAS",
            f"{name} has no version with alias '{alias}' (it has {known}); "
            f"`modelwatch promote VERSION --alias {alias}` makes it"
            f"{meant(alias, list(model.aliases))}",
        )


def _have(titles: list[str]) -> str:
    return f"{' and '.join(titles)} {'has' if len(titles) == 1 else 'have'}"
