"""Models, versions, times and windows have the same words on every command."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest
import typer

from modelwatch.errors import InvalidInputError
from modelwatch_cli.main import app
from modelwatch_cli.times import option_since, option_window, past_span

METAVARS = {
    "--model": "MODEL",
    "--version": "VERSION",
    "--since": "TIME|DURATION",
    "--until": "TIME",
    "--window": "DURATION",
}
"""The shared words, and what marks their one definition (`modelwatch_cli.options`)."""

OTHER_WORDS = {
    "--model-name", "--model-version", "--name", "--window-seconds", "--start", "--end", "--from",
    "--to", "--begin", "--before", "--after", "--window-end", "--hours", "--days", "--last",
}  # fmt: skip
ELSEWHERE = {("model-monitor baseline", "--name")}
"""Of a baseline, not of a model."""


def commands(group, path=()):
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


def options(command):
    return [each for each in command.params if each.param_type_name == "option"]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_shared_words_and_no_other(name):
    for option in options(COMMANDS[name]):
        for word in option.opts:
            assert word not in OTHER_WORDS or (name, word) in ELSEWHERE, word
            if word in METAVARS:
                assert option.metavar == METAVARS[word], f"{word}: use modelwatch_cli.options"
                assert option.help


def test_a_window_and_a_span_are_not_mixed():
    for name, command in COMMANDS.items():
        words = {word for option in options(command) for word in option.opts}
        assert not {"--window", "--since"} <= words, name
        assert "--until" in words or not {"--window", "--since"} & words, name


WRONG = {
    "--model": "a/b",
    "--version": "1:2",
    "--since": "yesterday",
    "--until": "P1D",
    "--window": "one hour",
}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        (name, word)
        for name, command in COMMANDS.items()
        for option in options(command)
        for word in option.opts
        if word in WRONG
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_done(name, word):
    (option,) = [each for each in options(COMMANDS[name]) if word in each.opts]
    context = click.Context(click.Command("x"))
    with pytest.raises(InvalidInputError) as found:
        option.process_value(context, WRONG[word])
    assert found.value.field == word


def test_since_is_a_time_or_a_duration_before_until():
    end = datetime(2026, 3, 8, tzinfo=UTC)
    assert option_since("P7D", end) == datetime(2026, 3, 1, tzinfo=UTC)
    assert option_since("2026-03-01", end) == datetime(2026, 3, 1, tzinfo=UTC)
    span = past_span("P7D", "2026-03-08")
    window = option_window("P7D", "2026-03-08", length=end - span[0])
    assert (window.start, window.end) == span
