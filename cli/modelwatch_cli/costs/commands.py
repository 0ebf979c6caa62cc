"""`modelwatch cost`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwatch.errors import InvalidInputError
from modelwatch_cli.console import console, print_json, print_table
from modelwatch_cli.options import since_option, until_option
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch_cli.costs.prices import Item


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("cost")(show_cost)


def show_cost(
    context: typer.Context,
    rps: Annotated[
        float, typer.Option(min=0.001, max=1e6, help="predictions a second, of all models")
    ] = 10.0,
    features: Annotated[int, typer.Option(min=1, max=10_000, help="of a model")] = 20,
    models: Annotated[int, typer.Option(min=1, max=1_000, help="versions that serve")] = 1,
    predict_ms: Annotated[
        float,
        typer.Option(min=1, max=30_000, help="billed for a prediction; the REPORT lines say it"),
    ] = 5.0,
    since: Annotated[
        str | None, since_option("compare with what the deployment on AWS used, from then on")
    ] = None,
    until: Annotated[str | None, until_option("end of what is compared; by default now")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
) -> None:
    """Estimate a month's bill on AWS, line by line, from the settings and AWS's list prices.

    Free tiers, discounts for large volumes, data transfer, the bridge's host and Prometheus are not
    in it. With --since, what CloudWatch's metrics say was used stands beside the estimate for as
    many predictions, by the same prices and scaled to a month.
    """
    from modelwatch_cli.costs.estimate import Traffic, month
    from modelwatch_cli.costs.prices import PRICES_OF, REGION

    settings, measured = Settings(), None
    if since is None:
        if until is not None:
            raise InvalidInputError("--until", "needs --since")
    else:
        from modelwatch_cli.costs.measured import measure
        from modelwatch_cli.deployment.cloudformation.clients import client_maker
        from modelwatch_cli.times import past_span

        for option in ("rps", "predict_ms"):
            source = context.get_parameter_source(option)
            if source is not None and source.name != "DEFAULT":
                word = f"--{option.replace('_', '-')}"
                raise InvalidInputError(word, "and --since exclude each other: it is measured")
        measured = measure(settings, *past_span(since, until), client_maker(settings))
        rps, predict_ms = measured.per_second, measured.predict_ms
    traffic = Traffic(rps, features, models, predict_ms)
    estimated = _sums(month(traffic, settings))
    used = _sums(measured.items) if measured else {}
    total = sum(line["usd"] for line in estimated.values())
    per_million = total / traffic.rows * 1e6
    # of the same lines
    known = sum(line["usd"] for what, line in estimated.items() if what in used)
    spent = sum(line["usd"] for line in used.values())
    if as_json:
        said = {
            "region": REGION,
            "prices_of": PRICES_OF,
            "predictions": traffic.rows,
            "usd": round(total, 2),
            "usd_per_million": round(per_million, 4),
            "items": [{"what": what, **_rounded(line)} for what, line in estimated.items()],
        }
        if measured:
            said["measured"] = {
                "since": measured.start,
                "until": measured.end,
                "predictions_per_second": round(measured.per_second, 6),
                "predict_ms": round(measured.predict_ms, 3),
                "usd": round(spent, 2),
                "usd_estimated": round(known, 2),
                "items": [{"what": what, **_rounded(line)} for what, line in used.items()],
                "not_measured": [what for what in estimated if what not in used],
            }
        print_json(said)
        return
    lines = estimated | {what: line for what, line in used.items() if what not in estimated}
    by_usd = sorted(
        lines,
        key=lambda what: -max(each[what]["usd"] for each in (estimated, used) if what in each),
    )
    if measured is None:
        print_table(
            ("a month", "count", "unit", "USD"),
            [(what, *_cells(estimated, what, lines[what]["unit"])) for what in by_usd],
        )
    else:
        print_table(
            ("a month", "estimated", "unit", "USD", "measured", "USD measured"),
            [
                (
                    what,
                    *_cells(estimated, what, lines[what]["unit"]),
                    *_cells(used, what),
                )
                for what in by_usd
            ],
        )
    console.print(
        f"{total:,.2f} USD for {traffic.rows / 1e6:,.1f} million predictions, "
        f"{per_million:.2f} a million ({REGION}, list prices of {PRICES_OF})."
    )
    if measured:
        console.print(
            f"Measured from {measured.start:%Y-%m-%d %H:%M} to {measured.end:%Y-%m-%d %H:%M} UTC: "
            f"{measured.per_second:.4g} predictions a second, {measured.predict_ms:.1f} ms each, "
            f"{spent:,.2f} USD a month. The estimate has {known:,.2f} for the same lines, and "
            f"{total - known:,.2f} for those without a measure: requests to S3, stored log lines, "
            "series, alarms, and what is not deployed."
        )


def _sums(items: Iterable[Item]) -> dict[str, dict[str, Any]]:
    """Return the lines by their names: what has the same name is one."""
    lines: dict[str, dict[str, Any]] = {}
    for item in items:
        line = lines.setdefault(
            item.what,
            {"count": 0.0, "unit": item.price.unit, "usd_per_unit": item.price.usd, "usd": 0.0},
        )
        line["count"] += item.count
        line["usd"] += item.usd
    return lines


def _rounded(line: dict[str, Any]) -> dict[str, Any]:
    return line | {"count": round(line["count"], 3), "usd": round(line["usd"], 4)}


def _cells(lines: dict[str, dict[str, Any]], what: str, *unit: str) -> tuple[str, ...]:
    """Return a line's count, unit and price; - where there is no such line."""
    line = lines.get(what)
    if line is None:
        return ("-", *unit, "-")
    return (f"{line['count']:,.1f}", *unit, f"{line['usd']:,.2f}")
