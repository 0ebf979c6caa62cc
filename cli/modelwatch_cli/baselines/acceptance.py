"""`modelwatch baseline accept` and `modelwatch baseline revert`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelwatch_cli.console import console, count_of, error_console, print_json
from modelwatch_cli.episodes.commands import EPISODE, WHO, episode_store, person
from modelwatch_cli.options import model_option, model_words, since_option, until_option
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch_cli.baselines.accepting import Acceptor

_JSON = typer.Option("--json", help="print the result as JSON")
_MODEL = model_option()


def accept(
    episode: Annotated[str, EPISODE],
    note: Annotated[str | None, typer.Option(help="why it is the new normal")] = None,
    who: Annotated[str | None, WHO] = None,
    since: Annotated[
        str | None,
        since_option("start of the captures; by default those of the episode"),
    ] = None,
    until: Annotated[str | None, until_option("end of the captures")] = None,
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Make an open episode the new normal: its captures are the reference of its version.

    The episode closes. What the past said against the old reference is not asked any more.
    """
    from modelwatch.domain.episodes.notes import check_text

    with error_console.status("reading its captures"):
        acceptor = _acceptor(model_name)
        given = check_text(note, "--note") if note is not None else ""
        found, made = acceptor.accept(episode, person(who), given, since or "", until or "")
    if as_json:
        print_json({"episode": found, "baseline": made})
        return
    console.print(
        f"Version {found.model_version} of {found.model_name} is compared with '{made.name}' "
        f"({count_of(made.rows, 'row')}) from now on; take it back with "
        f"`modelwatch baseline revert {found.id}{model_words(found.model_name)}`",
        markup=False,
    )


def revert(
    episode: Annotated[str, EPISODE],
    note: Annotated[str | None, typer.Option(help="why it is not normal")] = None,
    who: Annotated[str | None, WHO] = None,
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Take the acceptance of an episode back: its version gets the old reference again."""
    from modelwatch.domain.episodes.notes import check_text

    given = check_text(note, "--note") if note is not None else ""
    found = _acceptor(model_name).revert(episode, person(who), given)
    if as_json:
        print_json(found)
        return
    console.print(
        f"Version {found.model_version} of {found.model_name} has its old reference again",
        markup=False,
    )


def _acceptor(model_name: str | None) -> Acceptor:
    from modelwatch.adapters.aws.clients import s3_client
    from modelwatch.adapters.results.baselines import S3BaselineStore
    from modelwatch_cli.baselines.accepting import Acceptor
    from modelwatch_cli.baselines.making import BaselineMaker

    settings = Settings()
    client, (episodes, model) = s3_client(settings), episode_store(model_name)
    baselines = S3BaselineStore(client, settings.report_bucket)
    return Acceptor(BaselineMaker(settings, model, client), baselines, episodes, model)
