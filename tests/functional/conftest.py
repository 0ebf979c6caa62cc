"""The Chalice apps as they are, with a wiring that gives them in-memory services."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from chalice import Chalice
from chalice.test import Client

FUNCTIONS = Path(__file__).parents[2] / "functions"


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    """Return a function that gives the test client of an app: ``client("predict", metrics=…)``.

    The keyword arguments are what the app's `chalicelib.wiring` would have built.
    """
    kept = {name: sys.modules.get(name) for name in ("chalicelib", "chalicelib.wiring")}

    def make(name: str, **parts: object) -> Client:
        wiring = ModuleType("chalicelib.wiring")
        for part, value in parts.items():
            setattr(wiring, part, lambda value=value: value)
        package = ModuleType("chalicelib")
        package.wiring = wiring
        package.__path__ = [str(FUNCTIONS / name / "chalicelib")]
        sys.modules.update({"chalicelib": package, "chalicelib.wiring": wiring})
        return Client(load_app(name))

    yield make
    for name, module in kept.items():
        if module is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = module


def load_app(name: str) -> Chalice:
    """Import `functions/<name>/app.py` as a module of its own and return its app."""
    spec = importlib.util.spec_from_file_location(f"{name}_app", FUNCTIONS / name / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app
