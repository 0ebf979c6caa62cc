"""Whether servers answer."""

from __future__ import annotations

import http.client
from collections.abc import Container
from urllib.parse import urlsplit

ANY_STATUS = range(100, 600)


def http_answers(url: str, statuses: Container[int] = (200,), timeout_seconds: float = 2.0) -> bool:
    """Return whether ``GET url`` is answered in time with one of ``statuses``.

    Straight to the address: a proxy that the environment names has no business on this machine.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=timeout_seconds
    )
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        # to its end: a server complains in its log about a caller that hangs up
        response.read()
        return response.status in statuses
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
