"""Who may ask the bridge: by the name that a browser used for it, and by a token."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from urllib.parse import urlsplit

from modelwatch.errors import SettingError
from modelwatch_bridge.serving.site import HttpResponse

OPEN = "none-anyone-may-read"
"""What has to be written for a bridge that the network may read."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OTHER_NAME = HttpResponse(
    HTTPStatus.MISDIRECTED_REQUEST, b"the bridge has no such name (BRIDGE_NAMES)\n"
)
_NO_TOKEN = HttpResponse(
    HTTPStatus.UNAUTHORIZED,
    b"the bridge asks for its token, as bearer or as password\n",
    headers={"WWW-Authenticate": 'Basic realm="modelwatch"'},
)


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses requests.

    Attributes
    ----------
    names
        By which the bridge is asked; empty: by any. A page of the internet can give its own name
        an address of this machine, and would read what is behind it.
    token
        Empty: none is asked for. `/health` is open to all.
    """

    names: frozenset[str] = frozenset()
    token: str = ""

    @classmethod
    def of(cls, host: str, token: str = "", names: str = "") -> Guard:
        """Return the guard of a bridge that listens on ``host``; names have commas between.

        Raises SettingError when the bridge would be open to the network and no one said so.
        """
        more = [name.strip() for name in names.lower().split(",") if name.strip()]
        is_here = _is_loopback(host)
        if not (is_here or token):
            raise SettingError(
                "BRIDGE_TOKEN",
                f"is needed where BRIDGE_HOST is {host}: a token of 16 characters or more, or "
                f"{OPEN} where something else keeps the network out",
            )
        if token and token != OPEN and len(token) < 16:
            raise SettingError("BRIDGE_TOKEN", "has fewer than 16 characters")
        known = frozenset((*_LOOPBACK, *more)) if is_here or more else frozenset[str]()
        return cls(known, "" if token == OPEN else token)

    def refusal(self, path: str, headers: Message[str, str]) -> HttpResponse | None:
        """Return the response to a request that is refused; None if it is not."""
        host = headers.get("Host")
        # a browser always says it
        if self.names and host is not None and _name_of(host) not in self.names:
            return _OTHER_NAME
        if self.token and path != "/health" and not self._knows(headers.get("Authorization", "")):
            return _NO_TOKEN
        return None

    def _knows(self, authorization: str) -> bool:
        kind, _, value = authorization.partition(" ")
        if kind.lower() == "basic":
            try:
                value = base64.b64decode(value, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        return hmac.compare_digest(value.strip().encode(), self.token.encode())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


LOCAL = Guard(frozenset(_LOOPBACK))
"""Of a bridge that this machine alone reaches."""
