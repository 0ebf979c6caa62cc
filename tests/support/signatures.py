"""Signature Version 4, computed anew as AWS describes it."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote, unquote

import httpx

SECRET = "of-the-test-alone"


def expected_signature(
    request: httpx.Request, service: str = "execute-api", region: str = "eu-west-1"
) -> str:
    """Compute the signature as AWS's description of Signature Version 4 says, from what came."""
    path, _, query = request.url.raw_path.decode().partition("?")
    pairs = [each.partition("=") for each in query.split("&") if each]
    fields = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
        for name, _, value in pairs
    )
    authorization = request.headers["Authorization"]
    parts = dict(each.strip().split("=", 1) for each in authorization.partition(" ")[2].split(","))
    names = parts["SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            request.method,
            quote(path, safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in fields),
            *(f"{name}:{request.headers[name].strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(request.content).hexdigest(),
        ]
    )
    moment = request.headers["X-Amz-Date"]
    _, *scope = parts["Credential"].split("/")
    assert scope == [moment[:8], region, service, "aws4_request"]
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", moment, "/".join(scope), hashed])
    key = f"AWS4{SECRET}".encode()
    for each in scope:
        key = hmac.digest(key, each.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
