"""Requests to an MLflow server, and what says with each of them who asks."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Self
from urllib.parse import quote, urlencode

import msgspec
import urllib3
from botocore.exceptions import BotoCoreError

from modelwatch.adapters.aws.secrets import secret
from modelwatch.adapters.aws.snapshots import closed_for_snapshots
from modelwatch.adapters.registries.base import REMEDY
from modelwatch.domain.faults import UNREADABLE
from modelwatch.errors import NoModelError, RegistryError, SettingError, causes
from modelwatch.settings.kinds import DATABRICKS, managed_region
from modelwatch.settings.serving import RegistrySettings

type Sign = Callable[[str, str, Mapping[str, str], bytes], dict[str, str]]

PEM = "-----BEGIN"
SERVED = "/api/2.0/mlflow-artifacts/artifacts"
"""Where the server has the artifacts that are behind it."""
_SIGNATURE = ("Authorization", "X-Amz-Security-Token")
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
    sign
        Returns the headers of a request with its signature: of method, address, headers and body.
    uri
        By which MLflow's own client knows the server; empty: the address.
    who
        The settings that say who asks, for the message of a refusal.
    """

    def __init__(
        self,
        address: str,
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        certificates: Callable[[], str] = str,
        sign: Sign | None = None,
        uri: str = "",
        who: str = "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_HEADER, say",
    ) -> None:
        self.address = address.rstrip("/")
        self.uri = uri or self.address
        self.headers = headers
        self.certificates = certificates
        self.sign = sign
        self._who = who

    @classmethod
    def of(cls, settings: RegistrySettings) -> Self:
        """Return the server at MLFLOW_TRACKING_URI."""
        uri = settings.mlflow_tracking_uri
        if uri in DATABRICKS:
            if not settings.databricks_host:
                raise SettingError("DATABRICKS_HOST", f"is needed with MLFLOW_TRACKING_URI={uri}")
            return cls(
                settings.databricks_host,
                headers=lambda: {"Authorization": f"Bearer {secret(settings, 'DATABRICKS_TOKEN')}"},
                certificates=lambda: secret(settings, "MLFLOW_CA_BUNDLE"),
                uri=uri,
                who="DATABRICKS_TOKEN says",
            )
        if region := managed_region(uri):
            return cls(
                f"https://{region}.experiments.sagemaker.aws",
                headers=lambda: {"x-mlflow-sm-tracking-server-arn": uri},
                sign=sign_for_sagemaker(region),
                uri=uri,
            )
        return cls(
            uri,
            headers=lambda: _authorization(settings),
            certificates=lambda: secret(settings, "MLFLOW_CA_BUNDLE"),
        )

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        found = self.certificates()
        return closed_for_snapshots(
            urllib3.PoolManager(ssl_context=_trust(found) if found else None)
        )

    @cached_property
    def _sent(self) -> dict[str, str]:
        return dict(self.headers())

    def call(self, method: str, path: str, /, **fields: str | bool) -> dict[str, Any]:
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
            url = f"{url}?{_query(fields)}"
            response = self._request(method, url, timeout=_READING, retries=self._once_more())
        else:
            body = json.dumps(fields).encode()
            response = self._request(method, url, body, timeout=_WRITING, retries=False)
        found = _json(response)
        if not isinstance(found, dict):
            raise RegistryError(f"the model registry returned {response.status} without JSON")
        if response.status == 200:
            return found
        message = str(found.get("message", ""))[:300]
        code = found.get("error_code")
        # an alias that is not there is INVALID_PARAMETER_VALUE to MLflow, and so is a name or a
        # version that it cannot have: an application may call both as it likes
        # Unity Catalog says of which kind it is: CATALOG_DOES_NOT_EXIST
        if str(code).endswith("_DOES_NOT_EXIST") or (
            code == "INVALID_PARAMETER_VALUE"
            and any(
                each in message.lower()
                for each in (
                    "alias",
                    "must be an integer",
                    "required parameter 'version'",
                    "names may be treated as files",
                )
            )
        ):
            raise NoModelError(f"{message} {REMEDY}")
        raise RegistryError(f"the model registry returned {response.status}: {message}")

    def artifact(
        self, method: str, path: str, body: bytes | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Return the response to a request for an artifact behind the server, not yet read.

        Raises RegistryError when there is none, or it says that we may not ask.
        """
        url = f"{self.address}{SERVED}/{quote(path)}"
        retries = self._once_more() if method == "GET" else False
        return self._request(
            method, url, body, timeout=_ARTIFACTS, retries=retries, preload_content=False
        )

    def artifacts_in(self, folder: str) -> tuple[Entry, ...]:
        """Return what a folder behind the server has; nothing of one that is not there.

        Raises RegistryError when the server does not respond as it should.
        """
        url = f"{self.address}{SERVED}?{_query({'path': folder})}"
        response = self._request("GET", url, timeout=_ARTIFACTS, retries=self._once_more())
        try:
            listing = _decode_listing(response.data)
        except UNREADABLE:
            listing = None
        if response.status != 200 or listing is None:
            raise RegistryError(f"MLflow returned {response.status} for the list of artifacts")
        return listing.files

    def _once_more(self) -> urllib3.Retry:
        # what says who asks is not for the address that a response leads to
        return urllib3.Retry(
            total=1, backoff_factor=0.2, remove_headers_on_redirect=[*self._sent, *_SIGNATURE]
        )

    def _request(
        self, method: str, url: str, body: bytes | None = None, **more: Any
    ) -> urllib3.BaseHTTPResponse:
        try:
            response = self._send(method, url, body, more)
            # Databricks says 403 of a token that ended
            if response.status in (401, 403):
                renewed = dict(self.headers())
                if renewed != self._sent:
                    response.close()
                    self._sent = renewed
                    response = self._send(method, url, body, more)
        except (urllib3.exceptions.HTTPError, BotoCoreError) as error:
            # urllib3's own text is of its objects
            *_, root = causes(error)
            raise RegistryError(
                f"the model registry at {self.address} does not respond: "
                f"{getattr(root, 'strerror', None) or root}"
            ) from error
        if response.status in (401, 403):
            response.close()
            if self.sign:
                raise RegistryError(
                    f"MLflow refused with {response.status}: these AWS credentials may not ask it"
                )
            raise RegistryError(f"MLflow refused with {response.status}: {self._who} who asks")
        return response

    def _send(
        self, method: str, url: str, body: bytes | None, more: Mapping[str, Any]
    ) -> urllib3.BaseHTTPResponse:
        headers = self._sent | ({"Content-Type": "application/json"} if method == "POST" else {})
        if self.sign:
            headers = self.sign(method, url, headers, body or b"")
        return self._pool.request(method, url, body=body, headers=headers, **more)


def sign_for_sagemaker(region: str) -> Sign:
    """Return what signs requests to an MLflow that SageMaker manages, by the AWS credentials."""

    def sign(method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        import boto3
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        digest = hashlib.sha256(body).hexdigest()
        said = {**headers, "X-Amz-Content-SHA256": digest}
        request = AWSRequest(method, url, headers=said, data=body)
        credentials: Any = boto3.Session().get_credentials()
        SigV4Auth(credentials, "sagemaker-mlflow", region).add_auth(request)
        return dict(request.headers)

    return sign


def _query(fields: Mapping[str, str | bool]) -> str:
    # a signature is of %20, not of a plus
    return urlencode(fields, quote_via=quote)


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
