"""Parts that an installation may leave out; what they add is not there then."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

MODEL_MONITOR = "modelwatch.domain.model_monitor"
"""SageMaker Model Monitor's documents."""


def optional_part(package: str, module: str = "") -> Any:
    """Return ``package``, or a module in it; None where this installation has no such package.

    Examples
    --------
    >>> optional_part("json", "decoder").__name__, optional_part("modelwatch.no_such_part")
    ('json.decoder', None)
    """
    if find_spec(package) is None:
        return None
    return import_module(f"{package}.{module}" if module else package)
