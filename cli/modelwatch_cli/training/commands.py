"""`modelwatch train`."""

from __future__ import annotations

from typing import Annotated

import typer

from modelwatch.settings import Settings
from modelwatch_cli.console import console, error_console, print_json


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(train)


def train(
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
) -> None:
    """Train the example model, register it and promote it to the alias that is served.

    A random forest on scikit-learn's wine data; its ONNX form is verified against it, and its
    training rows become the reference for drift.
    """
    settings = Settings()
    out = error_console if as_json else console
    with out.status("importing scikit-learn and mlflow"):
        from modelwatch_cli.stack.checks import require_stack

        require_stack(settings)
        from modelwatch_cli.training.registration import register_model
        from modelwatch_cli.training.wine import PARAMETERS, train_wine_model
    with out.status("training a random forest") as status:
        trained = train_wine_model()
        registration = register_model(
            trained.model,
            name=settings.text("MODEL_NAME"),
            train=trained.train,
            test=trained.test,
            labels=trained.test_labels,
            parameters=PARAMETERS,
            metrics=trained.metrics,
            settings=settings,
            step=status.update,
        )
    if as_json:
        print_json({"metrics": trained.metrics, "registration": registration})
        return
    version = registration.version
    console.print("Loading wine dataset...")
    console.print(f"Training set: {len(trained.train)} samples, test set: {len(trained.test)}")
    console.print("Model Performance:")
    for name, value in trained.metrics.items():
        console.print(f"  {name.capitalize():10} {value:.4f}")
    console.print(f"Run ID: {version.run_id}")
    console.print(
        f"Registered {version.name} version {version.version}, alias '{version.alias}' moved to it"
    )
    if registration.onnx:
        checked = registration.onnx.verification
        console.print(
            f"ONNX form verified: same prediction on {checked.rows} rows, "
            f"probabilities within {checked.max_difference:.1g}"
        )
    else:
        console.print(f"Served by mlflow.pyfunc, without an ONNX form: {registration.onnx_problem}")
