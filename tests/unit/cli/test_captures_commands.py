"""Options of `modelwatch captures` that contradict one another, or that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from modelwatch.errors import ModelwatchError
from modelwatch_cli.capture import captures

app = typer.Typer()
captures.register(app)
IMPORT = ("captures", "import", "nowhere", "--format", "sagemaker")
EXPORT = ("captures", "export", "nowhere")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*IMPORT, "--feature-names", "a,b", "--feature-types", "d"), "each of 2 names of"),
        ((*IMPORT, "--feature-names", '"a,b"', "--feature-types", "x"), "each of 1 names of"),
        ((*IMPORT, "--model", "a/b"), "--model: "),
        ((*IMPORT, "--since", "yesterday"), "--since: is not a time in ISO 8601"),
        ((*IMPORT, "--since", "2026-02-01", "--until", "2026-01-01"), "must end after it starts"),
        (IMPORT, "nowhere: is no file or folder"),
        ((*EXPORT, "--encoding", "json", "--header"), "--header: is only for --encoding csv"),
        ((*EXPORT, "--until", "2026-13-01"), "--until: is not a time in ISO 8601"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(app, list(arguments))
    assert isinstance(outcome.exception, ModelwatchError), outcome.output
    assert words in str(outcome.exception)


def test_a_folder_without_files_is_reported(tmp_path: Path):
    outcome = CliRunner().invoke(app, ["captures", "import", str(tmp_path)])
    assert "has no file that ends in .jsonl" in str(outcome.exception)
