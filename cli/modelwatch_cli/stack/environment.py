"""How every command finds the stack: environment variables, from files.

There are three layers; the first one that has a variable wins: the real environment, the
checkout's ``.env``, and ``stack.env``, which `up` writes. No code asks "is this local": without a
stack the same variables lead to AWS.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from modelwatch.errors import SettingError
from modelwatch.settings.account import ASKED
from modelwatch_cli.project import base_folder
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.errors import StackDownError
from modelwatch_cli.stack.home import Home
from modelwatch_cli.stack.ports import HOST

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)")

#: Variables that belong to an address: keys for one S3 must not go to another. A layer that
#: has the address also provides all of these, and those of the lower layers do not count.
_BELONGS_TO_S3 = ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "MLFLOW_S3_ENDPOINT_URL")
BELONGS_TO: dict[str, tuple[str, ...]] = {
    "AWS_ENDPOINT_URL": (
        "AWS_ENDPOINT_URL_S3",
        *_BELONGS_TO_S3,
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
    ),
    "AWS_ENDPOINT_URL_S3": _BELONGS_TO_S3,
}


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a file of ``NAME=value`` lines.

    ``export`` before a name, quotes around a value and ``#`` comments are understood as a shell
    does; nothing is expanded.

    Raises SettingError when there is no such file, or a line is none of these.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise SettingError(str(path), f"cannot be read: {error.strerror}") from error
    variables = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise SettingError(f"{path}:{number}", "is not a line of the form NAME=value")
        try:
            words = shlex.split(match[2], comments=True)
        except ValueError as error:
            raise SettingError(f"{path}:{number}", f"{error}".lower()) from error
        variables[match[1]] = " ".join(words)
    return variables


def write_env_file(path: Path, variables: Mapping[str, str]) -> None:
    """Write ``variables`` to ``path``, readable only for the user, atomically."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables.items()]
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("# Where the stack is; written by `modelwatch up`.\n" + "".join(lines))
    draft.replace(path)


def merge(*layers: Mapping[str, str]) -> dict[str, str]:
    """Return one environment of ``layers``, the strongest first.

    An address and the keys for it come from the same layer: exported keys of a real
    account are never sent to the stack, and the other way round.

    >>> account = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SESSION_TOKEN": "t", "STAGE": "mine"}
    >>> stack = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_ACCESS_KEY_ID": "stack"}
    >>> merge(account, stack)  # doctest: +NORMALIZE_WHITESPACE
    {'AWS_ENDPOINT_URL': 'http://127.0.0.1:4566', 'AWS_ACCESS_KEY_ID': 'stack', 'STAGE': 'mine'}
    >>> merge({"AWS_ENDPOINT_URL": "", **account}, stack)["AWS_ACCESS_KEY_ID"]
    'AKIA'
    """
    whole: dict[str, str] = {}
    for layer in reversed(layers):
        for address, belongings in BELONGS_TO.items():
            if address in layer:
                for name in belongings:
                    whole.pop(name, None)
        bound = {
            name
            for address, belongings in BELONGS_TO.items()
            if address in whole and address not in layer
            for name in belongings
        }
        if "AWS_ENDPOINT_URL_S3" in layer:
            bound -= {"AWS_ENDPOINT_URL_S3", *_BELONGS_TO_S3}
        whole.update({name: value for name, value in layer.items() if name not in bound})
    return whole


def default_addresses(settings: Settings) -> dict[str, str]:
    """Return the default addresses, which apply before the first `up`.

    A command that runs too early therefore finds a closed port, and not an AWS account.
    """
    localstack = f"http://{HOST}:{settings.localstack_port}"
    return {
        "AWS_ENDPOINT_URL": localstack,
        "AWS_ACCESS_KEY_ID": "not-up",
        "AWS_SECRET_ACCESS_KEY": "not-up",
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{settings.mlflow_port}",
    }


class EnvironmentLoader:
    """Completes the process's environment from files, also repeatedly.

    Parameters
    ----------
    environ
        The environment to complete; what it holds at first is the strongest layer.
    """

    def __init__(self, environ: dict[str, str] | os._Environ[str]) -> None:
        self._environ = environ
        self._inherited = dict(environ)
        self._env_file: Path | None = None

    def load(self, env_file: Path | None = None) -> None:
        """Use ``env_file`` instead of ``.env`` and ``stack.env``; these if it is None.

        Raises SettingError when a file cannot be read.
        """
        self._env_file = env_file
        self.reload()

    def reload(self) -> None:
        """Read the files once more: `up` has written another ``stack.env``."""
        whole = merge(self._inherited, *self._layers())
        for name in set(self._environ) - set(whole):
            del self._environ[name]
        # an empty endpoint means AWS itself, which boto3 says by no variable at all
        whole = {k: v for k, v in whole.items() if v or not k.startswith("AWS_ENDPOINT_URL")}
        for name in BELONGS_TO:
            if name not in whole:
                self._environ.pop(name, None)
        self._environ.update(whole | ASKED)

    def from_file(self) -> dict[str, str]:
        """Return the variables of the file in use, with their effective values.

        Raises StackDownError when there is none: the stack was never up.
        """
        path = self._env_file
        if path is None:
            path = Home.of(Settings(self._environ)).stack_env
            if not path.exists():
                raise StackDownError(f"there is no {path}: run `modelwatch up`")
        return {name: self._environ[name] for name in read_env_file(path) if name in self._environ}

    def names_in_files(self) -> dict[str, Path]:
        """Return the names that the user's own file gives, each with that file."""
        path = self._env_file or base_folder() / ".env"
        return dict.fromkeys(read_env_file(path), path) if path.exists() else {}

    def names_in_environment(self) -> list[str]:
        """Return the names that the process was started with."""
        return list(self._inherited)

    def _layers(self) -> list[Mapping[str, str]]:
        if self._env_file is not None:
            return [read_env_file(self._env_file)]
        own = base_folder() / ".env"
        layers = [read_env_file(own)] if own.exists() else []
        settings = Settings(merge(self._inherited, *layers))
        stack_env = Home.of(settings).stack_env
        known = read_env_file(stack_env) if stack_env.exists() else default_addresses(settings)
        return [*layers, known]


LOADER = EnvironmentLoader(os.environ)
"""The process's own; `modelwatch` loads it before each command."""
