"""Bearer tokens (JWT) of an OpenID Connect issuer, such as Cognito, Entra ID, Okta or Keycloak.

A token counts if the issuer's present keys sign it, and it is for us and for now (RFC 7519, 8725).
`cryptography` verifies the signature; it is imported at the first token.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import msgspec
import urllib3

from modelwatch.domain.faults import UNREADABLE
from modelwatch.errors import CallerError, IssuerError
from modelwatch.settings.access import AccessSettings

_LOG = logging.getLogger(__name__)

_ALGORITHMS = ("RS256", "ES256")
"""A token chooses among these alone: neither ``none``, nor a key of ours as its secret."""
_LEEWAY_SECONDS = 60
"""Clocks differ."""
_MOST_CHARACTERS = 8_192
_KEPT_SECONDS = 3_600
"""A key that the issuer takes back opens nothing after that."""
_BETWEEN_SECONDS = 10
"""Keys are read no more often, whatever tokens name."""
_LEAST_RSA_BITS = 2_048
_TIMEOUT = urllib3.Timeout(connect=2.0, read=5.0)


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str = ""
    crit: list[str] = []


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    exp: float
    aud: str | list[str] = ""
    client_id: str = ""
    nbf: float = 0


class _Key(msgspec.Struct, frozen=True):
    kty: str
    kid: str = ""
    use: str = "sig"
    n: str = ""
    e: str = ""
    crv: str = ""
    x: str = ""
    y: str = ""


class _Keys(msgspec.Struct, frozen=True):
    keys: list[_Key]


class _Discovery(msgspec.Struct, frozen=True):
    issuer: str
    jwks_uri: str


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_claims = msgspec.json.Decoder(_Claims).decode
_decode_keys = msgspec.json.Decoder(_Keys).decode
_decode_discovery = msgspec.json.Decoder(_Discovery).decode


class Tokens:
    """Verifies tokens of one issuer.

    Parameters
    ----------
    audiences
        A token is for one of them: its ``aud``, or the ``client_id`` of one without ``aud``, as
        Cognito's access tokens are.
    fetch
        Returns what is at an address. Raises `urllib3`'s errors.
    now
        Seconds since 1970.
    """

    def __init__(
        self,
        issuer: str,
        audiences: Sequence[str],
        *,
        fetch: Callable[[str], bytes],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._audiences = frozenset(audiences)
        self._fetch = fetch
        self._now = now
        self._keys: Mapping[str, _Key] = {}
        self._read_at = -float("inf")
        self._tried_at = -float("inf")

    def verify(self, authorization: str) -> None:
        """Return if the header ``Authorization`` has a token that counts.

        Raises
        ------
        CallerError
            When it does not.
        IssuerError
            When the issuer does not give its keys.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise CallerError("send a token: Authorization: Bearer TOKEN")
        try:
            signed, signature, header, claims = _parts(token.strip())
        except (ValueError, *UNREADABLE):
            raise CallerError("the token cannot be read") from None
        # what it says is looked at before its signature: no key is read for a token of another
        self._check(claims)
        if header.alg not in _ALGORITHMS or header.crit:
            raise CallerError(f"the token is not signed by {' or '.join(_ALGORITHMS)}")
        if not _is_signed(header.alg, self._key(header.kid), signed, signature):
            raise CallerError("the token's signature is wrong")

    def _check(self, claims: _Claims) -> None:
        if claims.iss != self._issuer:
            raise CallerError("the token is of another issuer")
        named = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if not self._audiences & set(named if claims.aud else [claims.client_id]):
            raise CallerError("the token is for another audience")
        if claims.exp + _LEEWAY_SECONDS < self._now():
            raise CallerError("the token is expired")
        if claims.nbf - _LEEWAY_SECONDS > self._now():
            raise CallerError("the token is not valid yet")

    def _key(self, kid: str) -> _Key:
        now = self._now()
        is_old = now - self._read_at > _KEPT_SECONDS
        if (is_old or kid not in self._keys) and now - self._tried_at >= _BETWEEN_SECONDS:
            self._tried_at = now
            try:
                self._keys = self._read()
                self._read_at = now
            except (urllib3.exceptions.HTTPError, *UNREADABLE, IssuerError) as error:
                _LOG.error("the keys of %s cannot be read: %s", self._issuer, error)
        if now - self._read_at > _KEPT_SECONDS:
            raise IssuerError(f"the keys of {self._issuer} cannot be read")
        try:
            return self._keys[kid]
        except KeyError:
            raise CallerError(
                "the token is signed by a key that its issuer does not have"
            ) from None

    def _read(self) -> dict[str, _Key]:
        address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        found = _decode_discovery(self._fetch(address))
        if found.issuer != self._issuer:
            raise IssuerError(f"{address} is of another issuer, '{found.issuer[:200]}'")
        if self._issuer.startswith("https:") and not found.jwks_uri.startswith("https:"):
            raise IssuerError("its keys are not at an https address")
        keys = _decode_keys(self._fetch(found.jwks_uri)).keys
        return {key.kid: key for key in keys if key.use == "sig"}


class Callers:
    """Says for each route whether a request may come in."""

    def __init__(self, settings: AccessSettings, tokens: Tokens) -> None:
        self._settings = settings
        self._tokens = tokens

    @classmethod
    def of(cls, settings: AccessSettings) -> Self:
        """Return what API_AUTH and API_AUTH_CONTROL say."""
        return cls(
            settings,
            Tokens(settings.api_jwt_issuer, settings.api_jwt_audience or (), fetch=_fetch),
        )

    def admit(self, path: str, authorization: str) -> None:
        """Return if a request for the route ``path`` may come in; see `Tokens.verify`."""
        if self._settings.auth_of(path) == "jwt":
            self._tokens.verify(authorization)


def _fetch(address: str) -> bytes:
    response = urllib3.request("GET", address, timeout=_TIMEOUT, retries=1, redirect=False)
    if response.status != 200:
        raise IssuerError(f"{address} returned {response.status}")
    return response.data


def _parts(token: str) -> tuple[bytes, bytes, _Header, _Claims]:
    """Return what is signed, the signature, and what the token says."""
    if len(token) > _MOST_CHARACTERS:
        raise ValueError(token[:20])
    header, claims, signature = token.split(".")
    signed = f"{header}.{claims}".encode("ascii")
    return signed, _bytes(signature), _decode_header(_bytes(header)), _decode_claims(_bytes(claims))


def _bytes(text: str) -> bytes:
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")


def _is_signed(alg: str, key: _Key, signed: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    public: Any
    try:
        if alg == "RS256" and key.kty == "RSA":
            public = rsa.RSAPublicNumbers(_number(key.e), _number(key.n)).public_key()
            if public.key_size < _LEAST_RSA_BITS:
                return False
            public.verify(signature, signed, padding.PKCS1v15(), SHA256())
            return True
        if alg == "ES256" and (key.kty, key.crv) == ("EC", "P-256") and len(signature) == 64:
            curve = ec.SECP256R1()
            public = ec.EllipticCurvePublicNumbers(_number(key.x), _number(key.y), curve)
            halves = (int.from_bytes(each, "big") for each in (signature[:32], signature[32:]))
            encoded = utils.encode_dss_signature(*halves)
            public.public_key().verify(encoded, signed, ec.ECDSA(SHA256()))
            return True
    except (InvalidSignature, ValueError):
        return False
    return False
