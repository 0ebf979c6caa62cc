"""`modelwatch adopt`."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwatch_cli.console import console, count_of, error_console, print_json
from modelwatch_cli.options import version_option
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch_training.adoption import Adopted


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(adopt)


def adopt(
    name: Annotated[str, typer.Argument(help="registered model")],
    reference: Annotated[
        Path, typer.Option("--reference", help="Parquet or CSV file of the training rows")
    ],
    version: Annotated[
        str | None, version_option("its version; by default the one that serves")
    ] = None,
    labels_column: Annotated[
        str | None, typer.Option("--labels-column", help="column that was to be predicted")
    ] = None,
    timestamps_column: Annotated[
        str | None,
        typer.Option(
            "--timestamps-column", help="column with the time of each row: they are a past, too"
        ),
    ] = None,
    verify_onnx: Annotated[
        bool,
        typer.Option("--verify-onnx", help="add an ONNX form, if it predicts as the original does"),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
) -> None:
    """Add a reference to a version that was logged with plain MLflow, so that it is monitored.

    Its input columns, with digests of its files; training rows and what it predicts of them, as the
    reference for drift; how much it depends on each feature; and an ONNX form where that is asked
    for and verifies. Aliases and stages stay where they are.
    """
    settings = Settings()
    out = error_console if as_json else console
    with out.status("importing mlflow") as status:
        from modelwatch_training.adoption import adopt as add

        adopted = add(
            settings,
            name,
            version,
            reference,
            labels_column=labels_column,
            timestamps_column=timestamps_column,
            verify_onnx=verify_onnx,
            step=status.update,
        )
    if as_json:
        print_json(adopted)
        return
    say(adopted, reference, verify_onnx)


def say(adopted: Adopted, reference: Path, asked_for_onnx: bool) -> None:
    """Print what a version has now."""
    title = f"{adopted.model_name} version {adopted.model_version}"
    types = Counter(adopted.columns.values())
    columns = ", ".join(f"{count} {kind}" for kind, count in types.items())
    console.print(f"{title} is adopted: {columns} from its {_ORIGINS[adopted.schema_from]}")
    console.print(
        f"  reference: {count_of(adopted.reference_rows, 'row')} of {reference}", markup=False
    )
    if adopted.trained_from and adopted.trained_until:
        console.print(f"  {past_of(adopted.trained_from, adopted.trained_until)}")
    if adopted.onnx is not None:
        checked = adopted.onnx.verification
        console.print(
            f"  ONNX form of {adopted.onnx.payload_bytes / 1e6:.1f} MB: same prediction on "
            f"{count_of(checked.rows, 'row')}, within {checked.max_difference:.1g}"
        )
    elif asked_for_onnx:
        console.print(f"  no ONNX form, mlflow runs it: {adopted.onnx_problem}", markup=False)
    if adopted.importance_problem:
        console.print(f"  importance is not known: {adopted.importance_problem}", markup=False)


def past_of(first: datetime, last: datetime) -> str:
    """Return what times of training rows are good for, in words."""
    return (
        f"of {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC: what is normal for a day or an "
        "hour is learned from these rows, too"
    )


_ORIGINS = {
    "manifest": "manifest",
    "signature": "signature",
    "reference": "rows, since it was logged without a signature",
}
