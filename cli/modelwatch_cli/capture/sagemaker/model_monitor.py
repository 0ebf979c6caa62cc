"""`modelwatch model-monitor`: writes the files of SageMaker Model Monitor's jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwatch.domain.baselines import TRAINING
from modelwatch.errors import EvidenceError
from modelwatch_cli.console import console, error_console, print_json
from modelwatch_cli.monitoring.replay import report_store
from modelwatch_cli.options import model_option
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch.domain.constraints import Constraints
    from modelwatch.domain.profiles import Profile
    from modelwatch.domain.verdict.results import AnalysisResult

_DESTINATION = typer.Argument(help="a folder, or s3://bucket/prefix")
_JSON = typer.Option("--json", help="print the result as JSON")


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    group = typer.Typer(
        help="Baselines and results in SageMaker Model Monitor's format.", no_args_is_help=True
    )
    group.command()(baseline)
    group.command()(result)
    app.add_typer(group, name="model-monitor")


def baseline(
    destination: Annotated[str, _DESTINATION],
    name: Annotated[
        str | None, typer.Option("--name", help="a baseline; by default the one in use")
    ] = None,
    model_name: Annotated[str | None, model_option()] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Write statistics.json and constraints.json of a baseline, as a baselining job does.

    `modelwatch baseline constraints --input` reads a constraints.json again.
    """
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.domain.model_monitor import (
        CONSTRAINTS,
        STATISTICS,
        constraints_document,
        statistics_document,
    )
    from modelwatch_cli.monitors.held import held_monitors

    settings = Settings()
    model = model_name or settings.model_name
    with error_console.status("reading the baseline"):
        name, profile, constraints = _baseline(settings, model, name)
        monitors = held_monitors(settings, s3_client(settings))
        policy = monitors.of(model).rules.policy
    documents = {
        STATISTICS: statistics_document(profile),
        CONSTRAINTS: constraints_document(constraints, policy),
    }
    _write(settings, destination, documents)
    _tell({"model_name": model, "baseline": name}, destination, documents, as_json)


def result(
    name: Annotated[str, typer.Argument(help="name of a result; see `modelwatch reports --json`")],
    destination: Annotated[str, _DESTINATION],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Write statistics.json and constraint_violations.json of an analyzed window, as a job does.

    Violations are the rules that the window breaks and the features and outputs that drifted.
    """
    from modelwatch.domain.model_monitor import (
        STATISTICS,
        VIOLATIONS,
        statistics_document,
        violations_document,
    )

    settings = Settings()
    with error_console.status("reading the window"):
        found = report_store(settings).result(name)
        profile = _window(settings, found)
    documents = {
        STATISTICS: statistics_document(profile),
        VIOLATIONS: violations_document(found.quality, [*found.features, *found.outputs]),
    }
    _write(settings, destination, documents)
    count = len(documents[VIOLATIONS]["violations"])
    _tell({"result": name, "violations": count}, destination, documents, as_json)


def _baseline(settings: Settings, model: str, name: str | None) -> tuple[str, Profile, Constraints]:
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.results.baselines import S3BaselineStore
    from modelwatch.domain.constraints import learn_constraints
    from modelwatch_cli.monitors.held import named_baseline

    client = s3_client(settings)
    store = S3BaselineStore(client, settings.report_bucket)
    name = name or named_baseline(settings, client, model) or store.in_use(model)
    if name != TRAINING:
        kept = store.baseline(model, name)
        return name, store.profile(kept), store.constraints(kept)
    from modelwatch_cli.baselines.making import BaselineMaker, Source

    _, profile = BaselineMaker(settings, model, client).profile(Source())
    return name, profile, learn_constraints(profile)


def _window(settings: Settings, found: AnalysisResult) -> Profile:
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.captures.profiles import S3ProfileStore
    from modelwatch.domain.profiles import merge_profiles
    from modelwatch.domain.verdict.evidence import decode_window
    from modelwatch.domain.windows import Window

    try:
        if kept := report_store(settings).evidence(found).window:
            return decode_window(kept)[0]
    except EvidenceError as error:
        # the captures may still exist
        error_console.print(f"{error}; its captures are read", markup=False)
    store = S3ProfileStore(s3_client(settings), settings.capture_bucket)
    window = Window(found.window_start, found.window_end)
    variants = store.profiles(found.model_name, found.model_version, window).variants
    wanted = [each for name, each in variants.items() if found.variant in ("", name)]
    return merge_profiles(wanted)


def _write(settings: Settings, destination: str, documents: dict[str, dict[str, Any]]) -> None:
    import msgspec

    from modelwatch_cli.capture.places import place

    where = place(destination, settings)
    for file, document in documents.items():
        where.write(file, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def _tell(
    outcome: dict[str, Any], destination: str, documents: dict[str, Any], as_json: bool
) -> None:
    if as_json:
        print_json({**outcome, "destination": destination, "files": list(documents)})
        return
    said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in outcome.items())
    console.print(f"{said}: {' and '.join(documents)} are in {destination}", markup=False)
