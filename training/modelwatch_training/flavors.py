"""How a model is saved: MLflow's flavour, the format and the packages."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import pickletools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import cloudpickle

_ARGUMENTS = {"lightgbm": "lgb_model", "xgboost": "xgb_model", "catboost": "cb_model"}
"""By library: what MLflow's functions call the model of its flavour."""

_ALWAYS = {"cloudpickle", "numpy", "pandas"}
"""Packages that serving a model needs, whatever it is made of."""


@dataclass(frozen=True, slots=True)
class Saving:
    """A way to save a model.

    Attributes
    ----------
    module
        The module of MLflow.
    arguments
        The arguments of its functions: the model, its format, its packages.
    own_modules
        The user's files that define the model: they are saved with it.
    """

    module: str
    arguments: dict[str, Any]
    own_modules: tuple[str, ...] = ()

    def save(self, path: str, **more: Any) -> None:
        """Save the model in a new folder."""
        with _pickled_by_value(self.own_modules):
            importlib.import_module(self.module).save_model(path=path, **self.arguments, **more)

    def log(self, **more: Any) -> Any:
        """Log the model to the active run; return what MLflow says of it."""
        with _pickled_by_value(self.own_modules):
            log_model = importlib.import_module(self.module).log_model
            return log_model(name="model", **self.arguments, **more)


def savings_of(model: Any) -> Iterator[Saving]:
    """Yield the ways to save ``model``, the best one first.

    A model with scikit-learn's interface is saved with skops, which loads only the types that are
    named with it: those of this model. A model that skops does not know is pickled. Then the digest
    of its file, which the registry has, protects the loading.
    """
    from mlflow.pyfunc.model import PythonModel

    modules = modules_of(model)
    own = tuple(sorted(name for name in modules if is_own(name)))
    common: dict[str, Any] = {"pip_requirements": requirements_of(modules)}
    library = type(model).__module__.partition(".")[0]
    is_estimator = hasattr(model, "get_params")
    if isinstance(model, PythonModel):
        yield Saving("mlflow.pyfunc", {"python_model": model, **common}, own)
    elif library in ("xgboost", "catboost") or (library == "lightgbm" and not is_estimator):
        yield Saving(f"mlflow.{library}", {_ARGUMENTS[library]: model, **common}, own)
    else:
        module, argument = "mlflow.sklearn", "sk_model"
        if library == "lightgbm":
            module, argument = "mlflow.lightgbm", _ARGUMENTS[library]
        for form in _formats(model, own):
            yield Saving(module, {argument: model, **form, **common}, own)


def _formats(model: Any, own: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    import skops.io

    types = None
    if not own:
        # whatever it raises: skops does not know what is in this model
        with contextlib.suppress(Exception):
            types = skops.io.get_untrusted_types(data=skops.io.dumps(model))
    # where a model is loaded, another program is the main one
    if types is not None and not any(name.startswith("__main__.") for name in types):
        yield {"serialization_format": "skops", "skops_trusted_types": types}
    yield {"serialization_format": "cloudpickle"}


def modules_of(model: Any) -> set[str]:
    """Return the modules that loading ``model`` imports, as its pickle names them.

    Examples
    --------
    >>> from collections import OrderedDict
    >>> modules_of(OrderedDict(a=1))
    {'collections'}
    """
    found = {type(model).__module__}
    texts = ["", ""]
    for opcode, argument, _ in pickletools.genops(cloudpickle.dumps(model)):
        if isinstance(argument, str):
            texts = [texts[-1], argument]
        elif opcode.name == "STACK_GLOBAL":
            # a module's name is one of the last two texts, the first time that it is used
            found.update(text for text in texts if text in sys.modules)
    return found


def is_own(module: str) -> bool:
    """Return whether a module is a user's file: not of a package, and not of Python."""
    top = module.partition(".")[0]
    return not (top in sys.stdlib_module_names or top == "__main__" or top in _packages())


def requirements_of(modules: set[str]) -> list[str]:
    """Return the packages that hold ``modules``, each with the version that is installed here.

    It leaves out modules of no package: Python's own, and a user's files.
    """
    packages = _packages()
    needed = set(_ALWAYS)
    for top in {name.partition(".")[0] for name in modules}:
        needed.update(packages.get(top, [])[:1])
    if "scikit-learn" in needed:
        needed.add("skops")
    return sorted(f"{name}=={importlib.metadata.version(name)}" for name in needed)


@cache
def _packages() -> Mapping[str, list[str]]:
    """Return the packages that hold each top-level module."""
    return importlib.metadata.packages_distributions()


@contextlib.contextmanager
def _pickled_by_value(modules: tuple[str, ...]) -> Iterator[None]:
    """Let cloudpickle store the definitions in ``modules``, instead of their names."""
    known = cloudpickle.list_registry_pickle_by_value()
    new = [sys.modules[name] for name in modules if name not in known]
    for module in new:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in new:
            cloudpickle.unregister_pickle_by_value(module)
