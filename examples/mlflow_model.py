"""A model of MLflow whose server captures: `python mlflow_model.py` prints how to serve it."""

import os

import mlflow
import pandas as pd
from sklearn.linear_model import LinearRegression

from modelwatch import Client
from modelwatch.sdk.pyfunc import CapturedModel


def make_client() -> Client:
    """Make the client, in the program that serves."""
    return Client(capture=os.environ["CAPTURE_URL"], model_name="price", model_version="7")


def log_models() -> str:
    """Log a model, and one around it that captures; return the address of the second."""
    flats = pd.DataFrame({"area": [40.0, 60.0, 90.0], "rooms": [1.0, 2.0, 3.0]})
    fitted = LinearRegression().fit(flats, [90_000.0, 140_000.0, 210_000.0])
    signature = mlflow.models.infer_signature(flats, fitted.predict(flats))
    with mlflow.start_run():
        plain = mlflow.sklearn.log_model(fitted, name="price", signature=signature)
        captured = mlflow.pyfunc.log_model(
            name="captured",
            python_model=CapturedModel(make_client),
            artifacts={"model": plain.model_uri},
            signature=signature,
        )
    return str(captured.model_uri)


if __name__ == "__main__":
    print(f"mlflow models serve --env-manager local -m {log_models()}")  # noqa: T201 - an example
