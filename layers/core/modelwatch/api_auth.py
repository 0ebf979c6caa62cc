"""What a caller shows to a closed API: a key, a token, or a signature with AWS credentials."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any
from urllib.parse import quote, urlencode

import httpx


class ApiAuth(httpx.Auth):
    """Sends a key or a token with each request, or signs it.

    Parameters
    ----------
    key
        For the header x-api-key; empty: none.
    credentials
        Of botocore, such as ``boto3.Session().get_credentials()``; None: requests are not signed.
    region
        Of the API.
    token
        Returns a bearer token, which takes the place of a signature; called again when the API does
        not accept the one that it returned.

    Examples
    --------
    >>> request = httpx.Request("GET", "https://abc.execute-api.eu-west-1.amazonaws.com/api/health")
    >>> next(ApiAuth("the-key").auth_flow(request)).headers["x-api-key"]
    'the-key'
    """

    requires_request_body = True

    def __init__(
        self,
        key: str = "",
        credentials: Any = None,
        region: str = "",
        token: Callable[[], str] | None = None,
    ) -> None:
        self._key = key
        self._token = token
        self._known_token = ""
        self._credentials = credentials
        self._region = region

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Yield the request with its key and signature."""
        if self._key:
            request.headers["x-api-key"] = self._key
        if self._token is not None:
            self._known_token = self._known_token or self._token()
            request.headers["Authorization"] = f"Bearer {self._known_token}"
            response = yield request
            if response.status_code != 401:
                return
            self._known_token = self._token()
            request.headers["Authorization"] = f"Bearer {self._known_token}"
        elif self._credentials is not None:
            self._sign(request)
        yield request

    def _sign(self, request: httpx.Request) -> None:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        # the query is signed as AWS writes it, and a blank must not become a plus
        query = urlencode(request.url.params.multi_items(), safe="-_.~", quote_via=quote)
        request.url = request.url.copy_with(query=query.encode() or None)
        # what a proxy may change is not signed
        signed = AWSRequest(
            request.method,
            str(request.url),
            headers={"Host": request.headers["Host"]},
            data=request.content,
        )
        SigV4Auth(self._credentials, "execute-api", self._region).add_auth(signed)
        request.headers.update(dict(signed.headers))
