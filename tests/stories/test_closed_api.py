"""APIs that ask for a key or a token, on the real stack: refused without, and callers have it."""

import dataclasses
import json
import time

import httpx
import pytest

from issuer import AUDIENCE, Key
from stand_in import Request, stand_in

pytestmark = pytest.mark.servers

STAGE = "closed"
MODEL = "closed_forest"
KEY = Key("test")


class Closed:
    """A stage whose APIs ask for keys, and whose control routes ask for tokens."""

    def __init__(self, stack, issuer: str) -> None:
        self.claims = {"iss": issuer, "exp": time.time() + 3600}
        own = {
            "STAGE": STAGE,
            "MODEL_NAME": MODEL,
            "CAPTURE_QUEUE_NAME": f"modelwatch-{STAGE}-captures",
            "API_AUTH": "api_key",
            "API_AUTH_CONTROL": "jwt",
            "API_JWT_ISSUER": issuer,
            "API_JWT_AUDIENCE": AUDIENCE,
            "API_TOKEN": KEY.token(**self.claims),
        }
        self.stack = dataclasses.replace(stack, environ={**stack.environ, **own})
        self.run("train")
        self.urls = json.loads(self.run("deploy", "--json"))["urls"]

    def run(self, *arguments: str) -> str:
        done = self.stack.run(*arguments)
        assert done.returncode == 0, done.stderr
        self.said = done.stdout + done.stderr
        return str(done.stdout)

    def key(self, app: str) -> str:
        stacks = self.stack.client("cloudformation")
        described = stacks.describe_stacks(StackName=f"modelwatch-{STAGE}-{app}")["Stacks"][0]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
        apis = self.stack.client("apigateway")
        return str(apis.get_api_key(apiKey=outputs["ApiKeyId"], includeValue=True)["value"])


@pytest.fixture(scope="module")
def closed(stack):
    def respond(request: Request) -> tuple[int, object]:
        if request.path.endswith("openid-configuration"):
            return 200, {"issuer": address, "jwks_uri": f"{address}/keys"}
        return 200, {"keys": [KEY.public]}

    with stand_in(respond) as address:
        closed = Closed(stack, address)
        yield closed
        closed.run("undeploy")


def test_what_would_make_a_deployment_fail_is_listed(closed):
    found = json.loads(closed.run("deploy", "--check", "--json"))
    assert (found["ok"], [each["subject"] for each in found["findings"]]) == (
        True,
        ["settings", "account"],
    )
    own = {**closed.stack.environ, "CAPTURE_BUCKET": "modelwatch-closed-reports", "STAGE": "other"}
    done = dataclasses.replace(closed.stack, environ=own).run("deploy", "--check", "--json")
    assert done.returncode == 1
    texts = [each["text"] for each in json.loads(done.stdout)["findings"]]
    assert any("'modelwatch-closed-reports' belongs to stage closed" in each for each in texts)


def test_without_a_key_or_with_another_apis_key_nothing_is_served(closed):
    wrong = {"x-api-key": closed.key("capture")}
    for app, path in (("predict", "/health"), ("analyze", "/docs"), ("capture", "/docs")):
        url = f"{closed.urls[app]}{path}"
        assert httpx.get(url, timeout=60).status_code == 403
        assert httpx.get(url, headers={"x-api-key": "x" * 20}, timeout=60).status_code == 403
        right = {"x-api-key": closed.key(app)}
        assert httpx.get(url, headers=right, timeout=60).status_code == 200
    response = httpx.post(f"{closed.urls['predict']}/predict", json={}, headers=wrong, timeout=60)
    assert response.status_code == 403


def test_a_control_route_asks_for_a_token_of_the_issuer(closed):
    others = Key("test")
    for method, url in (
        ("POST", f"{closed.urls['predict']}/model/reload"),
        ("GET", f"{closed.urls['analyze']}/reports"),
    ):
        for token, status in (
            ("no-token", 401),
            (others.token(**closed.claims), 401),
            (KEY.token(**closed.claims, aud="billing"), 401),
            (KEY.token(**closed.claims), 200),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            assert httpx.request(method, url, headers=headers, timeout=60).status_code == status


def test_the_document_says_what_is_asked_for(closed):
    headers = {"x-api-key": closed.key("predict")}
    url = f"{closed.urls['predict']}/openapi.json"
    document = httpx.get(url, headers=headers, timeout=60).json()
    assert document["components"]["securitySchemes"]["api_key"]["name"] == "x-api-key"
    reload = document["paths"]["/model/reload"]["post"]
    assert reload["security"] == [{"jwt": []}]
    assert "401" in reload["responses"]
    assert document["paths"]["/predict"]["post"]["security"] == [{"api_key": []}]


def test_commands_send_the_key_and_do_not_show_it(closed):
    closed.run("simulate", "-n", "30", "--labels", "--label-delay", "0", "-q")
    assert "30 labels were accepted" in closed.said
    closed.run("promote", "1", "--now")
    assert "In effect now" in closed.said
    closed.run("reports")
    for app in ("predict", "capture", "analyze"):
        assert closed.key(app) not in closed.said
    assert closed.stack.environ["API_TOKEN"] not in closed.said


def test_a_deployment_closes_and_opens_the_apis_that_are_there(closed):
    url = f"{closed.urls['capture']}/health"
    opened = dataclasses.replace(closed.stack, environ={**closed.stack.environ, "API_AUTH": "none"})
    assert opened.run("deploy", "capture").returncode == 0
    assert httpx.get(url, timeout=60).status_code == 200
    assert json.loads(closed.run("deploy", "capture", "--json"))["urls"] == closed.urls
    assert httpx.get(url, timeout=60).status_code == 403
    right = {"x-api-key": closed.key("capture")}
    assert httpx.get(url, headers=right, timeout=60).status_code == 200
