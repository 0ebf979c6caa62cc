"""All queries of the dashboards and of Prometheus's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

from modelwatch_cli.project import Project

LOOK_BACK_SECONDS = 900
"""A query has data if it had some within this time."""

Kind = Literal["panel", "variable", "recording", "alert"]


class Question(NamedTuple):
    """A query.

    Attributes
    ----------
    place
        The title of the dashboard, or of the rules.
    title
        Of the panel or alert; the name of a variable, or of what is recorded.
    kind
        Panel, variable or kind of rule.
    expression
        PromQL, with a dashboard's variables; for a variable only the selector.
    label
        The label whose values a variable offers.
    """

    place: str
    title: str
    kind: Kind
    expression: str
    label: str = ""


def board_questions(folder: Path | None = None) -> Iterator[Question]:
    """Yield every query of every panel, and of every variable that Prometheus fills."""
    folder = folder or Project().dashboards
    for file in sorted(folder.glob("*.json")):
        board = json.loads(file.read_text())
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
                if found is None:
                    raise ValueError(f"{file}: {variable['query']} is not label_values(…, label)")
                yield Question(board["title"], variable["name"], "variable", found[1], found[2])
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield Question(board["title"], panel["title"], "panel", target["expr"])


def rule_questions(folder: Path | None = None) -> Iterator[Question]:
    """Yield the expression of every recording and alerting rule."""
    folder = folder or Project().prometheus / "rules"
    for file in sorted(folder.glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                kind: Kind = "alert" if "alert" in rule else "recording"
                title = rule.get("alert") or rule["record"]
                yield Question(f"{kind} rules", title, kind, rule["expr"].strip())


def filled_in(expression: str, model: str, version: str) -> str:
    """Return ``expression`` with one model version as the value of all variables.

    >>> filled_in('x{model_name=~"$model_name"}[$__rate_interval]', "wine", "1")
    'x{model_name=~"wine"}[1m]'
    """
    values = {
        "__rate_interval": "1m",
        "__range": f"{LOOK_BACK_SECONDS}s",
        "model_name": model,
        "model_version": version,
        "version_a": version,
        "version_b": version,
        "variant_a": ".*",
        "variant_b": ".*",
    }
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)
