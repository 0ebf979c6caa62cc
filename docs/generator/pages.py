"""The pages of docs/reference that follow from the code: `make reference` writes them.

Each page is a function that returns its Markdown. A test compares what they return with the files,
so that no page is older than the code. `stored` has what is stored, and its JSON schemas.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

import modelwatch
import modelwatch_bridge
import modelwatch_cli
import modelwatch_training
from generator import policy, stored
from generator.tables import described, shown, table
from modelwatch.errors import ModelwatchError, http_status
from modelwatch.metric_names import BRIDGE_METRICS, FUNCTION_METRICS, RUNTIME_METRICS
from modelwatch.openapi import analyze, capture, predict
from modelwatch.openapi.document import first_sentence
from modelwatch.settings import Setting
from modelwatch.settings.functions import FUNCTIONS
from modelwatch_bridge.settings import BridgeSettings
from modelwatch_cli.main import app
from modelwatch_cli.monitors.schema import SCHEMA_FILE, schema_text
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.commands import NOT_ALL_UP
from modelwatch_cli.traffic.commands import INTERRUPTED

_WIDTH = 96


def commands() -> str:
    """Return the help of every command."""
    root = typer.main.get_command(app)
    parts = [
        _page("Commands", "`modelwatch COMMAND --help` prints the same."),
        f"## Exit statuses\n\n{table(('status', 'when'), _exit_statuses())}",
    ]
    for name, command in _walk(root, "modelwatch"):
        context = typer.Context(command, info_name=name, terminal_width=_WIDTH)
        text = command.get_help(context)
        parts.append(f"## {name}\n\n```text\n{text}\n```")
    return _joined(parts)


def _exit_statuses() -> Iterator[tuple[str, str]]:
    yield "0", "all went well"
    yield "1", "an error, in one sentence on standard error; or a check that did not hold"
    yield "2", "an option or an argument is wrong"
    yield str(NOT_ALL_UP), "`modelwatch status`: not every part is up"
    yield str(INTERRUPTED), "Ctrl-C ended a run that had an end"


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    if isinstance(command, TyperGroup):
        for each in sorted(command.commands):
            yield from _walk(command.commands[each], f"{name} {each}")


def settings() -> str:
    """Return every setting, group by group."""
    parts = [
        _page(
            "Settings",
            "A setting is an environment variable. Variables of the process win over `.env`, and "
            "`.env` over the addresses that `modelwatch up` wrote. Commands may read all of them; "
            "the last column says which function has the setting from its deployment, and whether "
            "the bridge reads it; `commands`: neither. `.env.example` holds the same list.",
        )
    ]
    for group in reversed(Settings.__mro__):
        own = [each for each in vars(group).values() if isinstance(each, Setting)]
        if own:
            rows = [
                (f"`{each.name}`", _default(each), each.meaning, _readers(each.name))
                for each in own
            ]
            title = first_sentence(group.__doc__ or "").rstrip(".")
            parts.append(f"## {title}\n\n{table(('setting', 'default', 'meaning', 'for'), rows)}")
    return _joined(parts)


def _default(setting: Setting[Any]) -> str:
    if setting.is_secret:
        return "(secret)"
    return f"`{setting.default}`" if setting.default else ""


def _readers(name: str) -> str:
    readers = [app for app, group in FUNCTIONS.items() if name in group.declared()]
    if name in BridgeSettings.declared():
        readers.append("bridge")
    return ", ".join(readers) or "commands"


def routes() -> str:
    """Return the routes of the three APIs, and the types of their bodies."""
    documents = {"predict": predict, "capture": capture, "analyze": analyze}
    parts = [
        _page(
            "Routes",
            "Each API serves this as `GET /openapi.json` (OpenAPI 3.1) and as a page, `GET /docs`. "
            "The document of predict also has the features of the model that serves. "
            "[What the APIs refuse](refusals.md) explains the errors.",
        )
    ]
    for name, module in documents.items():
        document = module.document()
        parts.append(f"## {name}\n\n{document['info']['description']}")
        rows = [
            (f"`{method.upper()} {path}`", each["summary"], _body(name, each), _responses(each))
            for path, entry in document["paths"].items()
            for method, each in entry.items()
        ]
        parts.append(table(("route", "what it does", "body", "responses"), rows))
        for type_name, schema in document["components"]["schemas"].items():
            parts.append(described(f"{name}: {type_name}", schema, _link(name)))
    return _joined(parts)


def _body(api: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody")
    if body is not None:
        return shown(body["content"]["application/json"]["schema"], _link(api))
    parameters = [f"`{each['name']}`" for each in operation.get("parameters", ())]
    return ", ".join(parameters)


def _responses(operation: dict[str, Any]) -> str:
    return ", ".join(sorted(operation["responses"]))


def _link(api: str) -> Callable[[str], str]:
    return lambda name: f"[{name}](#{api}-{name.lower()})"


def metrics() -> str:
    """Return every metric."""
    groups = {
        "Metrics of the functions": FUNCTION_METRICS,
        "Metrics of Lambda's runtime": RUNTIME_METRICS,
        "Metrics of the bridge": BRIDGE_METRICS,
    }
    parts = [
        _page(
            "Metrics",
            "The bridge serves them at `/metrics`. [What you can see]"
            "(../explanation/observability.md#metrics) says where each comes from. A histogram has "
            "the suffixes `_bucket`, `_sum` and `_count`. `METRICS_FILE` declares more.",
        )
    ]
    for title, group in groups.items():
        rows = [
            (
                f"`{each.name}`",
                each.kind,
                ", ".join(f"`{label}`" for label in each.labels),
                each.help,
            )
            for each in group
        ]
        parts.append(f"## {title}\n\n{table(('metric', 'kind', 'labels', 'meaning'), rows)}")
    return _joined(parts)


def errors() -> str:
    """Return every error that is raised on purpose."""
    _import_errors()
    rows = [
        (f"`{kind.__name__}`", str(_status(kind)), first_sentence(kind.__doc__ or ""))
        for kind in _errors(ModelwatchError)
        if kind.__module__ == "modelwatch.errors"
    ]
    others = [
        (f"`{kind.__name__}`", f"`{kind.__module__}`", first_sentence(kind.__doc__ or ""))
        for kind in _errors(ModelwatchError)
        if kind.__module__ != "modelwatch.errors"
    ]
    return _joined(
        [
            _page(
                "Errors",
                "Every error that modelwatch raises on purpose is a `ModelwatchError`, and its "
                "text is a sentence for the user. The APIs respond with the status below; commands "
                "print the sentence on standard error and exit with "
                "[status 1](commands.md#exit-statuses).",
            ),
            f"## Errors of the APIs\n\n{table(('error', 'HTTP status', 'meaning'), rows)}",
            f"## Errors of commands and bridge\n\n{table(('error', 'module', 'meaning'), others)}",
        ]
    )


def _status(kind: type[ModelwatchError]) -> int:
    return http_status(kind.__new__(kind))


def _import_errors() -> None:
    """Import each module that defines an error: only then is it among the subclasses."""
    for package in (modelwatch, modelwatch_bridge, modelwatch_cli, modelwatch_training):
        top = Path(package.__path__[0])
        for path in top.rglob("*.py"):
            if re.search(r"^class \w+Error\(", path.read_text(), re.MULTILINE):
                place = path.relative_to(top.parent).with_suffix("").parts
                importlib.import_module(".".join(place).removesuffix(".__init__"))


def _errors(base: type[ModelwatchError]) -> list[type[ModelwatchError]]:
    found = {base: None}
    for kind in base.__subclasses__():
        found |= dict.fromkeys(_errors(kind))
    ours = [kind for kind in found if kind.__module__.partition(".")[0].startswith("modelwatch")]
    return sorted(ours, key=_place)


def _place(kind: type[ModelwatchError]) -> tuple[bool, str, str]:
    return kind is not ModelwatchError, kind.__name__, kind.__module__


def _page(title: str, text: str) -> str:
    note = "<!-- Written by `make reference` from the code: change the code, not this page. -->"
    return f"{note}\n\n# {title}\n\n{text}"


def formats() -> str:
    """Return every stored format."""
    return _joined([_page("Stored formats", stored.INTRODUCTION), *stored.sections()])


def deploy_policy() -> str:
    """Return what a principal that deploys needs."""
    return _joined([_page("Rights to deploy", policy.page_text())])


def _joined(parts: Iterable[str]) -> str:
    text = "\n\n".join(part.strip("\n") for part in parts)
    return re.sub(r"[ \t]+$", "", text, flags=re.M) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands,
    "settings.md": settings,
    "routes.md": routes,
    "metrics.md": metrics,
    "errors.md": errors,
    "formats.md": formats,
    "deploy-policy.md": deploy_policy,
    f"schemas/{SCHEMA_FILE}": schema_text,
    **{f"schemas/{each.file}": partial(stored.schema_text, each) for each in stored.FORMATS},
}
"""By the name below docs/reference, what makes its text."""
