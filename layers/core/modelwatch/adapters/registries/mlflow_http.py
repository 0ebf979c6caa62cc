"""Requests to an MLflow server, and what says with each of them who asks."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Self
from urllib.parse import quote, urlencode

import msgspec
import urllib3

from modelwatch.adapters.aws.secrets import secret
from modelwatch.adapters.registries.base import REMEDY
from modelwatch.errors import NoModelError, RegistryError, SettingError
from modelwatch.settings.serving import RegistrySettings

PEM = "-----BEGIN"
_READING = urllib3.Timeout(connect=2.0, read=5.0)
_WRITING = urllib3.Timeout(connect=2.0, read=30.0)
# the server may read a file whole from its own store before it sends the first byte
_ARTIFACTS = urllib3.Timeout(connect=2.0, read=60.0)


class Entry(msgspec.Struct, frozen=True):
    """A file or folder of artifacts.

    Attributes
    ----------
    path
        Its name in the folder that was listed.
    file_size
        Bytes; 0 where the server does not say it.
    """

    path: str
    is_dir: bool = False
    file_size: int = 0


class _Listing(msgspec.Struct, frozen=True):
    files: tuple[Entry, ...] = ()


_decode_listing = msgspec.json.Decoder(_Listing, strict=False).decode


class MlflowHttp:
    """The API of the server at ``address``.

    Parameters
    ----------
    headers
        Returns what is sent with every request and says who asks. It is asked again when MLflow
        does not accept it: a password may be another one now.
    certificates
        Returns the file or text of certificates (PEM) that its address is checked by; empty: those
        of the system.
    """

    def __init__(
        self,
        address: str,
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        certificates: Callable[[], str] = str,
    ) -> None:
        self.address = address.rstrip("/")
        self.headers = headers
        self.certificates = certificates

    @classmethod
    def of(cls, settings: RegistrySettings) -> Self:
        """Return the server at MLFLOW_TRACKING_URI."""
        return cls(
            settings.mlflow_tracking_uri,
            headers=lambda: _authorization(settings),
            certificates=lambda: secret(settings, "MLFLOW_CA_BUNDLE"),
        )

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        found = self.certificates()
        trusted = _trust(found) if found else None
        return urllib3.PoolManager(headers=dict(self.headers()), ssl_context=trusted)

    def call(self, method: str, path: str, **fields: str | bool) -> dict[str, Any]:
        """Return what a method of the API responds.

        Raises
        ------
        NoModelError
            When a model, version or alias is not there.
        RegistryError
            When the server does not respond as it should.
        """
        url = f"{self.address}/api/2.0/mlflow/{path}"
        if method == "GET":
            url = f"{url}?{urlencode(fields)}"
            response = self._request(method, url, timeout=_READING, retries=self._once_more())
        else:
            response = self._request(method, url, json=fields, timeout=_WRITING, retries=False)
        body = _json(response)
        if not isinstance(body, dict):
            raise RegistryError(f"the model registry returned {response.status} without JSON")
        if response.status == 200:
            return body
        message = str(body.get("message", ""))[:300]
        code = body.get("error_code")
        # an alias that is not there is INVALID_PARAMETER_VALUE to MLflow, and so is a version that
        # no registry of its kind can have: an application may call its versions as it likes
        if code == "RESOURCE_DOES_NOT_EXIST" or (
            code == "INVALID_PARAMETER_VALUE"
            and any(
                each in message.lower()
                for each in ("alias", "must be an integer", "required parameter 'version'")
            )
        ):
            raise NoModelError(f"{message} {REMEDY}")
        raise RegistryError(f"the model registry returned {response.status}: {message}")

    def artifact(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        """Return the response to a request for an artifact behind the server, not yet read.

        Raises RegistryError when there is none, or it says that we may not ask.
        """
        url = f"{self.address}/api/2.0/mlflow-artifacts/artifacts/{quote(path)}"
        retries = self._once_more() if method == "GET" else False
        return self._request(
            method, url, timeout=_ARTIFACTS, retries=retries, preload_content=False, **more
        )

    def artifacts_in(self, folder: str) -> tuple[Entry, ...]:
        """Return what a folder behind the server has; nothing of one that is not there.

        Raises RegistryError when the server does not respond as it should.
        """
        url = f"{self.address}/api/2.0/mlflow-artifacts/artifacts?{urlencode({'path': folder})}"
        response = self._request("GET", url, timeout=_ARTIFACTS, retries=self._once_more())
        try:
            listing = _decode_listing(response.data)
        except msgspec.DecodeError:
            listing = None
        if response.status != 200 or listing is None:
            raise RegistryError(f"MLflow returned {response.status} for the list of artifacts")
        return listing.files

    def _once_more(self) -> urllib3.Retry:
        # what says who asks is not for the address that a response leads to
        return urllib3.Retry(
            total=1, backoff_factor=0.2, remove_headers_on_redirect=list(self._pool.headers)
        )

    def _request(self, method: str, url: str, **more: Any) -> urllib3.BaseHTTPResponse:
        try:
            response = self._pool.request(method, url, **more)
            if response.status == 401:
                renewed = dict(self.headers())
                if renewed != self._pool.headers:
                    response.close()
                    self._pool.headers = renewed
                    response = self._pool.request(method, url, **more)
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(f"the model registry does not respond: {error}") from error
        if response.status in (401, 403):
            response.close()
            raise RegistryError(
                f"MLflow refused with {response.status}: MLFLOW_TRACKING_TOKEN, or "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_HEADER, say who asks"
            )
        return response


def _json(response: urllib3.BaseHTTPResponse) -> object:
    try:
        return json.loads(response.data)
    except ValueError:
        return None


def _authorization(settings: RegistrySettings) -> dict[str, str]:
    """Return the header that says who asks, by the variables that MLflow's own client reads."""
    header = secret(settings, "MLFLOW_TRACKING_HEADER")
    if header:
        name, colon, value = header.partition(":")
        if not colon or not name.strip() or not value.strip():
            raise SettingError("MLFLOW_TRACKING_HEADER", "is not of the form NAME: VALUE")
        return {name.strip(): value.strip()}
    token = secret(settings, "MLFLOW_TRACKING_TOKEN")
    if token:
        return {"Authorization": f"Bearer {token}"}
    user = secret(settings, "MLFLOW_TRACKING_USERNAME")
    if not user:
        return {}
    pair = f"{user}:{secret(settings, 'MLFLOW_TRACKING_PASSWORD')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _trust(certificates: str) -> ssl.SSLContext:
    try:
        if certificates.startswith(PEM):
            return ssl.create_default_context(cadata=certificates)
        return ssl.create_default_context(cafile=certificates)
    except (OSError, ssl.SSLError) as error:
        raise SettingError("MLFLOW_CA_BUNDLE", f"has no certificates: {error}") from error
