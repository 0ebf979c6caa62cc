"""Model registries: which one the settings name, and the artifacts of its versions.

A registry is one module with one class, a `Registry`, and one line of `KINDS`; it is held to
`tests/functional/test_registries.py`. What is the same for all is in `base`: names, plans, what a
stage means.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from modelwatch.adapters.models.artifacts import MEGABYTE, Artifacts
from modelwatch.adapters.registries.base import NewVersion, Published, Registry, SavedModel
from modelwatch.errors import SettingError
from modelwatch.settings.kinds import DATABRICKS
from modelwatch.settings.serving import RegistrySettings

__all__ = [
    "KINDS",
    "NewVersion",
    "Published",
    "Registry",
    "SavedModel",
    "artifacts_of",
    "registry_of",
]

KINDS = {
    "": "mlflow:MlflowRegistry",
    "databricks": "databricks:DatabricksRegistry",
    "file": "folder:FolderRegistry",
}
"""By the scheme of MODEL_REGISTRY: the module here and its class, imported where it is used.

Databricks' is the one of MLFLOW_TRACKING_URI=databricks and databricks-uc.
"""


def registry_of(settings: RegistrySettings) -> Registry:
    """Return the registry that MODEL_REGISTRY names; MLflow's where it is empty.

    Its plans follow MODEL_STAGE where that is set.

    Raises SettingError when it names none.
    """
    return _kind(settings).of(settings)


def artifacts_of(
    settings: RegistrySettings, s3: Any = None, *, cache: Path | None = None
) -> Artifacts:
    """Return the artifacts of the registry's versions, MODEL_MAX_MB of each at most."""
    limit_bytes = settings.model_max_mb * MEGABYTE
    return _kind(settings).artifacts(settings, s3, limit_bytes=limit_bytes, cache=cache)


def _kind(settings: RegistrySettings) -> type[Registry]:
    address = settings.model_registry
    scheme = address.partition("://")[0]
    if not address and settings.mlflow_tracking_uri in DATABRICKS:
        scheme = "databricks"
    if scheme not in KINDS:
        known = " or ".join(f"{each}://" for each in KINDS if each not in ("", "databricks"))
        raise SettingError(
            "MODEL_REGISTRY",
            f"there is no registry of the kind '{scheme}'; an address begins with {known}, and "
            "MLflow is used where it is empty",
        )
    module, _, name = KINDS[scheme].partition(":")
    kind: type[Registry] = getattr(import_module(f"{__name__}.{module}"), name)
    return kind
