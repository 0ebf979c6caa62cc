"""The environment variables of a function's process, as AWS sets them."""

import os
from collections.abc import Mapping
from pathlib import Path

from .runtimes import FunctionRuntime

# All a function gets to see of LocalStack's own environment: how to find programs, which language
# and which certificates the machine uses.
_INHERITED = (
    "LANG",
    "LANGUAGE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
)
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
# Meant for LocalStack's own supervisor inside a container; nothing reads them here.
_INTERNAL = (
    "LOCALSTACK_RUNTIME_ID",
    "LOCALSTACK_RUNTIME_ENDPOINT",
    "LOCALSTACK_FUNCTION_ACCOUNT_ID",
    "LOCALSTACK_MAX_PAYLOAD_SIZE",
    "LOCALSTACK_USER",
)


def function_environment(
    provided: Mapping[str, object],
    configured: Mapping[str, str],
    runtime: FunctionRuntime,
    opt: Path | None,
    scratch: Path,
    inherited: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Return the environment of a function's process; only the Runtime API's address is missing.

    Parameters
    ----------
    provided
        What LocalStack computed: AWS's public variables, credentials, `configured`.
    configured
        The function's own variables. As on AWS they replace others, but not reserved ones.
    opt
        Directory that stands in for ``/opt``; None without layers.
    scratch
        The environment's own writable directory, its ``HOME`` and ``TMPDIR``. AWS gives each
        environment a separate ``/tmp``, and never the home of the user who started LocalStack
        (with its ``~/.aws/config``).
    inherited
        LocalStack's own environment.
    """
    prefix = runtime.interpreter.prefix
    task_root = str(runtime.task_root)
    layer_python = _layer_import_path(opt, runtime.interpreter.version)
    layer_bin = [str(opt / "bin")] if opt else []
    layer_lib = [str(opt / "lib")] if opt else []

    environment = {name: inherited[name] for name in _INHERITED if name in inherited}
    environment.update((n, value) for n, value in inherited.items() if n.startswith("LC_"))
    environment.setdefault("LANG", "en_US.UTF-8")
    environment.update(
        HOME=str(scratch),
        TMPDIR=str(scratch),
        PATH=_joined(str(prefix / "bin"), inherited.get("PATH", _DEFAULT_PATH), *layer_bin),
        LD_LIBRARY_PATH=_joined(task_root, f"{task_root}/lib", *layer_lib),
    )
    environment.update(runtime.environment)
    environment.update((n, str(value)) for n, value in provided.items() if n not in _INTERNAL)
    # Last, what AWS reserves: no function can set these.
    environment.update(
        _HANDLER=runtime.handler,
        LAMBDA_TASK_ROOT=task_root,
        LAMBDA_RUNTIME_DIR=str(prefix),
        AWS_EXECUTION_ENV=f"AWS_Lambda_python{runtime.interpreter.version}",
    )
    # sys.path becomes: task root (the current directory), layers, standard library, runtime. The
    # same order as on AWS, which adds the layers even for a function that sets PYTHONPATH itself.
    python_path = [*layer_python, configured.get("PYTHONPATH", "")]
    if any(python_path):
        environment["PYTHONPATH"] = _joined(*python_path)
    return environment


def _layer_import_path(opt: Path | None, version: str) -> list[str]:
    if opt is None:
        return []
    return [str(opt / f"python/lib/python{version}/site-packages"), str(opt / "python")]


def _joined(*parts: str) -> str:
    return os.pathsep.join(part for part in parts if part)
