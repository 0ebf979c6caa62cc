"""A model of MLflow whose server captures: `python mlflow_model.py` prints how to serve it."""

import os
from pathlib import Path

import mlflow
import pandas as pd
from sklearn.linear_model import LinearRegression

from modelwatch import Client
from modelwatch.sdk.pyfunc import CapturedModel


def make_client() -> Client:
    """Make the client, in the program that serves."""
    return Client(capture=os.environ["CAPTURE_URL"], model_name="price", model_version="7")


def save_models(folder: Path) -> Path:
    """Save a model, and one around it that captures; return where the second is."""
    flats = pd.DataFrame({"area": [40.0, 60.0, 90.0], "rooms": [1.0, 2.0, 3.0]})
    fitted = LinearRegression().fit(flats, [90_000.0, 140_000.0, 210_000.0])
    signature = mlflow.models.infer_signature(flats, fitted.predict(flats))
    plain, captured = folder / "price", folder / "captured"
    mlflow.sklearn.save_model(
        fitted, plain, signature=signature, pip_requirements=["mlflow", "scikit-learn"]
    )
    mlflow.pyfunc.save_model(
        captured,
        python_model=CapturedModel(make_client),
        artifacts={"model": str(plain)},
        signature=signature,
        pip_requirements=["mlflow", "modelwatch", "scikit-learn"],
    )
    return captured


if __name__ == "__main__":
    found = save_models(Path())
    print(f"mlflow models serve --env-manager local -m {found}")  # noqa: T201 - an example
