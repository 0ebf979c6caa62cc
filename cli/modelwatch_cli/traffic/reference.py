"""The rows that traffic is drawn from."""

from __future__ import annotations

import pandas as pd

from modelwatch.adapters.aws import s3_client
from modelwatch.adapters.feature_columns import FEATURE_PREFIX
from modelwatch.adapters.mlflow_registry import MlflowRegistry
from modelwatch.adapters.s3_artifacts import S3Artifacts
from modelwatch.errors import NotFoundError
from modelwatch.settings import Settings


def reference_features(settings: Settings) -> pd.DataFrame:
    """Return the features of the served version's reference data.

    Raises
    ------
    NoModelError
        When no version is served.
    NotFoundError
        When the version has no reference data.
    """
    version = MlflowRegistry(settings.text("MLFLOW_TRACKING_URI")).resolve(
        settings.text("MODEL_NAME"), settings.text("MODEL_ALIAS")
    )
    table = S3Artifacts(s3_client(settings), settings.text("MODEL_BUCKET")).reference(version)
    if table is None:
        raise NotFoundError(f"{version.name} version {version.version} has no reference data")
    names = [name for name in table.column_names if name.startswith(FEATURE_PREFIX)]
    frame: pd.DataFrame = table.select(names).to_pandas()
    return frame.rename(columns=lambda name: name.removeprefix(FEATURE_PREFIX))
