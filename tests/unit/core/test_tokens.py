"""Tokens: what counts, what does not, and the keys of the issuer over time."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from urllib3.exceptions import HTTPError

from issuer import AUDIENCE, ISSUER, NOW, Issuer, Key, encoded
from modelwatch.adapters.access.tokens import Callers, Tokens
from modelwatch.errors import CallerError, IssuerError
from modelwatch.settings.access import AccessSettings

FIRST, SECOND, CURVE = Key("first"), Key("second"), Key("curve", "ES256")


class Clock:
    def __init__(self) -> None:
        self.seconds = float(NOW)

    def __call__(self) -> float:
        return self.seconds


def tokens_of(issuer: Issuer, clock: Clock | None = None) -> Tokens:
    return Tokens(ISSUER, [AUDIENCE, "other"], fetch=issuer.fetch, now=clock or Clock())


@pytest.mark.parametrize(
    "token",
    [
        FIRST.token(),
        CURVE.token(),
        FIRST.token(aud=["somebody", AUDIENCE]),
        FIRST.token(aud="other", nbf=NOW - 5, iat=NOW - 5),
        # Cognito's access tokens name the client instead
        FIRST.token(aud=None, client_id=AUDIENCE, token_use="access"),
        # clocks differ
        FIRST.token(exp=NOW - 59),
        FIRST.token(nbf=NOW + 59),
    ],
)
def test_a_token_of_the_issuer_for_us_counts(token: str) -> None:
    issuer = Issuer(FIRST, CURVE)
    tokens = tokens_of(issuer)
    for scheme in ("Bearer", "bearer"):
        tokens.verify(f"{scheme} {token}")
    assert issuer.fetched == ["/.well-known/openid-configuration", "/keys"]


def altered(token: str, **claims: object) -> str:
    """Return the token with other claims, and the signature that it had."""
    header, _, signature = token.split(".")
    return f"{header}.{encoded(json.dumps(claims).encode())}.{signature}"


def unsigned(alg: str) -> str:
    header, claims, _ = FIRST.token({"alg": alg}).split(".")
    return f"{header}.{claims}."


def by_our_public_key() -> str:
    """Return a token signed with what everyone knows, as if it were a shared secret."""
    header, claims, _ = FIRST.token({"alg": "HS256"}).split(".")
    secret = json.dumps(FIRST.public).encode()
    return (
        f"{header}.{claims}.{encoded(hmac.digest(secret, f'{header}.{claims}'.encode(), 'sha256'))}"
    )


CLAIMS: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 300, "sub": "root"}


@pytest.mark.parametrize(
    ("authorization", "why"),
    [
        ("", "send a token"),
        ("Basic YTpi", "send a token"),
        ("Bearer ", "send a token"),
        ("Bearer a.b", "cannot be read"),
        ("Bearer ä.b.c", "cannot be read"),
        (f"Bearer {FIRST.token()}.more", "cannot be read"),
        (f"Bearer {'a' * 9000}", "cannot be read"),
        (f"Bearer {FIRST.token(exp=None)}", "cannot be read"),
        (f"Bearer {FIRST.token(exp='never')}", "cannot be read"),
        (f"Bearer {FIRST.token(exp=NOW - 61)}", "is expired"),
        (f"Bearer {FIRST.token(nbf=NOW + 61)}", "is not valid yet"),
        (f"Bearer {FIRST.token(iss='https://other.example')}", "of another issuer"),
        (f"Bearer {FIRST.token(iss=ISSUER + '/')}", "of another issuer"),
        (f"Bearer {FIRST.token(aud='billing')}", "for another audience"),
        (f"Bearer {FIRST.token(aud=['billing'])}", "for another audience"),
        (f"Bearer {FIRST.token(aud=None)}", "for another audience"),
        (f"Bearer {FIRST.token(aud='billing', client_id=AUDIENCE)}", "for another audience"),
        (f"Bearer {unsigned('none')}", "not signed by RS256 or ES256"),
        (f"Bearer {unsigned('None')}", "not signed by RS256 or ES256"),
        (f"Bearer {unsigned('RS256')}", "signature is wrong"),
        (f"Bearer {by_our_public_key()}", "not signed by RS256 or ES256"),
        (f"Bearer {altered(FIRST.token(), **CLAIMS)}", "signature is wrong"),
        (f"Bearer {SECOND.token({'kid': 'first'})}", "signature is wrong"),
        (f"Bearer {FIRST.token({'kid': 'curve'})}", "signature is wrong"),
        (f"Bearer {CURVE.token({'kid': 'first'})}", "signature is wrong"),
        (f"Bearer {FIRST.token({'crit': ['x']})}", "not signed by RS256 or ES256"),
        (f"Bearer {SECOND.token()}", "by a key that its issuer does not have"),
        (f"Bearer {FIRST.token({'kid': ''})}", "by a key that its issuer does not have"),
    ],
)
def test_every_other_token_is_refused(authorization: str, why: str) -> None:
    with pytest.raises(CallerError, match=why):
        tokens_of(Issuer(FIRST, CURVE)).verify(authorization)


def test_a_short_key_signs_nothing() -> None:
    short = Key("short", bits=1024)
    with pytest.raises(CallerError, match="signature is wrong"):
        tokens_of(Issuer(short)).verify(f"Bearer {short.token()}")


def test_a_new_key_is_read_and_one_that_was_taken_back_ends() -> None:
    issuer, clock = Issuer(FIRST), Clock()
    tokens = tokens_of(issuer, clock)
    tokens.verify(f"Bearer {FIRST.token()}")
    issuer.keys = [SECOND]
    clock.seconds += 20
    tokens.verify(f"Bearer {SECOND.token()}")
    with pytest.raises(CallerError, match="by a key that its issuer does not have"):
        tokens.verify(f"Bearer {FIRST.token()}")
    issuer.keys = [FIRST]
    clock.seconds += 3601
    with pytest.raises(CallerError, match="by a key that its issuer does not have"):
        tokens.verify(f"Bearer {SECOND.token(exp=NOW + 9999)}")


def test_tokens_of_unknown_keys_do_not_make_the_issuer_busy() -> None:
    issuer, clock = Issuer(FIRST), Clock()
    tokens = tokens_of(issuer, clock)
    for number in range(20):
        clock.seconds += 1
        with pytest.raises(CallerError, match="does not have"):
            tokens.verify(f"Bearer {FIRST.token({'kid': str(number)})}")
    assert len(issuer.fetched) == 4
    with pytest.raises(CallerError, match="of another issuer"):
        tokens_of(issuer).verify(f"Bearer {FIRST.token(iss='https://other.example')}")
    assert len(issuer.fetched) == 4


def test_an_issuer_that_is_away_opens_nothing_and_closes_nothing_at_once() -> None:
    issuer, clock = Issuer(FIRST), Clock()
    issuer.failure = HTTPError("no route")
    tokens = tokens_of(issuer, clock)
    valid = f"Bearer {FIRST.token(exp=NOW + 99_999)}"
    with pytest.raises(IssuerError):
        tokens.verify(valid)
    issuer.failure = None
    clock.seconds += 11
    tokens.verify(valid)
    issuer.failure = HTTPError("no route")
    clock.seconds += 3590
    tokens.verify(valid)
    clock.seconds += 20
    with pytest.raises(IssuerError):
        tokens.verify(valid)


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://other.example", "jwks_uri": f"{ISSUER}/keys"},
        {"issuer": ISSUER, "jwks_uri": "http://issuer.example/keys"},
        {"issuer": ISSUER},
    ],
)
def test_keys_come_from_the_issuer_alone(discovery: dict[str, str]) -> None:
    issuer = Issuer(FIRST)
    issuer.discovery = discovery
    with pytest.raises(IssuerError):
        tokens_of(issuer).verify(f"Bearer {FIRST.token()}")
    assert issuer.fetched == ["/.well-known/openid-configuration"]


def test_only_the_routes_of_jwt_ask_for_a_token() -> None:
    settings = AccessSettings({"API_AUTH": "api_key", "API_AUTH_CONTROL": "jwt"})
    callers = Callers(settings, tokens_of(Issuer(FIRST)))
    callers.admit("/predict", "")
    callers.admit("/analyze", f"Bearer {FIRST.token()}")
    with pytest.raises(CallerError):
        callers.admit("/analyze", "")
