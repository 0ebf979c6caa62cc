"""Checks whether the stack is up, before a command uses it."""

from __future__ import annotations

from urllib.parse import urlsplit

from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.errors import StackDownError
from modelwatch_cli.stack.ports import is_listening

_ADDRESSES = {
    "AWS_ENDPOINT_URL": "the AWS endpoint",
    "AWS_ENDPOINT_URL_S3": "S3",
    "MLFLOW_TRACKING_URI": "MLflow",
}


def require_stack(settings: Settings) -> None:
    """Return if every server that ``settings`` name accepts connections.

    An address that is not set means AWS, and is not checked; neither is MLflow if
    MODEL_REGISTRY names another registry.

    Raises StackDownError when one does not.
    """
    silent = []
    for name, title in _ADDRESSES.items():
        if name == "MLFLOW_TRACKING_URI" and settings.model_registry:
            continue
        url = urlsplit(settings.text(name))
        if url.hostname:
            port = url.port or (443 if url.scheme == "https" else 80)
            if not is_listening(url.hostname, port, timeout_seconds=3.0):
                silent.append(f"{title} at {url.geturl()} ({name})")
    if silent:
        raise StackDownError(
            f"no response from {', '.join(silent)}: is the stack up? `modelwatch up` starts it"
        )
