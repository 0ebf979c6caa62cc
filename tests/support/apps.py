"""The Chalice apps as they are, with a wiring that gives them in-memory services."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from chalice.app import Chalice
from chalice.config import Config
from chalice.local import LocalDevServer

from modelwatch.adapters.access.tokens import Callers
from modelwatch.settings.access import AccessSettings

FUNCTIONS = Path(__file__).parents[2] / "functions"


@contextlib.contextmanager
def app_with(name: str, **parts: object) -> Iterator[Chalice]:
    """Import `functions/<name>/app.py` with a wiring that gives ``parts``."""
    kept = {key: sys.modules.get(key) for key in ("chalicelib", "chalicelib.wiring")}
    package, wiring = ModuleType("chalicelib"), ModuleType("chalicelib.wiring")
    open_door = Callers.of(AccessSettings({}))
    for part, value in ({"door": open_door} | parts).items():
        setattr(wiring, part, lambda value=value: value)
    vars(package).update(wiring=wiring, __path__=[str(FUNCTIONS / name / "chalicelib")])
    sys.modules |= {"chalicelib": package, "chalicelib.wiring": wiring}
    try:
        path = FUNCTIONS / name / "app.py"
        spec = importlib.util.spec_from_file_location(f"{name}_app_alone", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module.app
    finally:
        for key in [key for key in sys.modules if key.startswith("chalicelib")]:
            del sys.modules[key]
        sys.modules |= {key: module for key, module in kept.items() if module}


@contextlib.contextmanager
def real_app(name: str) -> Iterator[Chalice]:
    """Import the app of a function with its own wiring."""

    def forget() -> None:
        for each in [each for each in sys.modules if each.split(".")[0] in ("app", "chalicelib")]:
            del sys.modules[each]

    forget()
    sys.path.insert(0, str(FUNCTIONS / name))
    try:
        yield importlib.import_module("app").app
    finally:
        sys.path.pop(0)
        forget()


@contextlib.contextmanager
def served(app: Chalice) -> Iterator[str]:
    """Serve ``app`` with Chalice's own local server; give its address."""
    server = LocalDevServer(app, Config(), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(10)
