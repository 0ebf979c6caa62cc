"""`modelwatch cost`."""

from __future__ import annotations

from typing import Annotated

import typer

from modelwatch_cli.console import console, print_json, print_table
from modelwatch_cli.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("cost")(show_cost)


def show_cost(
    rps: Annotated[
        float, typer.Option(min=0.001, max=1e6, help="predictions a second, of all models")
    ] = 10.0,
    features: Annotated[int, typer.Option(min=1, max=10_000, help="of a model")] = 20,
    models: Annotated[int, typer.Option(min=1, max=1_000, help="versions that serve")] = 1,
    predict_ms: Annotated[
        float,
        typer.Option(min=1, max=30_000, help="billed for a prediction; the REPORT lines say it"),
    ] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
) -> None:
    """Estimate a month's bill on AWS, line by line, from the settings and AWS's list prices.

    Free tiers, discounts for large volumes, data transfer, the bridge's host and Prometheus are not
    in it. No usage is read from AWS.
    """
    from modelwatch_cli.costs.estimate import Traffic, month
    from modelwatch_cli.costs.prices import PRICES_OF, REGION

    traffic = Traffic(rps, features, models, predict_ms)
    items = month(traffic, Settings())
    total = sum(item.usd for item in items)
    per_million = total / traffic.rows * 1e6
    if as_json:
        print_json({
            "region": REGION,
            "prices_of": PRICES_OF,
            "predictions": traffic.rows,
            "usd": round(total, 2),
            "usd_per_million": round(per_million, 4),
            "items": [
                {
                    "what": item.what,
                    "count": round(item.count, 3),
                    "unit": item.price.unit,
                    "usd_per_unit": item.price.usd,
                    "usd": round(item.usd, 4),
                }
                for item in items
            ],
        })  # fmt: skip
        return
    print_table(
        ("a month", "count", "unit", "USD"),
        [
            (item.what, f"{item.count:,.1f}", item.price.unit, f"{item.usd:,.2f}")
            for item in sorted(items, key=lambda item: -item.usd)
        ],
    )
    console.print(
        f"{total:,.2f} USD for {traffic.rows / 1e6:,.1f} million predictions, "
        f"{per_million:.2f} a million ({REGION}, list prices of {PRICES_OF})."
    )
