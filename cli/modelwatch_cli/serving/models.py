"""`modelwatch models list`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from modelwatch_cli.console import error_console, print_json, print_table
from modelwatch_cli.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    models = typer.Typer(help="Show the model registry.", no_args_is_help=True)
    models.command(name="list")(list_models)
    app.add_typer(models, name="models")


def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="print the models as JSON")] = False,
) -> None:
    """List the registered models: the version behind each alias and stage, and the routing.

    The registry is MLflow's, or the one that MODEL_REGISTRY names.
    """
    from modelwatch.adapters.registries import registry_of

    registry = registry_of(Settings())
    with error_console.status("reading the registry"):
        models = [registry.model(name) for name in registry.names()]
    if as_json:
        print_json(models)
        return
    if not models:
        error_console.print("The registry has no model; `modelwatch train` registers one.")
        return
    print_table(
        ["model", "aliases", "stages", "routing"],
        [
            (
                model.name,
                _shown(model.aliases) or "none",
                _shown({stage: v for stage, v in model.stages.items() if stage != "None"}),
                _shown(model.routing.weights, "=") if model.routing else "",
            )
            for model in models
        ],
    )


def _shown(mapping: Mapping[str, object], between: str = " → ") -> str:
    return ", ".join(f"{key}{between}{value}" for key, value in sorted(mapping.items()))
