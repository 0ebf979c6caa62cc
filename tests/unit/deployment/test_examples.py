"""The examples in the deployment's docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import modelwatch_cli.deployment as package


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(package.__path__)])
def test_examples(name):
    module = importlib.import_module(f"{package.__name__}.{name}")
    assert doctest.testmod(module).failed == 0
