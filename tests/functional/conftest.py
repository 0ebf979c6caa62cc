"""The test clients of the Chalice apps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from chalice.test import Client

from apps import app_with


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    """Return a function that gives the test client of an app: ``client("predict", metrics=…)``.

    The keyword arguments are what the app's `chalicelib.wiring` would have built.
    """
    with contextlib.ExitStack() as stack:
        yield lambda name, **parts: Client(stack.enter_context(app_with(name, **parts)))
