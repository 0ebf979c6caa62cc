"""The rows from which traffic is drawn."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pandas as pd

from modelwatch.adapters.registries import artifacts_of, registry_of
from modelwatch.calls import ApiError
from modelwatch.client import Client
from modelwatch.errors import InvalidInputError, NotFoundError
from modelwatch_cli.settings import Settings
from modelwatch_training.rows_files import features_frame, read_rows


def reference_features(settings: Settings) -> pd.DataFrame:
    """Return the features of the served version's reference data, of rows that can be sent.

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
    rows = sendable(features_frame(table))
    if rows.empty:
        raise NotFoundError(
            f"each row of the reference data of {version.name} version {version.version} has an "
            "infinite value, which no request can have"
        )
    return rows


def sendable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a request can have: JSON has no infinity.

    Examples
    --------
    >>> sendable(pd.DataFrame({"a": [1.0, float("inf"), None], "b": ["x", "y", "z"]}))["b"].tolist()
    ['x', 'z']
    """
    numbers = frame.select_dtypes("number").astype(float)
    return frame[~np.isinf(numbers).any(axis=1)].reset_index(drop=True)


def file_features(path: Path, url: str, auth: httpx.Auth | None) -> pd.DataFrame:
    """Return the rows of a CSV or Parquet file, for the API at ``url``.

    If the API lists the model's features (``GET /model/info``), only these columns are kept,
    and whole numbers for the model are whole numbers here.

    Rows with an infinite value are left out: no request can have one.

    Raises InvalidInputError when the file cannot be read, has no rows, or not all features.
    """
    try:
        frame = read_rows(path)
    except InvalidInputError as error:
        raise InvalidInputError("--rows", f"{path} {error.problem}") from error
    if (frame := sendable(frame)).empty:
        raise InvalidInputError("--rows", f"each row of {path} has an infinite value")
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
