"""What the commands send to a closed API: the key, and a signature as AWS computes it."""

import asyncio

import httpx
import pytest
from botocore.credentials import Credentials

from modelwatch.api_auth import ApiAuth
from modelwatch_cli.deployment.cloudformation.calling import foreign_api
from modelwatch_cli.deployment.cloudformation.errors import NotDeployedError
from modelwatch_cli.settings import Settings
from signatures import SECRET, expected_signature

URL = "https://abc123.execute-api.eu-west-1.amazonaws.com/api"


class Gateway:
    """Keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self.take)

    def take(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200)


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("POST", "/predict", {"json": {"features": {"größe": 1.5}}}),
        ("POST", "/model/reload", {"json": {}}),
        ("GET", "/health", {}),
        ("GET", "/reports/wine model.3.2026:01", {}),
        ("GET", "/compare", {"params": {"b": "x y", "a": "é/+", "until": "2026-01-01T00:00:00Z"}}),
    ],
)
def test_the_signature_is_the_one_that_aws_computes(method, path, more):
    gateway = Gateway()
    auth = ApiAuth("", Credentials("AKIDEXAMPLE", SECRET, "session-token"), "eu-west-1")
    with httpx.Client(auth=auth, transport=gateway.transport) as client:
        client.request(method, URL + path, **more)
    (request,) = gateway.requests
    assert request.headers["Authorization"].endswith(f"Signature={expected_signature(request)}")
    assert request.headers["X-Amz-Security-Token"] == "session-token"
    assert "x-api-key" not in request.headers
    assert SECRET not in str(request.headers.raw)


def test_many_requests_at_once_are_signed_too():
    gateway = Gateway()
    auth = ApiAuth("", Credentials("AKIDEXAMPLE", SECRET), "eu-west-1")

    async def send() -> None:
        async with httpx.AsyncClient(auth=auth, transport=gateway.transport) as client:
            await asyncio.gather(*(client.post(f"{URL}/predict", json=[n]) for n in range(20)))

    asyncio.run(send())
    for request in gateway.requests:
        assert request.headers["Authorization"].endswith(expected_signature(request))


def test_a_key_is_sent_and_not_shown():
    gateway = Gateway()
    auth = ApiAuth("secret-key")
    with httpx.Client(auth=auth, transport=gateway.transport) as client:
        client.get(URL)
    assert gateway.requests[0].headers["x-api-key"] == "secret-key"
    assert "Authorization" not in gateway.requests[0].headers
    assert "secret-key" not in repr(auth)


def test_a_strangers_server_gets_no_signature(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert foreign_api(Settings({}), "https://api.example/predict", "").auth is None
    assert (
        foreign_api(Settings({}), "https://x.execute-api.eu-west-1.amazonaws.com.example", "").auth
        is None
    )
    assert foreign_api(Settings({}), URL, "").auth is not None


def test_a_token_is_sent_and_asked_for_again_when_it_is_refused():
    made = iter(["first", "second", "third"])
    seen: list[str] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(401 if seen[-1] == "Bearer first" else 200)

    auth = ApiAuth(token=lambda: next(made))
    with httpx.Client(auth=auth, transport=httpx.MockTransport(take)) as client:
        assert [client.get(URL).status_code for _ in range(2)] == [200, 200]
    assert seen == ["Bearer first", "Bearer second", "Bearer second"]


@pytest.mark.parametrize(
    "given", [{"API_TOKEN": "abc"}, {"API_TOKEN": "no", "API_TOKEN_COMMAND": "printf 'abc\\n'"}]
)
def test_a_token_comes_from_a_setting_or_a_command(given):
    gateway = Gateway()
    auth = foreign_api(Settings(given), "https://api.example", "").auth
    with httpx.Client(auth=auth, transport=gateway.transport) as client:
        client.get(URL)
    assert gateway.requests[0].headers["Authorization"] == "Bearer abc"


@pytest.mark.parametrize("command", ["false", "no-such-program", "true", "printf '"])
def test_a_command_without_a_token_is_named(command):
    auth = foreign_api(Settings({"API_TOKEN_COMMAND": command}), "https://api.example", "").auth
    with (
        httpx.Client(auth=auth, transport=Gateway().transport) as client,
        pytest.raises(NotDeployedError, match=r"API_TOKEN_COMMAND (gave no|printed)"),
    ):
        client.get(URL)
