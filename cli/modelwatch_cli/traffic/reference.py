"""The rows from which traffic is drawn."""

from __future__ import annotations

from pathlib import Path

import httpx
import pandas as pd

from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.calls import ApiError
from modelwatch.client import Client
from modelwatch.errors import InvalidInputError, NotFoundError
from modelwatch_cli.settings import Settings
from modelwatch_training.rows_files import features_frame, read_rows


def reference_features(settings: Settings) -> pd.DataFrame:
    """Return the features of the served version's reference data.

    Raises
    ------
    NoModelError
        When no version is served.
    NotFoundError
        When the version has no reference data.
    """
    version = registry_of(settings).resolve(settings.model_name, settings.model_alias)
    table = artifacts_of(settings).reference(version)
    if table is None:
        raise NotFoundError(f"{version.name} version {version.version} has no reference data")
    return features_frame(table)


def file_features(path: Path, url: str, auth: httpx.Auth | None) -> pd.DataFrame:
    """Return the rows of a CSV or Parquet file, for the API at ``url``.

    If the API lists the model's features (``GET /model/info``), only these columns are kept,
    and whole numbers for the model are whole numbers here.

    Raises InvalidInputError when the file cannot be read, has no rows, or not all features.
    """
    try:
        frame = read_rows(path)
    except InvalidInputError as error:
        raise InvalidInputError("--rows", f"{path} {error.problem}") from error
    features = _model_features(url, auth)
    if features is None:
        return frame
    if absent := [name for name in features if name not in frame]:
        have = ", ".join(map(str, frame.columns))
        raise InvalidInputError(
            "--rows", f"{path} lacks {', '.join(absent)}, which the model needs; it has {have}"
        )
    frame = frame[list(features)]
    for name, kind in features.items():
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        if kind in ("double", "float") and numeric:
            frame = frame.assign(**{name: frame[name].astype(float)})
    return frame


def _model_features(url: str, auth: httpx.Auth | None) -> dict[str, str] | None:
    """Return the types of the model's features by name; None if the API does not list them."""
    try:
        with Client(predict=url, auth=auth) as client:
            return {each["name"]: each["type"] for each in client.model_info()["features"]}
    except ApiError:
        # another API than ours: its own responses will say what is wrong with the rows
        return None
