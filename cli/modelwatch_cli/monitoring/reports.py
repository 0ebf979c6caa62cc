"""`modelwatch reports`, and how models stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.console import console, error_console, print_json, print_table
from modelwatch_cli.options import (
    model_option,
    model_words,
    since_option,
    until_option,
    version_option,
)
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import option_since, option_time

if TYPE_CHECKING:
    from modelwatch import Client
    from modelwatch.domain.verdict.results import AnalysisResult
    from modelwatch.services.model_states import ModelState

SEVERITY_COLOURS = {
    "ok": "green",
    "warning": "dark_orange",
    "drift": "red",
    "unknown": "yellow",
}
SHOWN = 50
"""So many results are listed unless more are asked for."""

_MINUTES = "%Y-%m-%d %H:%M"


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(reports)


def reports(
    model: Annotated[str | None, model_option("only this model; by default all")] = None,
    version: Annotated[str | None, version_option("only this version; by default all")] = None,
    since: Annotated[
        str | None, since_option("windows that end after this; by default the first one")
    ] = None,
    until: Annotated[
        str | None, until_option("windows that end not after this time; by default now")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help=f"most results, the newest; by default {SHOWN}")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="all results of that time, however many there are")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
) -> None:
    """List the results of analyses, newest first; a report's address is open to anyone for an hour.

    Then come the open episodes of the models.
    """
    from modelwatch_cli.deployment.cloudformation.calling import open_client
    from modelwatch_cli.deployment.cloudformation.endpoints import api_urls

    if everything and limit:
        raise InvalidInputError("--all", "contradicts --limit")
    end = option_time("--until", until) if until else None
    start = option_since(since, end) if since else None
    most = None if everything else limit or SHOWN
    results: list[AnalysisResult] = []
    settings = Settings()
    with error_console.status("reading results") as status, open_client(settings, "analyze") as api:
        for page in api.result_pages(
            model or "", version=version or "", since=start, until=end, limit=most
        ):
            results += page
            status.update(f"reading results: {len(results)}")
    if as_json:
        print_json({"results": results})
        return
    if not results:
        console.print(
            "There are no such results"
            if since or until or model or version
            else "There are no results yet: wait for the schedule, or run modelwatch analyze"
        )
        return
    _print(results, api_urls(settings, ["analyze"])["analyze"])
    if most is not None and len(results) == most:
        console.print(f"These are the newest {most}; for more: --limit, --since or --all")
    _print_open_episodes({result.model_name for result in results})


def _print(results: Sequence[AnalysisResult], url: str) -> None:
    columns = ["window end (UTC)", "window", "by", "model", "version", "status", "rows", "drifted",
               "segments", "report"]  # fmt: skip
    print_table(
        columns,
        [
            [
                f"{result.window_end:%Y-%m-%d %H:%M:%S}",
                result.window,
                "request" if result.ad_hoc else "schedule",
                result.model_name,
                result.model_version + (f" as {result.variant}" if result.variant else ""),
                result.severity,
                result.rows,
                len(result.drifted_features),
                ", ".join(each.name for each in result.segments if each.status == "drift"),
                f"{url}/reports/{result.name}" if result.has_report else "",
            ]
            for result in results
        ],
    )


def _print_open_episodes(models: set[str]) -> None:
    """Print which episodes of drift are open; their record is on S3, which not every reader has."""
    from modelwatch_cli.episodes.commands import episode_store

    try:
        store, _ = episode_store(None)
        found = [each for model in sorted(models) for each in store.load(model).open_episodes()]
    except ModelwatchError as error:
        error_console.print(f"Open episodes cannot be shown: {error}", markup=False)
        return
    for each in found:
        console.print(
            f"Episode {each.id} of {each.model_name} is {each.status} since "
            f"{each.opened:{_MINUTES}} UTC: "
            f"`modelwatch episodes show {each.id}{model_words(each.model_name)}`",
            markup=False,
        )


class States(NamedTuple):
    """How the chosen model versions stand, how many more there are, and why it is not known."""

    found: list[ModelState]
    more: int = 0
    problem: str = ""


class ModelQuery(NamedTuple):
    """Which model versions `status` shows, as its options say."""

    model: str | None
    version: str | None
    since: str | None
    until: str | None
    limit: int

    def read(self, settings: Settings) -> States:
        """Return how they stand, the worst first."""
        from modelwatch_cli.deployment.cloudformation.calling import open_client

        end = option_time("--until", self.until) if self.until else None
        start = option_since(self.since, end) if self.since else None
        try:
            with error_console.status("asking for models"), open_client(settings, "analyze") as api:
                pages = [
                    *api.model_pages(
                        self.model or "",
                        version=self.version or "",
                        since=start,
                        until=end,
                        limit=self.limit,
                    )
                ]
                if self.model and not pages[0].total:
                    return States([], problem=_not_analyzed(self.model, api))
        except ModelwatchError as error:
            return States([], problem=str(error))
        found = [each for page in pages for each in page.models]
        return States(found, max(0, pages[0].total - len(found)))


def _not_analyzed(model: str, api: Client) -> str:
    """Say that no version of a model is to be shown, and which models there are."""
    from modelwatch.domain.names import few_of
    from modelwatch.settings.kinds import meant

    page = next(api.model_pages())
    names = sorted({each.model_name for each in page.models})
    if model in names:
        return f"no version of {model} fits --version, --since and --until"
    if not names:
        return "no model has been analyzed by the schedule yet"
    known = f"the schedule analyzed {few_of(names)}{meant(model, names)}"
    return f"no version of {model} has been analyzed by the schedule; {known}"


def _why(state: ModelState) -> str:
    said = [state.windows[0].reason] if state.severity != "ok" else []
    return "; ".join([*said, *([state.problem] if state.problem else [])])


def print_models(states: States) -> None:
    """Print how models stand: a row for each version, and why where it is not ok."""
    if states.problem:
        error_console.print(f"Models cannot be shown: {states.problem}", markup=False)
        return
    console.print()
    if not states.found:
        console.print("No model has been analyzed by the schedule yet")
        return
    rows = [
        [
            each.model_name,
            each.model_version,
            each.severity,
            f"{each.window_end:{_MINUTES}}",
            ", ".join(f"{one.window} {one.severity}" for one in each.windows),
            ", ".join(f"{one.id} ({one.status})" for one in each.episodes),
            each.owner,
            _why(each),
        ]
        for each in states.found
    ]
    columns = [
        "model",
        "version",
        "verdict",
        "newest (UTC)",
        "windows",
        "open episodes",
        "owner",
        "why",
    ]
    print_table(columns, rows)
    if states.more:
        console.print(f"and {states.more} more: --limit")
