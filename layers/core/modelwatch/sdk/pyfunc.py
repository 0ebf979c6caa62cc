"""An MLflow model around another one: `mlflow models serve` then captures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflow.pyfunc import load_model
from mlflow.pyfunc.model import PythonModel

from modelwatch.client import Client
from modelwatch.sdk.tables import as_it_is


class CapturedModel(PythonModel):
    """Serves the model in the artifact ``model``, and logs each row with its prediction.

    Parameters
    ----------
    client
        Makes the `modelwatch.Client`, with the model's name and version, in the program that
        serves: it reads the address and the key there.

    Examples
    --------
    ::

        mlflow.pyfunc.log_model(
            name="captured",
            python_model=CapturedModel(make_client),
            artifacts={"model": "models:/price/7"},
            signature=mlflow.models.get_model_info("models:/price/7").signature,
        )
    """

    def __init__(self, client: Callable[[], Client]) -> None:
        self._make_client = client

    def load_context(self, context: Any) -> None:
        """Load the model, and make the client."""
        self._model = load_model(context.artifacts["model"])
        self._client = self._make_client()

    # MLflow reads type hints as a schema
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
        """Return what the model predicts."""
        given = as_it_is(model_input)
        said = self._model.predict(model_input, params=params)
        self._client.log_batch(given, said)
        return said
