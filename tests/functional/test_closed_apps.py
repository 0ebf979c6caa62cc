"""API_AUTH=jwt in the three apps as they are: no route without a token, every route with one."""

import json
from pathlib import Path

import pytest
from chalice.test import Client

from apps import app_with
from in_memory import InMemoryMetrics
from issuer import AUDIENCE, ISSUER, NOW, Issuer, Key
from modelwatch.adapters.access.tokens import Callers, Tokens
from modelwatch.openapi import analyze, capture
from modelwatch.openapi.access import secured
from modelwatch.settings.access import AccessSettings

KEY = Key("a")
CLOSED = AccessSettings({"API_AUTH": "jwt"})


@pytest.fixture(params=["predict", "capture", "analyze"])
def app(request):
    issuer = Issuer(KEY)
    tokens = Tokens(ISSUER, [AUDIENCE], fetch=issuer.fetch, now=lambda: float(NOW))
    metrics = InMemoryMetrics()
    with app_with(request.param, metrics=metrics, door=Callers(CLOSED, tokens)) as made:
        made.counted = metrics
        yield made


def calls(app):
    return [
        (method, path.replace("{asset}", "x.js").replace("{name}", "wine"))
        for path, methods in app.routes.items()
        for method in methods
    ]


def test_no_route_is_open_without_a_token_and_each_is_with_one(app):
    assert len(calls(app)) >= 6
    with Client(app) as client:
        for method, path in calls(app):
            for headers in ({}, {"Authorization": f"Bearer {KEY.token(aud='billing')}"}):
                refused = client.http.request(method, path, headers=headers)
                assert refused.status_code == 401, (method, path)
                assert refused.headers["WWW-Authenticate"] == "Bearer"
                assert refused.json_body["title"] == "The request does not show who calls"
            # who may not call learns nothing of what a body should be
            foreign = client.http.request(method, path, headers={"Content-Type": "text/plain"})
            assert foreign.status_code == 401
            right = {"Authorization": f"Bearer {KEY.token()}"}
            # what a route needs is not there in this test: 500 means that it ran
            assert client.http.request(method, path, headers=right).status_code != 401
    assert app.counted.value("api_requests_total", status="401") == 3 * len(calls(app))


def test_the_document_asks_for_a_token():
    for document in (capture.document(), analyze.document()):
        found = secured(document, CLOSED)
        assert found["components"]["securitySchemes"]["jwt"]["scheme"] == "bearer"
        for methods in found["paths"].values():
            for each in methods.values():
                assert each["security"] == [{"jwt": []}]
                assert "application/problem+json" in each["responses"]["401"]["content"]
                assert "403" not in each["responses"]
        json.dumps(found)


def test_what_verifies_tokens_is_in_every_function():
    for layer in ("inference", "capture", "analysis", "pyfunc"):
        lock = Path(__file__).parents[2] / "layers" / layer / "requirements.txt"
        assert "\ncryptography==" in lock.read_text(), layer
