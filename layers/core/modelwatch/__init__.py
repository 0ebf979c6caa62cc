"""modelwatch: serverless monitoring of machine-learning models.

Public are the names of ``__all__``; `docs/reference/api.md` describes them and what a version
promises. Importing this package imports none of them: each is read at its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwatch.api_auth import ApiAuth as ApiAuth
    from modelwatch.calls import ApiError as ApiError
    from modelwatch.captures_reading import Captures as Captures
    from modelwatch.captures_reading import captures as captures
    from modelwatch.client import Client as Client
    from modelwatch.client import results as results
    from modelwatch.comparing import compare as compare
    from modelwatch.comparing import profile as profile
    from modelwatch.domain.profiles import Profile as Profile
    from modelwatch.domain.verdict.results import Verdict as Verdict
    from modelwatch.domain.verdict.rules import DriftPolicy as DriftPolicy
    from modelwatch.errors import ModelwatchError as ModelwatchError
    from modelwatch.reference_reading import reference as reference
    from modelwatch.result_table import Results as Results
    from modelwatch_training.registration import Registration as Registration
    from modelwatch_training.registration import register_model as register_model

__version__ = "0.1.0"

_HOMES = {
    "ApiAuth": "modelwatch.api_auth",
    "ApiError": "modelwatch.calls",
    "Captures": "modelwatch.captures_reading",
    "Client": "modelwatch.client",
    "DriftPolicy": "modelwatch.domain.verdict.rules",
    "ModelwatchError": "modelwatch.errors",
    "Profile": "modelwatch.domain.profiles",
    "Registration": "modelwatch_training.registration",
    "Results": "modelwatch.result_table",
    "Verdict": "modelwatch.domain.verdict.results",
    "captures": "modelwatch.captures_reading",
    "compare": "modelwatch.comparing",
    "profile": "modelwatch.comparing",
    "reference": "modelwatch.reference_reading",
    "register_model": "modelwatch_training.registration",
    "results": "modelwatch.client",
}
"""The module of each public name."""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'modelwatch' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
