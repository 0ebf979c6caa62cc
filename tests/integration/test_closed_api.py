"""An API that asks for a key, on the real stack: refused without it, and every caller has it."""

import dataclasses
import json

import httpx
import pytest

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

STAGE = "closed"
MODEL = "closed_forest"


class Closed:
    """A stage whose APIs ask for keys."""

    def __init__(self, stack) -> None:
        own = {
            "STAGE": STAGE,
            "MODEL_NAME": MODEL,
            "CAPTURE_QUEUE_NAME": f"modelwatch-{STAGE}-captures",
            "API_AUTH": "api_key",
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
    closed = Closed(stack)
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
    for app, path in (("predict", "/health"), ("analyze", "/reports"), ("capture", "/docs")):
        url = f"{closed.urls[app]}{path}"
        assert httpx.get(url, timeout=60).status_code == 403
        assert httpx.get(url, headers={"x-api-key": "x" * 20}, timeout=60).status_code == 403
        right = {"x-api-key": closed.key(app)}
        assert httpx.get(url, headers=right, timeout=60).status_code == 200
    for path in ("/predict", "/model/reload"):
        response = httpx.post(f"{closed.urls['predict']}{path}", json={}, headers=wrong, timeout=60)
        assert response.status_code == 403


def test_the_document_says_what_is_asked_for(closed):
    headers = {"x-api-key": closed.key("predict")}
    url = f"{closed.urls['predict']}/openapi.json"
    document = httpx.get(url, headers=headers, timeout=60).json()
    assert document["components"]["securitySchemes"]["api_key"]["name"] == "x-api-key"
    reload = document["paths"]["/model/reload"]["post"]
    assert reload["security"] == [{"api_key": []}]
    assert {"401", "403"} <= reload["responses"].keys()


def test_commands_send_the_key_and_do_not_show_it(closed):
    closed.run("simulate", "-n", "30", "--labels", "--label-delay", "0", "-q")
    assert "30 labels were accepted" in closed.said
    closed.run("promote", "1", "--now")
    assert "In effect now" in closed.said
    closed.run("reports")
    for app in ("predict", "capture", "analyze"):
        assert closed.key(app) not in closed.said


def test_a_deployment_closes_and_opens_the_apis_that_are_there(closed):
    url = f"{closed.urls['capture']}/health"
    opened = dataclasses.replace(closed.stack, environ={**closed.stack.environ, "API_AUTH": "none"})
    assert opened.run("deploy", "capture").returncode == 0
    assert httpx.get(url, timeout=60).status_code == 200
    assert json.loads(closed.run("deploy", "capture", "--json"))["urls"] == closed.urls
    assert httpx.get(url, timeout=60).status_code == 403
    assert httpx.get(url, headers={"x-api-key": closed.key("capture")}).status_code == 200
