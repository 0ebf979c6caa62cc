"""What is printed of names and texts that someone else made up."""

import json

import pytest

from modelwatch_cli.console import console, error_console, print_json, print_table

HOSTILE = "wine\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp.exe\r\n\ttail"
STEERING = set("\x1b\x07\x9b\u202e\r")
SAFE = "wine\\u001b]0;title\\u0007\\u001b[2J\\u009b31m\\u202egnp.exe"


@pytest.mark.parametrize("markup", [True, False])
def test_no_text_steers_the_terminal(capsys, markup):
    console.print(HOSTILE, markup=markup)
    error_console.print(f"Error: {HOSTILE}", markup=markup)
    print_table(["name"], [[HOSTILE]], title=HOSTILE)
    out, err = capsys.readouterr()
    for printed in (out, err):
        assert SAFE in printed
        assert not STEERING & set(printed)


def test_what_a_script_reads_is_the_text_itself(capsys):
    print_json({"name": HOSTILE})
    printed = capsys.readouterr().out
    assert not STEERING & set(printed)
    assert json.loads(printed) == {"name": HOSTILE}
