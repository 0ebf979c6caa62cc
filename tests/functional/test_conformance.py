"""Requests that schemathesis derives from our own OpenAPI documents, right ones and wrong ones.

Each app runs as it is, closed, with its ports in memory, behind Chalice's own server in this
process: requests have a token that counts, then one that does not.
"""

import re
from contextlib import ExitStack
from functools import cache

import pytest

from analysis_stage import AnalysisStage, records
from apps import app_with, served
from capture_stage import capture_service
from examples import examples
from in_memory import ConstantModel, InMemoryMetrics
from issuer import AUDIENCE, ISSUER, NOW, Issuer, Key
from modelwatch.adapters.access.tokens import Callers, Tokens
from modelwatch.domain.schemas import Column, Schema
from modelwatch.openapi import analyze, capture, predict
from modelwatch.openapi.access import secured
from modelwatch.services.reading import ResultReader
from modelwatch.settings.access import AccessSettings
from predict_app import predict_app, service_with

schemathesis = pytest.importorskip(
    "schemathesis",
    reason="schemathesis is not installed: no one checks responses against the documents",
)
from hypothesis import HealthCheck, settings  # noqa: E402
from schemathesis import GenerationMode  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

pytestmark = pytest.mark.hypothesis

SCHEMA = Schema(
    (
        Column("alcohol", "double"),
        Column("colour", "string"),
        Column("bottles", "long"),
        Column("organic", "boolean", required=False),
    )
)

BEYOND_SCHEMAS = re.compile(
    r"(\[\d+\]\.)?(captured_at|labelled_at|predicted_at|types)"  # what has been; letters a feature
    r"|(\[\d+\]\.)?lost_before"  # to JSON Schema, 5.0 is a whole number
    r"|(\[\d+\]\.)?probabilities"  # their sum is 1
    r"|(\[\d+\]\.)?(model_name|model_version|variant)"  # their length in a key of S3
    r"|window_end|until|window"
    r"|from|to|page"  # their order; the next page of another one
    r"|model_version"  # it needs a model_name
    r"|"  # two variants that are the same one
)
"""Fields of which a document cannot say all that is asked of them."""


TIMES = {"captured_at", "labelled_at", "predicted_at"}


def valid_data_is_accepted(_context, response, case):
    """What the document calls valid is accepted, or refused for what no document can say."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code == 400:
        fields = [each["field"] for each in response.json()["errors"]]
        body = case.body if isinstance(case.body, dict) else {}
        rows = body.get("rows", [body.get("features")])
        # the type of a value follows from its place, or from the names beside
        if any(isinstance(row, list) for row in rows):
            fields = [each for each in fields if not each.startswith(("features", "rows"))]
        if "{name}" in case.operation.path:  # which features a further model has is not in it
            fields = [each for each in fields if not each.startswith(("feature", "rows"))]
        assert all(BEYOND_SCHEMAS.fullmatch(field) for field in fields), response.json()


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    valid_data_is_accepted,
]


CLOSED = AccessSettings({"API_AUTH": "jwt"})
KEY = Key("a")
DOOR = Callers(CLOSED, Tokens(ISSUER, [AUDIENCE], fetch=Issuer(KEY).fetch, now=lambda: NOW))


@pytest.fixture(scope="module")
def predict_address():
    service = service_with(ConstantModel(prediction=1.5, schema=SCHEMA))
    with predict_app(service, door=DOOR) as app, served(app) as url:
        yield url


@pytest.fixture(scope="module")
def capture_address():
    metrics = InMemoryMetrics()
    service = capture_service(metrics=metrics)
    parts = {"metrics": metrics, "capture_service": service, "door": DOOR}
    with app_with("capture", **parts) as app, served(app) as url:
        yield url


@pytest.fixture(scope="module")
def analyze_address():
    stage = AnalysisStage()
    stage.store.write(records(60, 1.0))
    stage.store.write(records(60, 2.0, version="2"))
    parts = {
        "metrics": stage.metrics,
        "analyze_service": stage.service,
        "asking": stage.asking,
        "result_reader": ResultReader(stage.reports, stage.episodes),
        "door": DOOR,
    }
    with app_with("analyze", **parts) as app, served(app) as url:
        yield url


@pytest.fixture(scope="module")
def closed_address():
    """The address of an app, closed and without services: what runs fails."""
    with ExitStack() as stack:
        yield cache(
            lambda name: stack.enter_context(
                served(stack.enter_context(app_with(name, metrics=InMemoryMetrics(), door=DOOR)))
            )
        )


def operations(document):
    """Return what tests are derived from: all operations but those of the page."""
    api = schemathesis.openapi.from_dict(document)
    api.config.generation.update(modes=list(GenerationMode))
    # TRACE and the like are refused by what stands before the app
    api.config.phases.coverage.unexpected_methods = set()
    return api.exclude(path_regex="^/docs")


def of_the_past(case):
    """Move the times of a valid record or label to where they can be, in most cases."""
    if case.meta is not None and case.meta.generation.mode.is_positive:
        for each in case.body if isinstance(case.body, list) else [case.body]:
            for name in TIMES & each.keys() if isinstance(each, dict) else ():
                if isinstance(each[name], str) and not each[name].endswith("7Z"):
                    each[name] = "2026-11-22T10:00:00.5+01:00"
    return case


def admitted(case, address, **options):
    """Assert that a request with a token that counts is responded to as the document says.

    The document is that of an open app, which knows no 401.
    """
    token = {"Authorization": f"Bearer {KEY.token()}"}
    case.call_and_validate(base_url=address, checks=CHECKS, headers=token, **options)


each = settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@operations(predict.document(SCHEMA, ["wine"])).parametrize()
@each
def test_predict_responds_as_its_document_says(case, predict_address):
    admitted(case, predict_address)


@operations(capture.document()).parametrize()
@each
def test_capture_responds_as_its_document_says(case, capture_address):
    admitted(of_the_past(case), capture_address)


@operations(analyze.document()).parametrize()
@each
def test_analyze_responds_as_its_document_says(case, analyze_address):
    # a report lies elsewhere, and this address does not exist
    admitted(case, analyze_address, allow_redirects=False)


few = settings(max_examples=examples(3), deadline=None, suppress_health_check=list(HealthCheck))


def refused(case, address):
    """Assert that a request without a token that counts is refused, as the document says."""
    response = case.call(base_url=address, allow_redirects=False)
    assert response.status_code == 401
    case.validate_response(response, checks=[content_type_conformance, response_schema_conformance])


@operations(secured(predict.document(SCHEMA, ["wine"]), CLOSED)).parametrize()
@few
def test_predict_serves_nothing_without_a_token(case, closed_address):
    refused(case, closed_address("predict"))


@operations(secured(capture.document(), CLOSED)).parametrize()
@few
def test_capture_serves_nothing_without_a_token(case, closed_address):
    refused(case, closed_address("capture"))


@operations(secured(analyze.document(), CLOSED)).parametrize()
@few
def test_analyze_serves_nothing_without_a_token(case, closed_address):
    refused(case, closed_address("analyze"))
