"""`modelwatch baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwatch.domain.baselines import TRAINING
from modelwatch.errors import InvalidInputError
from modelwatch_cli.baselines.acceptance import accept, revert
from modelwatch_cli.console import console, count_of, error_console, print_json, print_table
from modelwatch_cli.options import (
    model_option,
    model_words,
    since_option,
    until_option,
    version_option,
)
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch.adapters.results.baselines import S3BaselineStore
    from modelwatch.domain.constraints import Constraints
    from modelwatch.domain.profiles import Profile

_JSON = typer.Option("--json", help="print the result as JSON")
_MODEL = model_option()
_NAME = typer.Argument(help="name of the baseline")


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    baseline = typer.Typer(
        help="Baselines: references for windows, and the constraints that windows must keep.",
        no_args_is_help=True,
    )
    for command in (create, show, use, accept, revert, delete, constraints):
        baseline.command()(command)
    baseline.command("list")(list_baselines)
    app.add_typer(baseline, name="baseline")


def create(
    name: Annotated[str, _NAME],
    from_training: Annotated[
        str | None,
        typer.Option(
            "--from-training", metavar="VERSION", help="a version's training data; the default"
        ),
    ] = None,
    since: Annotated[
        str | None,
        since_option("start of the captures; by default a day before --until"),
    ] = None,
    until: Annotated[str | None, until_option("end of the captures; by default now")] = None,
    rolling: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="captures before each window, such as P7D"),
    ] = None,
    version: Annotated[
        str | None,
        version_option("version of the captures; by default the served one"),
    ] = None,
    only_version: Annotated[
        str | None,
        typer.Option("--only-version", help="only for this version; by default for all"),
    ] = None,
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Make a baseline and learn its constraints; `baseline use` activates it."""
    settings = Settings()
    model = model_name or settings.model_name
    with error_console.status("reading the reference"):
        from modelwatch_cli.baselines.making import BaselineMaker, Source

        source = Source(
            training_version=from_training or "",
            since=since or "",
            until=until or "",
            rolling=rolling or "",
            version=version or "",
        )
        maker = BaselineMaker(settings, model, _client(settings))
        made = maker.make(name, source, only_version or "")
    if as_json:
        print_json(made)
        return
    console.print(
        f"Baseline '{name}' of {model}: {made.origin}, {count_of(made.rows, 'row')}", markup=False
    )
    theirs = model_words(model)
    console.print(
        f"Put it into use with `modelwatch baseline use {name}{theirs}`; show its constraints with "
        f"`modelwatch baseline constraints {name}{theirs}`",
        markup=False,
    )


def list_baselines(
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """List the model's baselines, and show which one is in use."""
    store, model = _store(model_name)
    in_use, found, of_versions = (
        _in_use(store, model),
        store.baselines(model),
        store.of_versions(model),
    )
    if as_json:
        print_json(
            {
                "model_name": model,
                "in_use": in_use,
                "in_use_for_versions": of_versions,
                "baselines": found,
            }
        )
        return
    rows: list[list[object]] = [
        [TRAINING, _mark(in_use == TRAINING), "each version's own training data", "", "", ""]
    ]
    rows += [
        [
            each.name,
            _mark(each.name in (in_use, *of_versions.values())),
            each.origin,
            each.model_version or "all",
            str(each.rows),
            f"{each.made_at:%Y-%m-%d %H:%M}",
        ]
        for each in found
    ]
    heads = ["name", "in use", "origin", "for version", "rows", "made at (UTC)"]
    print_table(heads, rows, title=f"Baselines of {model}")


def show(
    name: Annotated[str, _NAME],
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show a baseline and its columns."""
    store, model = _store(model_name)
    baseline = store.baseline(model, name)
    columns = _columns(store.profile(baseline))
    in_use = name in (_in_use(store, model), *store.of_versions(model).values())
    if as_json:
        print_json({"baseline": baseline, "in_use": in_use, "columns": columns})
        return
    console.print(
        f"{name} of {model}: {baseline.origin}, "
        f"{count_of(baseline.rows, 'row')}{', in use' if in_use else ''}",
        markup=False,
    )
    heads = ["feature", "kind", "missing", "minimum", "mean", "maximum", "distinct"]
    print_table(heads, [[column[head] for head in heads] for column in columns])


def use(
    name: Annotated[str, typer.Argument(help=f"a baseline, or '{TRAINING}'")],
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Compare windows with a baseline from now on, or with each version's own training data.

    It holds for all versions, also for those of which an episode was accepted. A baseline that the
    model's monitor names is chosen there alone.
    """
    from modelwatch_cli.monitors.held import require_not_named

    store, model = _store(model_name)
    require_not_named(model, _named(model))
    before = store.in_use(model)
    store.use(model, name)
    if as_json:
        print_json({"model_name": model, "in_use": name, "before": before})
        return
    was = "as before" if before == name else f"in place of '{before}'"
    console.print(f"{model} is compared with '{name}', {was}", markup=False)


def delete(
    name: Annotated[str, _NAME],
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Delete a baseline that is not in use; results that used it keep their evidence."""
    from modelwatch_cli.monitors.held import require_not_named

    store, model = _store(model_name)
    named = _named(model)
    require_not_named(model, named if named == name else "")
    store.delete(model, name)
    if as_json:
        print_json({"model_name": model, "deleted": name})
        return
    console.print(f"{model} has no baseline '{name}' any more", markup=False)


def constraints(
    name: Annotated[
        str | None, typer.Argument(help="name of the baseline; by default the one in use")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="write them to this file")] = None,
    source: Annotated[
        Path | None, typer.Option("--input", help="replace them by those of this file")
    ] = None,
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Print the constraints of a baseline, write them to a file, or replace them by a file's.

    A file is checked first; its constraints apply from the next analysis on. It may also be a
    constraints.json of SageMaker Model Monitor. Constraints of the training data are learned for
    each version; to change them, make a baseline from it.
    """
    from modelwatch.domain.constraints import encode_constraints

    if output and source:
        raise InvalidInputError("", "give --output or --input, and not both")
    store, model = _store(model_name)
    name = name or _in_use(store, model)
    if source is not None:
        _replace(store, model, name, source, as_json)
        return
    found = _constraints(store, model, name)
    document = encode_constraints(found)
    if output is None:
        console.print(document.decode(), markup=False, end="")
        return
    output.write_bytes(document)
    if as_json:
        print_json({"model_name": model, "baseline": name, "file": str(output)})
        return
    console.print(f"Constraints of {len(found.columns)} columns are in {output}", markup=False)


def _replace(store: S3BaselineStore, model: str, name: str, source: Path, as_json: bool) -> None:
    from modelwatch.domain.constraints import check, decode_constraints
    from modelwatch.domain.optional import MODEL_MONITOR, optional_part

    try:
        payload = source.read_bytes()
        forms = optional_part(MODEL_MONITOR)
        theirs = forms is not None and forms.is_constraints_document(payload)
        given = (forms.read_constraints_document if theirs else decode_constraints)(payload)
    except OSError as error:
        raise InvalidInputError("--input", f"cannot be read: {error}") from None
    if name == TRAINING:
        raise InvalidInputError(
            "name",
            "constraints of the training data are learned; `modelwatch baseline create NAME` makes "
            "a baseline of it whose constraints can be changed",
        )
    baseline = store.baseline(model, name)
    quality = check(given, store.profile(baseline), min_rows=1)
    store.replace_constraints(baseline, given)
    broken = [violation.sentence for violation in quality.violations]
    if as_json:
        print_json({"model_name": model, "baseline": name, "broken_by_the_baseline": broken})
        return
    console.print(f"{len(given.columns)} columns of '{name}' have new constraints", markup=False)
    for sentence in broken:
        console.print(f"Note that the baseline itself breaks them: {sentence}", markup=False)


def _constraints(store: S3BaselineStore, model: str, name: str) -> Constraints:
    if name != TRAINING:
        return store.constraints(store.baseline(model, name))
    from modelwatch.domain.constraints import learn_constraints
    from modelwatch_cli.baselines.making import BaselineMaker, Source

    settings = Settings()
    _, profile = BaselineMaker(settings, model, _client(settings)).profile(Source())
    return learn_constraints(profile)


def _columns(profile: Profile) -> list[dict[str, Any]]:
    return [
        {
            "feature": name,
            "kind": column.kind,
            "missing": column.missing_ratio,
            "minimum": column.minimum,
            "mean": column.mean if column.sketch.n else None,
            "maximum": column.maximum,
            "distinct": round(column.distinct),
        }
        for name, column in profile.features.items()
    ]


def _store(model_name: str | None) -> tuple[S3BaselineStore, str]:
    from modelwatch.adapters.results.baselines import S3BaselineStore

    settings = Settings()
    store = S3BaselineStore(_client(settings), settings.report_bucket)
    return store, model_name or settings.model_name


def _named(model: str) -> str:
    from modelwatch_cli.monitors.held import named_baseline

    settings = Settings()
    return named_baseline(settings, _client(settings), model)


def _in_use(store: S3BaselineStore, model: str) -> str:
    """Return the baseline in use: the one that the model's monitor names, else the chosen one."""
    return _named(model) or store.in_use(model)


def _client(settings: Settings) -> Any:
    from modelwatch.adapters.aws.clients import s3_client

    return s3_client(settings)


def _mark(it: bool) -> str:
    return "yes" if it else ""
