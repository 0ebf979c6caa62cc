"""Whether servers respond."""

from __future__ import annotations

import http.client
from collections.abc import Container
from urllib.parse import urlsplit

ANY_STATUS = range(100, 600)


def http_answers(url: str, statuses: Container[int] = (200,), timeout_seconds: float = 2.0) -> bool:
    """Return whether ``GET url`` returns one of ``statuses`` in time.

    The request ignores a proxy of the environment: the server is on this machine.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=timeout_seconds
    )
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        # to its end: otherwise the server logs an aborted connection
        response.read()
        return response.status in statuses
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
