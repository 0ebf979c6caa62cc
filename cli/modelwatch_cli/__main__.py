"""The commands, also where what they need is not installed: then they say so."""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    """Run `modelwatch`."""
    _run("modelwatch_cli.main", "local")


def bridge() -> None:
    """Run `modelwatch-bridge`."""
    _run("modelwatch_bridge.main", "bridge")


def _run(module: str, extra: str) -> None:
    try:
        importlib.import_module(module).main()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing.startswith("modelwatch"):
            raise
        sys.exit(f"Error: {missing} is not installed: pip install 'modelwatch[{extra}]'")


if __name__ == "__main__":
    main()
