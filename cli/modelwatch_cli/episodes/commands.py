"""`modelwatch episodes`."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from modelwatch.errors import InvalidInputError
from modelwatch_cli.console import console, error_console, print_json, print_table
from modelwatch_cli.options import model_option, model_words, since_option, until_option
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch.adapters.results.episodes import S3EpisodeStore
    from modelwatch.domain.episodes.joining import Episode
    from modelwatch.domain.episodes.notes import Expectation
    from modelwatch_cli.episodes.story import Story

_JSON = typer.Option("--json", help="print the result as JSON")
_MODEL = model_option()
EPISODE = typer.Argument(metavar="EPISODE", help="its id, such as 3-20260102T030000Z")
WHO = typer.Option("--who", help="your name; by default that of your account here")
_MINUTES = "%Y-%m-%d %H:%M"


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    episodes = typer.Typer(
        help="Episodes: each drift from its opening to its closing, and what people say of it.",
        no_args_is_help=True,
    )
    episodes.command("list")(list_episodes)
    for command in (show, acknowledge, expect, withdraw):
        episodes.command()(command)
    app.add_typer(episodes, name="episodes")


def list_episodes(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="most episodes")] = 20,
    only_open: Annotated[bool, typer.Option("--open", help="only those that are open")] = False,
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """List the model's episodes, open ones first, and the changes that are expected."""
    store, model = episode_store(model_name)
    record, now = store.load(model), _now()
    found = record.open_episodes() if only_open else record.episodes()
    expected = [each for each in record.notes.changes if each.ends > now]
    if as_json:
        print_json({"model_name": model, "episodes": found[:limit], "expected": expected})
        return
    if not found:
        console.print(f"{model} has no {'open ' if only_open else ''}episode", markup=False)
    else:
        print_table(
            ["episode", "status", "opened (UTC)", "closed (UTC)", "windows", "drifted"],
            [
                [
                    each.id,
                    each.status if each.closed is None else f"closed: {each.reason}",
                    f"{each.opened:{_MINUTES}}",
                    "" if each.closed is None else f"{each.closed:{_MINUTES}}",
                    ", ".join(dict.fromkeys(one.length for one in each.lengths)),
                    _names(each),
                ]
                for each in found[:limit]
            ],
            title=f"Episodes of {model}",
        )
        if len(found) > limit:
            console.print(f"and {len(found) - limit} older ones: --limit")
    if expected:
        console.print()
        _print_expected(expected, now)


def show(
    episode: Annotated[str, EPISODE],
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show the story of an episode: its windows, features, notes and reports."""
    from modelwatch_cli.episodes.story import tell
    from modelwatch_cli.monitoring.replay import report_store

    settings = Settings()
    store, model = episode_store(model_name)
    found = store.load(model).find(episode)
    with error_console.status("reading its results"):
        story = tell(found, report_store(settings), settings)
    if as_json:
        print_json(story)
        return
    _print_story(story)


def acknowledge(
    episode: Annotated[str, EPISODE],
    note: Annotated[str, typer.Option(help="what you know, or do about it")],
    who: Annotated[str | None, WHO] = None,
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Say that someone knows of an open episode: it does not alert while it stays open.

    Metrics and alerts follow with the next run of the schedule.
    """
    from modelwatch.domain.episodes.notes import Acknowledgement, check_text

    given = Acknowledgement(
        episode=episode, who=person(who), note=check_text(note, "--note"), at=_now()
    )
    store, model = episode_store(model_name)
    changed = store.update(model, lambda record: record.acknowledge(given)).find(episode)
    if as_json:
        print_json(changed)
        return
    console.print(f"{changed.id} of {model} is acknowledged by {given.who}", markup=False)


def expect(
    until: Annotated[str, until_option("its end, 92 days after --since at most")],
    reason: Annotated[str, typer.Option(help="what is expected, such as a promotion")],
    since: Annotated[str | None, since_option("its start; by default now")] = None,
    features: Annotated[
        list[str] | None,
        typer.Option("--feature", help="a feature that it changes; by default all; repeatable"),
    ] = None,
    who: Annotated[str | None, WHO] = None,
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Declare an expected change: drift of windows with a part of that time does not alert.

    It holds for all versions of the model. Drift of other features, and drift that lasts beyond its
    end, alerts.
    """
    from modelwatch.domain.episodes.notes import Expectation, check_expectation, check_text
    from modelwatch_cli.times import option_since, option_time

    now, end = _now(), option_time("--until", until)
    given = check_expectation(
        Expectation(
            id=0,
            features=tuple(dict.fromkeys(features or ())),
            start=option_since(since, end) if since else now,
            end=end,
            reason=check_text(reason, "--reason"),
            who=person(who),
            at=now,
        )
    )
    store, model = episode_store(model_name)
    made = store.update(model, lambda record: record.expect(given)).notes.expected[-1]
    if as_json:
        print_json(made)
        return
    console.print(
        f"Change {made.id} of {model} is expected until {made.end:{_MINUTES}} UTC; take it back "
        f"with `modelwatch episodes withdraw {made.id}{model_words(model)}`",
        markup=False,
    )


def withdraw(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="of the expected change")],
    who: Annotated[str | None, WHO] = None,
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Take an expected change back: drift alerts again from now on."""
    store, model = episode_store(model_name)
    name, now = person(who), _now()
    record = store.update(model, lambda record: record.withdraw(number, name, now))
    (found,) = (each for each in record.notes.expected if each.id == number)
    if as_json:
        print_json(found)
        return
    console.print(f"Change {number} of {model} is not expected any more", markup=False)


def person(who: str | None) -> str:
    """Return who gives a note; raises InvalidInputError when that is not known, or no name."""
    from modelwatch.domain.episodes.notes import MOST_NAME_CHARACTERS, check_text

    try:
        name = getpass.getuser() if who is None else who
    except (OSError, KeyError, ImportError):
        raise InvalidInputError("--who", "is needed: your account here has no name") from None
    return check_text(name, "--who", MOST_NAME_CHARACTERS)


def episode_store(model_name: str | None) -> tuple[S3EpisodeStore, str]:
    """Return where records are, and the name of the model that is meant."""
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.results.episodes import S3EpisodeStore

    settings = Settings()
    store = S3EpisodeStore(s3_client(settings), settings.report_bucket)
    return store, model_name or settings.model_name


def _print_expected(expected: list[Expectation], now: datetime) -> None:
    print_table(
        ["expected change", "status", "from (UTC)", "until (UTC)", "features", "reason", "by"],
        [
            [
                each.id or "",
                each.status(now),
                f"{each.start:{_MINUTES}}",
                f"{each.end:{_MINUTES}}",
                ", ".join(each.features) or "all",
                each.reason,
                each.who,
            ]
            for each in expected
        ],
    )


def _print_story(story: Story) -> None:
    episode = story.episode
    state: str = episode.status
    if episode.closed is not None:
        state = f"closed at {episode.closed:{_MINUTES}} UTC: {episode.reason}"
    lines = [
        f"Episode {episode.id} of {episode.model_name} version {episode.model_version}: {state}",
        f"Opened {episode.opened:{_MINUTES}}, last drift {episode.last:{_MINUTES}} UTC",
    ]
    lines += [
        f"Acknowledged {each.at:{_MINUTES}} by {each.who}: {each.note}"
        for each in episode.acknowledged
    ]
    lines += [
        f"Expected until {each.end:{_MINUTES}} ({each.who}): {each.reason}"
        for each in episode.expected
    ]
    if episode.accepted is not None:
        taken = episode.accepted
        lines.append(
            f"Accepted {taken.at:{_MINUTES}} by {taken.who} as baseline '{taken.baseline}'"
            f"{f': {taken.note}' if taken.note else ''}"
        )
        if taken.reverted_at is not None:
            lines.append(
                f"Reverted {taken.reverted_at:{_MINUTES}} by {taken.reverted_by}"
                f"{f': {taken.reverted_note}' if taken.reverted_note else ''}"
            )
    console.print("\n".join(lines), markup=False)
    console.print()
    print_table(
        ["window", "first drift (UTC)", "last drift (UTC)", "quiet (UTC)"],
        [
            [
                each.length,
                f"{each.first:{_MINUTES}}",
                f"{each.last:{_MINUTES}}",
                "" if each.closed is None else f"{each.closed:{_MINUTES}}",
            ]
            for each in episode.lengths
        ],
    )
    console.print()
    print_table(
        ["feature", "first drift (UTC)", "worst (UTC)", "window", "score", "critical", "why"],
        [
            [
                each.feature,
                f"{each.first:{_MINUTES}}",
                f"{each.worst:{_MINUTES}}",
                each.window,
                "" if each.score is None else f"{each.score:.3f}",
                "" if each.critical_score is None else f"{each.critical_score:.3f}",
                each.words,
            ]
            for each in story.features
        ],
    )
    reports = [each for each in story.results if each.report]
    if reports:
        console.print(f"\nNewest report: {reports[-1].report}", markup=False)


def _names(episode: Episode) -> str:
    names = list(episode.features)
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
