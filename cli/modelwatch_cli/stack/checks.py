"""Which servers of the stack do not respond: before a command uses them, and after it failed."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from modelwatch.errors import causes
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.errors import StackDownError
from modelwatch_cli.stack.ports import HOST, is_listening

_ADDRESSES = {
    "AWS_ENDPOINT_URL": "the AWS endpoint",
    "AWS_ENDPOINT_URL_S3": "S3",
    "MLFLOW_TRACKING_URI": "MLflow",
}

_HERE = (HOST, "localhost")
_UNREACHED = (ConnectionError, TimeoutError, socket.gaierror)


def require_stack(settings: Settings) -> None:
    """Return if every server that ``settings`` name accepts connections.

    An address that is not set means AWS, and is not checked; neither is MLflow if
    MODEL_REGISTRY names another registry.

    Raises StackDownError when one does not.
    """
    silent, is_here = [], False
    for name, title in _ADDRESSES.items():
        if name == "MLFLOW_TRACKING_URI" and settings.model_registry:
            continue
        url = urlsplit(settings.text(name))
        if url.hostname:
            port = url.port or (443 if url.scheme == "https" else 80)
            if not is_listening(url.hostname, port, timeout_seconds=3.0):
                silent.append(f"{title} at {url.geturl()} ({name})")
                is_here = is_here or url.hostname in _HERE
    if silent:
        question = (
            "is the stack up? `modelwatch up` starts it"
            if is_here
            else "is the address right, and can this machine reach it?"
        )
        raise StackDownError(f"no response from {', '.join(silent)}: {question}")


def name_silent_servers(error: Exception, settings: Settings) -> None:
    """Return if ``error`` has another cause than a server that does not respond.

    An API that fails may have such a cause, too. Raises StackDownError, which names the servers of
    ``settings`` that do not respond, and ends with what ``error`` says.
    """
    if any(_is_of_a_server(each) for each in causes(error)):
        try:
            require_stack(settings)
        except StackDownError as down:
            raise StackDownError(f"{down}\n{error}") from error


def _is_of_a_server(error: BaseException) -> bool:
    # commands that call no API start without it
    from modelwatch.calls import ApiError

    return isinstance(error, _UNREACHED) or (isinstance(error, ApiError) and error.status >= 500)
