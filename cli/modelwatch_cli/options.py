"""The words that mean the same on every command: models, versions, times and windows.

A command on one window takes ``--window`` and ``--until``; one on a span of time takes ``--since``
and ``--until``. What is wrong is refused before anything is done.
"""

from __future__ import annotations

import shlex
from typing import Any

import typer

from modelwatch.domain.durations import parse_duration
from modelwatch.domain.names import check_model_name, check_model_version
from modelwatch_cli.settings import Settings
from modelwatch_cli.times import option_since, option_time

_MODEL = "a model; by default MODEL_NAME"


def model_option(meaning: str = _MODEL) -> Any:
    """Return ``--model``: a model's name."""

    def check(text: str | None) -> str | None:
        if text:
            check_model_name(text, "--model")
        return text

    return typer.Option("--model", metavar="MODEL", help=meaning, callback=check)


def version_option(meaning: str) -> Any:
    """Return ``--version``: a model's version."""

    def check(text: str | None) -> str | None:
        if text:
            check_model_version(text, "--version")
        return text

    return typer.Option("--version", metavar="VERSION", help=meaning, callback=check)


def since_option(meaning: str) -> Any:
    """Return ``--since``: where a span of time begins, also as a duration before its end."""
    help_text = f"{meaning}: a time, or a duration before --until such as P7D"

    def check(text: str | None) -> str | None:
        if text:
            option_since(text, None)
        return text

    return typer.Option("--since", metavar="TIME|DURATION", help=help_text, callback=check)


def until_option(meaning: str) -> Any:
    """Return ``--until``: where a window or a span of time ends."""

    def check(text: str | None) -> str | None:
        if text:
            option_time("--until", text)
        return text

    return typer.Option("--until", metavar="TIME", help=meaning, callback=check)


def window_option(meaning: str = "length of the window, such as PT1H or P7D") -> Any:
    """Return ``--window``: the length of one window."""

    def check(text: str | None) -> str | None:
        if text:
            parse_duration(text, "--window")
        return text

    return typer.Option("--window", metavar="DURATION", help=meaning, callback=check)


def model_words(model_name: str) -> str:
    """Return what a command needs to mean this model: an option, or nothing for MODEL_NAME."""
    is_default = model_name == Settings().model_name
    return "" if is_default else f" --model {shlex.quote(model_name)}"
