"""Which models are served and watched, and how predict keeps them."""

from modelwatch.errors import SettingError
from modelwatch.settings.kinds import (
    HTTP,
    account,
    alias,
    bucket,
    choice,
    folder,
    model_name,
    model_stage,
    registry,
    served_models,
    text,
    tracking_server,
    whole,
)
from modelwatch.settings.reading import Setting, maybe
from modelwatch.settings.store import StoreSettings


class RegistrySettings(StoreSettings):
    """Where models are registered, and which of them is meant."""

    model_name = Setting("wine_quality_model", "registered model that predict serves", model_name)
    model_alias = Setting("production", "registry alias whose version is served", alias)
    models = maybe(
        "further models that predict serves, as NAME or NAME@ALIAS with commas", served_models
    )
    model_stage = Setting(
        "", "MLflow stage to serve instead of an alias, such as Production", model_stage
    )
    model_registry = Setting(
        "",
        "empty: MLflow; a folder as a registry without a server: file:///srv/models",
        registry,
    )
    mlflow_tracking_uri = Setting(
        "http://127.0.0.1:5000",
        "MLflow server, tracking and registry: an address, the ARN of SageMaker's, databricks or "
        "databricks-uc",
        tracking_server,
    )
    mlflow_tracking_username = Setting("", "user name for an MLflow that requires one", text)
    mlflow_tracking_password = Setting("", "password of that user", text, is_secret=True)
    mlflow_tracking_token = Setting(
        "", "token for MLflow, in place of user and password", text, is_secret=True
    )
    mlflow_tracking_header = Setting(
        "", "header for MLflow in place of these, as NAME: VALUE", text, is_secret=True
    )
    databricks_host = Setting("", "with databricks: the workspace's address", HTTP)
    databricks_token = Setting("", "token for that workspace", text, is_secret=True)
    mlflow_ca_bundle = Setting(
        "",
        "certificates that MLflow's address is checked by: a PEM file, or a reference",
        text,
        is_secret=True,
    )
    model_bucket = Setting("modelwatch-models", "bucket of MLflow's artifacts", bucket)
    model_bucket_owner = Setting(
        "", "account that MODEL_BUCKET is in; empty: the deployment's own", account
    )
    model_prefix = Setting(
        "", "folder of MODEL_BUCKET outside of which no model is read, such as mlflow/", folder
    )
    model_max_mb = Setting("500", "largest model that is loaded, unpacked, in MB", whole(1))


class ServingSettings(StoreSettings):
    """How predict keeps models in memory."""

    model_refresh_seconds = Setting("30", "how often the registry is asked what to serve", whole(1))
    models_in_memory = Setting(
        "5", "so many of MODELS stay in memory: the ones used last", whole(1, 1000)
    )
    require_verified_models = Setting(
        "",
        "true: only versions with a manifest that the registry vouches for are loaded; "
        "empty: true on AWS, else false",
        choice("true", "false"),
    )
    # Lambda's own folder of an environment
    model_cache = Setting("/tmp/modelwatch-models", "where a function keeps what it loaded", text)  # noqa: S108
    aws_lambda_runtime_api = Setting(
        "", "set by Lambda; empty: capture before the response", text, is_given=True
    )


def verified_alone(settings: ServingSettings) -> bool:
    """Return whether a version without a manifest that the registry vouches for is refused."""
    said = settings.require_verified_models
    return said == "true" or (not said and not settings.aws_endpoint_url)


def aliases_of_served(settings: RegistrySettings) -> dict[str, str]:
    """Return the alias of every model that predict serves, by name; MODEL_NAME is the first.

    Raises
    ------
    SettingError
        When MODELS names MODEL_NAME with another alias.

    Examples
    --------
    >>> aliases_of_served(RegistrySettings({"MODEL_NAME": "wine", "MODELS": "churn, fraud@new"}))
    {'wine': 'production', 'churn': 'production', 'fraud': 'new'}
    """
    first, default = settings.model_name, settings.model_alias
    further = settings.models or {}
    if further.get(first, "") not in ("", default):
        raise SettingError(
            "MODELS",
            f"'{first}' is MODEL_NAME: its alias is MODEL_ALIAS, which is '{default}'",
        )
    return {first: default, **{name: said or default for name, said in further.items()}}
