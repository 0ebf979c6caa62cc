"""`modelwatch monitors`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwatch.errors import InvalidInputError, MonitorError
from modelwatch_cli.console import console, error_console, print_json, print_table
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelwatch.adapters.results.monitors import S3MonitorStore
    from modelwatch.domain.monitors import Monitor, MonitorChange, MonitorSet

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
    for command in (init, validate, diff, apply, history, rollback, remove):
        monitors.command()(command)
    monitors.command("list")(list_monitors)
    app.add_typer(monitors, name="monitors")


def init(
    name: Annotated[str, typer.Argument(help="name of the model")],
    folder: Annotated[Path, typer.Option(help="where the file goes")] = Path("monitors"),
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
    from modelwatch_cli.monitors.files import FOLDER, read_monitors

    found = read_monitors(paths or [FOLDER], Settings().stage)
    if as_json:
        print_json({"files": found.files, "faults": found.faults})
        if found.faults:
            raise typer.Exit(1)
        return
    found.require_no_faults()
    console.print(f"{len(found.monitors)} monitors are valid")


def diff(
    paths: Annotated[list[Path] | None, _PATHS] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show what `apply` would change. Exits with 1 when it would change anything."""
    held, wanted, stage = _held_and_wanted(paths)
    changes = _changes(held, stage, wanted)
    _print_changes(held.number, stage, changes, as_json)
    if changes:
        raise typer.Exit(1)


def apply(
    paths: Annotated[list[Path] | None, _PATHS] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Make these monitors hold, at once and all of them, from the next analysis on.

    A folder stands for all monitors of the stage: those without a file end. Files alone change only
    theirs. Nothing is deployed; applied again, nothing changes.
    """
    held, wanted, stage = _held_and_wanted(paths)
    _require_baselines(wanted)
    _make_hold(held, stage, wanted, "apply", as_json)


def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="names of models")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """End the monitors of models: the deployment's settings hold for them again."""
    stage = Settings().stage
    held = _store().current()
    mine = held.of_stage(stage)
    for name in names:
        if name not in mine:
            raise MonitorError(f"the stage '{stage}' has no monitor of {name}")
    wanted = {name: each for name, each in mine.items() if name not in names}
    _make_hold(held, stage, wanted, f"remove {', '.join(names)}"[:200], as_json)


def rollback(
    number: Annotated[
        int | None,
        typer.Argument(min=0, help="version to go back to; 0: none; by default the one before"),
    ] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Make the stage's monitors of an earlier version hold again, as a new version."""
    from modelwatch.domain.monitors import MonitorSet

    stage = Settings().stage
    store = _store()
    held = store.current()
    if not held.number:
        raise MonitorError("no monitors were ever applied")
    target = held.number - 1 if number is None else number
    then = store.version(target) if target else MonitorSet()
    _make_hold(held, stage, then.of_stage(stage), f"rollback to {target}", as_json)


def list_monitors(as_json: Annotated[bool, _JSON] = False) -> None:
    """List the monitors that hold, of all stages on the bucket."""
    held = _store().current()
    rows = [
        {
            "model_name": name,
            "stage": each.stage,
            "owner": each.owner,
            "labels": each.labels,
            "baseline": each.baseline,
            "digest": each.digest,
            "rules": {rule.lower(): value for rule, value in each.settings.items()},
        }
        for name, each in held.monitors.items()
    ]
    if as_json:
        print_json({"number": held.number, "applied_at": held.applied_at, "monitors": rows})
        return
    if not rows:
        console.print(
            "There are no monitors: the deployment's settings hold for every model. "
            "`modelwatch monitors init NAME` writes one"
        )
        return
    print_table(
        ["model", "stage", "owner", "digest", "rules"],
        [
            [
                each["model_name"],
                each["stage"],
                each["owner"],
                each["digest"],
                ", ".join(f"{rule}={value}" for rule, value in each["rules"].items()),
            ]
            for each in rows
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
    pairs = list(zip(before, before[1:], strict=False))[::-1]
    found = [
        {
            "number": after.number,
            "applied_at": after.applied_at,
            "reason": after.reason,
            "changes": monitor_changes(one.monitors, after.monitors),
        }
        for one, after in pairs
    ]
    if as_json:
        print_json({"versions": found})
        return
    print_table(
        ["version", "applied at (UTC)", "by", "what changed"],
        [
            [
                each["number"],
                f"{each['applied_at']:%Y-%m-%d %H:%M:%S}",
                each["reason"],
                "; ".join(map(_sentence, each["changes"])),
            ]
            for each in found
        ],
    )


def _make_hold(
    held: MonitorSet, stage: str, wanted: Mapping[str, Monitor], reason: str, as_json: bool
) -> None:
    from modelwatch.domain.monitors import MonitorSet

    monitors = held.with_stage(stage, wanted)
    changes = _changes(held, stage, wanted)
    number = held.number
    if changes:
        number += 1
        _store().append(
            MonitorSet(
                number=number,
                applied_at=datetime.now(UTC).replace(microsecond=0),
                reason=reason,
                monitors=monitors,
            )
        )
    _print_changes(number, stage, changes, as_json)


def _held_and_wanted(paths: list[Path] | None) -> tuple[MonitorSet, dict[str, Monitor], str]:
    """Return what holds, and the monitors that the stage is to have."""
    from modelwatch_cli.monitors.files import FOLDER, read_monitors

    given = paths or [FOLDER]
    stage = Settings().stage
    found = read_monitors(given, stage)
    found.require_no_faults()
    held = _store().current()
    is_all = any(path.is_dir() for path in given)
    kept = {} if is_all else held.of_stage(stage)
    return held, {**kept, **found.monitors}, stage


def _changes(held: MonitorSet, stage: str, wanted: Mapping[str, Monitor]) -> list[MonitorChange]:
    from modelwatch.domain.monitors import monitor_changes

    return monitor_changes(held.of_stage(stage), wanted)


def _print_changes(number: int, stage: str, changes: list[MonitorChange], as_json: bool) -> None:
    if as_json:
        print_json({"number": number, "stage": stage, "changes": changes})
        return
    for change in changes:
        console.print(_sentence(change), markup=False)
    if not changes:
        console.print(f"Nothing changes: version {number} has the same monitors")


def _sentence(change: MonitorChange) -> str:
    if not change.field:
        return f"{change.model_name}: {'removed' if change.after is None else 'new'}"
    sides = ["not set" if each is None else each for each in (change.before, change.after)]
    return f"{change.model_name}: {change.field}: {sides[0]} -> {sides[1]}"


def _require_baselines(wanted: Mapping[str, Monitor]) -> None:
    from modelwatch.adapters.results.baselines import S3BaselineStore
    from modelwatch.domain.baselines import TRAINING
    from modelwatch.errors import NotFoundError

    settings = Settings()
    store = S3BaselineStore(_client(settings), settings.report_bucket)
    for name, each in wanted.items():
        if each.baseline in ("", TRAINING):
            continue
        try:
            store.baseline(name, each.baseline)
        except NotFoundError as error:
            raise InvalidInputError(
                "baseline", f"{error}; `modelwatch baseline list --model-name '{name}'` lists them"
            ) from None


def _store() -> S3MonitorStore:
    from modelwatch.adapters.results.monitors import S3MonitorStore

    settings = Settings()
    return S3MonitorStore(_client(settings), settings.report_bucket)


def _client(settings: Settings) -> Any:
    from modelwatch.adapters.aws.clients import s3_client

    return s3_client(settings)
