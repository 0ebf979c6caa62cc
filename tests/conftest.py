"""The stack that integration and end-to-end tests share: the real one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest
from hypothesis import settings

from examples import ALWAYS_THE_SAME, examples
from running_stack import FOREIGN, RunningStack, describe_stack

# No test may reach an account, a stack or a registry that the developer's shell names.
for name in [name for name in os.environ if name.startswith(FOREIGN)]:
    del os.environ[name]

# A shell that runs the tests in the background has Ctrl-C ignored, and children inherit that;
# with a handler here, they start with it in force, as they do at a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What an example takes on a machine that does other work says nothing of the code.
settings.register_profile(
    "modelwatch", deadline=None, max_examples=examples(100), derandomize=ALWAYS_THE_SAME
)
settings.load_profile("modelwatch")


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Undo what a test leaves in the environment: each command puts its files' variables there."""
    with patch.dict(os.environ):
        yield


@pytest.fixture(scope="session")
def new_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningStack]]:
    """Describe a stack that is not up, with ``variables`` more; all are stopped in the end."""
    made: list[RunningStack] = []

    def make(**variables: str) -> RunningStack:
        made.append(describe_stack(tmp_path_factory.mktemp("stack") / "home", **variables))
        return made[-1]

    yield make
    for stack in made:
        stack.run("down", "--force")


@pytest.fixture(scope="session")
def stack(new_stack: Callable[..., RunningStack]) -> RunningStack:
    """The whole stack, up; shared by the session, so leave it up."""
    running = new_stack()
    outcome = running.run("up")
    assert outcome.returncode == 0, outcome.stderr
    return running


@pytest.fixture(scope="session")
def localstack(stack: RunningStack) -> RunningStack:
    """LocalStack with functions as processes: a part of the shared stack."""
    return stack
