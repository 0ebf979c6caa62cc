"""An OpenID Connect issuer in the process: its keys, and tokens that it signs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256

ISSUER = "https://issuer.example/pool"
AUDIENCE = "modelwatch"
NOW = 1_800_000_000


def encoded(payload: bytes) -> str:
    return base64.urlsafe_b64encode(payload).rstrip(b"=").decode()


def _number(number: int) -> str:
    return encoded(number.to_bytes((number.bit_length() + 7) // 8, "big"))


class Key:
    """A key pair of the issuer."""

    def __init__(self, kid: str, alg: str = "RS256", bits: int = 2048) -> None:
        self.kid, self.alg = kid, alg
        if alg == "RS256":
            self._private: Any = rsa.generate_private_key(65537, bits)
        else:
            self._private = ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> dict[str, str]:
        numbers = self._private.public_key().public_numbers()
        kept = {"kid": self.kid, "use": "sig", "alg": self.alg}
        if self.alg == "RS256":
            return kept | {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        x, y = (encoded(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
        return kept | {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def sign(self, signed: bytes) -> bytes:
        if self.alg == "RS256":
            return bytes(self._private.sign(signed, padding.PKCS1v15(), SHA256()))
        halves = utils.decode_dss_signature(self._private.sign(signed, ec.ECDSA(SHA256())))
        return b"".join(each.to_bytes(32, "big") for each in halves)

    def token(self, header: Mapping[str, object] | None = None, **claims: object) -> str:
        """Return a token that counts, but for what is given; None takes a claim away."""
        said = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 300, "sub": "ann"} | claims
        said = {name: value for name, value in said.items() if value is not None}
        head = {"alg": self.alg, "kid": self.kid, "typ": "JWT"} | dict(header or {})
        signed = ".".join(encoded(json.dumps(each).encode()) for each in (head, said))
        return f"{signed}.{encoded(self.sign(signed.encode()))}"


class Issuer:
    """What the issuer serves: `fetch` returns it."""

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys)
        self.fetched: list[str] = []
        self.discovery = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
        self.failure: Exception | None = None

    def fetch(self, address: str) -> bytes:
        self.fetched.append(address.removeprefix(ISSUER))
        if self.failure:
            raise self.failure
        if address == f"{ISSUER}/.well-known/openid-configuration":
            return json.dumps(self.discovery).encode()
        assert address == f"{ISSUER}/keys"
        return json.dumps({"keys": [each.public for each in self.keys]}).encode()
