"""The OpenAPI documents of the three apps, and the page that shows them."""

import contextlib
import hashlib
import json

import msgspec
import pytest
from chalice.test import Client

from analysis_stage import AnalysisStage
from apps import app_with
from capture_stage import capture_service
from in_memory import SCHEMA, ConstantModel, InMemoryMetrics
from modelwatch.http import Problem
from modelwatch.openapi import analyze, capture, predict
from modelwatch.openapi.page import FOLDER
from modelwatch.services import contract
from predict_app import one_model, predict_app, service_with

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def apps():
    with contextlib.ExitStack() as stack:
        service = service_with(ConstantModel(prediction=1.5))
        parts = {
            "predict": {"predict_service": service, "served_models": one_model(service)},
            "capture": {"capture_service": capture_service()},
            "analyze": {"asking": AnalysisStage().asking},
        }
        yield {
            name: stack.enter_context(app_with(name, metrics=InMemoryMetrics(), **each))
            for name, each in parts.items()
        }


@pytest.fixture(params=["predict", "capture", "analyze"])
def app(apps, request):
    return apps[request.param]


@pytest.fixture
def http(apps):
    return Client(apps["predict"]).http


def references(value):
    """Yield every $ref in a document."""
    if isinstance(value, dict):
        yield from [value["$ref"]] if "$ref" in value else []
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_route_is_described_and_no_other(app):
    described = Client(app).http.get("/openapi.json").json_body["paths"]
    assert {path: set(entry) for path, entry in described.items()} == {
        path: {method.lower() for method in entries} for path, entries in app.routes.items()
    }


@pytest.mark.parametrize(
    "found",
    [predict.document(), predict.document(SCHEMA), capture.document(), analyze.document()],
    ids=["predict", "predict with a model", "capture", "analyze"],
)
def test_the_document_is_complete_and_its_addresses_are_relative(found):
    assert found["openapi"] == "3.1.0"
    assert [server["url"] for server in found["servers"]] == ["."]
    for reference in references(found):
        assert reference.removeprefix("#/components/schemas/") in found["components"]["schemas"]
    assert "http" not in json.dumps(found)
    operations = [each for entry in found["paths"].values() for each in entry.values()]
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names)
    assert all("500" in each["responses"] for each in operations)


def test_the_features_of_the_model_are_described(http):
    found = http.get("/openapi.json").json_body
    by_name, in_order = found["components"]["schemas"]["Row"]["anyOf"]
    assert by_name["properties"] == {
        "alcohol": {"type": ["number", "null"]},
        "colour": {"type": "string"},
    }
    assert by_name["required"] == ["alcohol", "colour"]
    assert (in_order["minItems"], in_order["maxItems"]) == (2, 2)


def test_it_works_without_a_model():
    with predict_app(service_with(None)) as app:
        response = Client(app).http.get("/openapi.json")
    assert response.status_code == 200
    assert len(response.json_body["components"]["schemas"]["Row"]["anyOf"]) == 2


def test_the_examples_are_accepted(app):
    http = Client(app).http
    accepted = 0
    for path, entry in http.get("/openapi.json").json_body["paths"].items():
        if "requestBody" in entry.get("post", ()):
            example = entry["post"]["requestBody"]["content"]["application/json"]["example"]
            address = path.replace("{name}", "wine")
            response = http.post(address, headers=JSON, body=json.dumps(example).encode())
            assert str(response.status_code) == min(entry["post"]["responses"]), response.body
            accepted += 1
    assert accepted


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("get", "/", contract.Index),
        ("get", "/health", contract.Health),
        ("get", "/model/info", contract.ModelInfo),
        ("post", "/model/reload", contract.Variants),
        ("post", "/predict", Problem),
    ],
)
def test_responses_have_the_described_fields_and_no_other(http, method, path, kind):
    response = getattr(http, method)(path, headers=JSON)
    found = msgspec.convert(response.json_body, kind, strict=False)
    assert set(found) == set(response.json_body)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        (
            "swagger-ui-bundle.js",
            "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
        ),
        ("swagger-ui.css", "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d"),
    ],
)
def test_swagger_ui_is_as_its_package_has_it(name, digest):
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


def test_the_page_and_its_assets_are_served(app):
    http = Client(app).http
    page = http.get("/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for name, kind in (("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "javascript")):
        assert f"docs/{name}".encode() in page.body
        response = http.get(f"/docs/{name}")
        assert response.status_code == 200
        assert kind in response.headers["Content-Type"]
        # Lambda responds with at most 6 MiB, in which the body is a JSON string
        assert len(json.dumps(response.body.decode())) < 3_000_000
    assert http.get("/docs/page.html").status_code == 404
    assert http.get("/docs/..%2Fwiring.py").status_code == 404
