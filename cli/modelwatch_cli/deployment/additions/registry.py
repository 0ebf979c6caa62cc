"""The right of an app to read the registry, where that is an MLflow that SageMaker manages."""

from __future__ import annotations

from modelwatch.settings import Group
from modelwatch.settings.kinds import managed_region
from modelwatch_cli.deployment.cloudformation.templates import Template, with_policy
from modelwatch_cli.settings import Settings

_READ = (
    *("GetRegisteredModel", "SearchRegisteredModels", "GetModelVersion", "GetRun"),
    *("GetDownloadURIForModelVersionArtifacts", "GetLoggedModel"),
)


def with_registry(template: Template, group: type[Group], settings: Settings) -> Template:
    """Return an app's ``template``, whose role may read the registry; see `with_secrets`."""
    server = settings.mlflow_tracking_uri
    if "MLFLOW_TRACKING_URI" not in group.declared() or not managed_region(server):
        return template
    statement = {
        "Sid": "ReadRegistry",
        "Effect": "Allow",
        "Action": [f"sagemaker-mlflow:{each}" for each in _READ],
        "Resource": server,
    }
    return with_policy(template, "registry", [statement])
