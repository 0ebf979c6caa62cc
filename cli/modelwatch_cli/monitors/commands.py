"""`modelwatch monitors`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwatch.errors import MonitorError
from modelwatch_cli.console import console, error_console, print_json, print_table, progress
from modelwatch_cli.options import since_option, until_option
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelwatch.adapters.results.baselines import S3BaselineStore
    from modelwatch.adapters.results.monitors import S3MonitorStore
    from modelwatch.domain.monitors import Monitor, MonitorChange
    from modelwatch.domain.schemas import Schema
    from modelwatch_cli.monitors.applying import Applied

FOLDER = Path("monitors")

_JSON = typer.Option("--json", help="print the result as JSON")
_PATHS = typer.Argument(
    metavar="[PATH]...",
    help="files, or folders with all monitors of the stage; by default monitors",
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    monitors = typer.Typer(
        help="Monitors as code: the rules of each model in a file, in place of the deployment's.",
        no_args_is_help=True,
    )
    for command in (init, validate, diff, plan, apply, history, rollback, remove):
        monitors.command()(command)
    monitors.command("list")(list_monitors)
    app.add_typer(monitors, name="monitors")


def init(
    name: Annotated[str, typer.Argument(help="name of the model")],
    folder: Annotated[Path, typer.Option(help="where the file goes")] = FOLDER,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Write a monitor's file with comments: what is known of the model, and every rule.

    It also writes the JSON Schema beside it, for editors. An existing monitor is left alone.
    """
    from modelwatch.domain.names import check_model_name
    from modelwatch_cli.monitors.facts import facts_of
    from modelwatch_cli.monitors.schema import RULES, SCHEMA_FILE, new_file, schema_text

    check_model_name(name)
    settings = Settings()
    file = folder / f"{name}.toml"
    defaults = {each.name: settings.text(each.name) for each in RULES.values()}
    with error_console.status("looking at the registry and at captures"):
        text = new_file(name, facts_of(settings, name), defaults)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SCHEMA_FILE).write_text(schema_text(), "utf-8")
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise MonitorError(f"there is a {file} already; it is left as it is") from None
    except OSError as error:
        raise MonitorError(f"{file} cannot be written: {error.strerror}") from None
    if as_json:
        print_json({"model_name": name, "file": str(file)})
        return
    console.print(
        f"{file} changes nothing yet: remove the # before a rule, then `modelwatch monitors diff` "
        "and `modelwatch monitors apply`",
        markup=False,
    )


def validate(
    paths: Annotated[list[Path] | None, _PATHS] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Check monitor files, without a connection. Exits with 1 when anything is wrong."""
    from modelwatch_cli.monitors.files import read_monitors

    found = read_monitors(paths or [FOLDER], Settings().stage)
    if as_json:
        print_json({"files": found.files, "faults": found.faults})
        if found.faults:
            raise typer.Exit(1)
        return
    found.require_no_faults()
    count = len(found.monitors)
    console.print(f"{count} monitor{'s are' if count != 1 else ' is'} valid")


def diff(
    paths: Annotated[list[Path] | None, _PATHS] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show what `apply` would change. Exits with 1 when it would change anything."""
    from modelwatch_cli.monitors.applying import compare, wanted_monitors

    stage = Settings().stage
    held = _store().current()
    wanted = wanted_monitors(held, stage, paths or [FOLDER])
    planned = compare(held, stage, wanted)
    _print_changes(planned, as_json)
    _say_not_found(planned, wanted)
    if planned.changes:
        raise typer.Exit(1)


def plan(
    paths: Annotated[list[Path] | None, _PATHS] = None,
    since: Annotated[str, since_option("windows that end after this")] = "P7D",
    until: Annotated[
        str | None, until_option("windows that end before this time; by default now")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print every window as JSON")] = False,
) -> None:
    """Show what `apply` would change, and what would have happened: alarms before and after.

    Past windows are evaluated from their stored profiles, each with its original reference: no row
    is read, and nothing is written.
    """
    from modelwatch_cli.monitoring.replay import report_store
    from modelwatch_cli.monitors.applying import compare, wanted_monitors
    from modelwatch_cli.monitors.planning import Planner
    from modelwatch_cli.times import past_span

    settings = Settings()
    span = past_span(since, until)
    held = _store().current()
    wanted = wanted_monitors(held, settings.stage, paths or [FOLDER])
    planned = compare(held, settings.stage, wanted)
    planner = Planner(settings, report_store(settings), wanted)
    names = planner.windows(planned.changes, *span)
    with progress() as bar:
        task = bar.add_task("windows", total=sum(map(len, names.values())))
        plans = [
            planner.plan(model, each, planned.changes, lambda: bar.advance(task))
            for model, each in names.items()
        ]
    if as_json:
        print_json({"change": planned, "since": span[0], "until": span[1], "models": plans})
        _say_not_found(planned, wanted)
        return
    _print_changes(planned, as_json=False)
    for each in plans:
        console.print(
            f"\n{each.model_name}, {span[0]:%Y-%m-%d} to {span[1]:%Y-%m-%d}:", markup=False
        )
        for sentence in each.sentences:
            console.print(sentence, markup=False)
        for note in each.notes:
            console.print(f"Note: {note}", markup=False)
    _say_not_found(planned, wanted)


def apply(
    paths: Annotated[list[Path] | None, _PATHS] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Make these monitors hold, at once and all of them, from the next analysis on.

    A folder stands for all monitors of the stage: those without a file end. Files alone change only
    theirs. Nothing is deployed; applied again, nothing changes.
    """
    from modelwatch_cli.monitors.applying import (
        compare,
        make_hold,
        require_baselines,
        wanted_monitors,
    )

    settings = Settings()
    store = _store()
    held = store.current()
    wanted = wanted_monitors(held, settings.stage, paths or [FOLDER])
    require_baselines(_baselines(settings), wanted)
    problems = _capture_problems(compare(held, settings.stage, wanted), wanted)
    if problems:
        raise MonitorError("\n".join(problems))
    applied = make_hold(store, held, settings.stage, wanted, "apply")
    _print_changes(applied, as_json)
    _say_not_found(applied)


def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="names of models")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """End the monitors of models: the deployment's settings hold for them again."""
    from modelwatch_cli.monitors.applying import make_hold

    stage = Settings().stage
    store = _store()
    held = store.current()
    mine = held.of_stage(stage)
    for name in names:
        if name not in mine:
            raise MonitorError(f"the stage '{stage}' has no monitor of {name}")
    wanted = {name: each for name, each in mine.items() if name not in names}
    reason = f"remove {', '.join(names)}"[:200]
    _print_changes(make_hold(store, held, stage, wanted, reason), as_json)


def rollback(
    number: Annotated[
        int | None,
        typer.Argument(min=0, help="version to go back to; 0: none; by default the one before"),
    ] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Make the stage's monitors of an earlier version hold again, as a new version."""
    from modelwatch_cli.monitors.applying import roll_back

    settings = Settings()
    done = roll_back(_store(), _baselines(settings), settings.stage, number)
    _print_changes(done, as_json)


def list_monitors(as_json: Annotated[bool, _JSON] = False) -> None:
    """List the monitors that hold, of all stages on the bucket."""
    held = _store().current()
    if as_json:
        rows = [
            {
                "model_name": name,
                "digest": each.digest,
                "stage": each.stage,
                "owner": each.owner,
                "labels": each.labels,
                "baseline": each.baseline,
                "rules": {rule.lower(): value for rule, value in each.settings.items()},
                "features": each.features,
                "capture": each.capture,
            }
            for name, each in held.monitors.items()
        ]
        print_json({"number": held.number, "applied_at": held.applied_at, "monitors": rows})
        return
    if not held.monitors:
        console.print(
            "There are no monitors: the deployment's settings hold for every model. "
            "`modelwatch monitors init NAME` writes one"
        )
        return
    print_table(
        ["model", "stage", "owner", "digest", "rules"],
        [
            [
                name,
                each.stage,
                each.owner,
                each.digest,
                ", ".join(
                    f"{name.removeprefix('rules.')}={value}"
                    for name, value in each.fields().items()
                    if name.startswith(("rules.", "features.", "capture."))
                ),
            ]
            for name, each in held.monitors.items()
        ],
    )


def history(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many versions")] = 20,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """List the versions of the monitors, newest first, with what each changed."""
    from modelwatch.domain.monitors import MonitorSet, monitor_changes

    store = _store()
    numbers = store.numbers()
    shown = [store.version(each) for each in numbers[-limit - 1 :]]
    before = [MonitorSet(), *shown] if len(numbers) <= limit else shown
    pairs = [
        (after, monitor_changes(one.monitors, after.monitors)) for one, after in pairwise(before)
    ][::-1]
    if as_json:
        versions = [
            {
                "number": each.number,
                "applied_at": each.applied_at,
                "reason": each.reason,
                "changes": changes,
            }
            for each, changes in pairs
        ]
        print_json({"versions": versions})
        return
    print_table(
        ["version", "applied at (UTC)", "by", "what changed"],
        [
            [
                each.number,
                f"{each.applied_at:%Y-%m-%d %H:%M:%S}",
                each.reason,
                "; ".join(map(_sentence, changes)),
            ]
            for each, changes in pairs
        ],
    )


def _print_changes(applied: Applied, as_json: bool) -> None:
    if as_json:
        print_json(applied)
        return
    for change in applied.changes:
        console.print(_sentence(change), markup=False)
    if not applied.changes:
        console.print(f"Nothing changes: version {applied.number} has the same monitors")


def _capture_problems(applied: Applied, wanted: Mapping[str, Monitor]) -> list[str]:
    """Return why rules of capture that come cannot be meant, as far as the models are known."""
    from modelwatch.errors import ModelwatchError
    from modelwatch_cli.monitors.capture import capture_problems
    from modelwatch_cli.monitors.facts import schemas_of

    settings = Settings()

    def known(model: str) -> Sequence[Schema]:
        try:
            return schemas_of(settings, model)
        except ModelwatchError as error:
            error_console.print(
                f"Note: the rules of capture are not checked against the features of {model}: "
                f"{error}",
                markup=False,
            )
            return []

    return list(capture_problems(settings, applied.changes, wanted, known))


def _say_not_found(applied: Applied, wanted: Mapping[str, Monitor] | None = None) -> None:
    """Say which models and features of the monitors that come are not known: a hint, no error.

    Of ``wanted`` monitors, which may yet be applied, it also says why they would be refused.
    """
    from modelwatch_cli.monitors.facts import features_of, not_found, without_feature

    settings = Settings()
    come = {each.model_name for each in applied.changes if each.after == "new"}
    said = [*not_found(settings, come)] if come else []
    said += without_feature(applied.changes, lambda model: features_of(settings, model))
    if wanted is not None:
        refused = _capture_problems(applied, wanted)
        said += [f"`modelwatch monitors apply` refuses it: {each}" for each in refused]
    for sentence in said:
        error_console.print(f"Note: {sentence}", markup=False)


def _sentence(change: MonitorChange) -> str:
    if not change.field:
        return f"{change.model_name}: {'removed' if change.after is None else 'new'}"
    sides = ["not set" if each is None else each for each in (change.before, change.after)]
    return f"{change.model_name}: {change.field}: {sides[0]} -> {sides[1]}"


def _store() -> S3MonitorStore:
    from modelwatch.adapters.results.monitors import S3MonitorStore

    settings = Settings()
    return S3MonitorStore(_client(settings), settings.report_bucket)


def _baselines(settings: Settings) -> S3BaselineStore:
    from modelwatch.adapters.results.baselines import S3BaselineStore

    return S3BaselineStore(_client(settings), settings.report_bucket)


def _client(settings: Settings) -> Any:
    from modelwatch.adapters.aws.clients import s3_client

    return s3_client(settings)
