"""`modelwatch train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from modelwatch_cli.console import console, count_of, error_console, print_json, steps
from modelwatch_cli.settings import Settings
from modelwatch_cli.training.adopt import past_of

if TYPE_CHECKING:
    from modelwatch_training.registration import Registration


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
    with steps(out) as step:
        step("importing scikit-learn and mlflow")
        from modelwatch.adapters.registries import registry_of
        from modelwatch_cli.stack.checks import require_stack

        if not registry_of(settings).is_local:
            require_stack(settings)
        from modelwatch_training.registration import register_model
        from modelwatch_training.wine import PARAMETERS, train_wine_model

        step("training a random forest")
        trained = train_wine_model()
        registration = register_model(
            trained.model,
            name=settings.model_name,
            train=trained.train,
            test=trained.test,
            labels=trained.test_labels,
            parameters=PARAMETERS,
            metrics=trained.metrics,
            settings=settings,
            step=step,
        )
    if as_json:
        print_json({"metrics": trained.metrics, "registration": registration})
        return
    console.print("Loading wine dataset...")
    console.print(f"Training set: {len(trained.train)} samples, test set: {len(trained.test)}")
    console.print("Model Performance:")
    for name, value in trained.metrics.items():
        console.print(f"  {name.capitalize():10} {value:.4f}")
    print_registration(registration, console)


def print_registration(registration: Registration, out: Console) -> None:
    """Print what was registered: version, form, columns, reference, alias."""
    version = registration.version
    if version.run_id:
        out.print(f"Run ID: {version.run_id}")
    before = registration.alias_before
    since = f" (it was at version {before})" if before else ""
    out.print(
        f"Registered {version.name} version {version.version}, alias '{version.alias}' moved to "
        f"it{since}"
    )
    if registration.onnx:
        checked = registration.onnx.verification
        out.print(
            f"Served as ONNX: verified, same predictions on {count_of(checked.rows, 'row')}, "
            "probabilities "
            f"within {checked.max_difference:.1g}"
        )
    else:
        out.print(f"Served by mlflow.pyfunc, without an ONNX form: {registration.onnx_problem}")
    if registration.losses_rows:
        out.print(
            "Its errors are estimated without labels: learned from "
            f"{registration.losses_rows} test rows"
        )
    elif registration.losses_problem:
        out.print(f"Its errors cannot be estimated without labels: {registration.losses_problem}")
    for kind, names in registration.columns.items():
        shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
        out.print(f"Columns of type {kind}: {len(names)} ({shown})")
    out.print(f"Reference: {count_of(registration.reference_rows, 'row')}")
    if registration.trained_from and registration.trained_until:
        out.print(f"  {past_of(registration.trained_from, registration.trained_until)}")
