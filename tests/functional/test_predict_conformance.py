"""Requests that schemathesis derives from our own OpenAPI document, right ones and wrong ones."""

import pytest

from in_memory import ConstantModel
from modelwatch.domain.schemas import Column, Schema
from modelwatch.openapi import document
from predict_app import predict_app, served, service_with

schemathesis = pytest.importorskip(
    "schemathesis", reason="schemathesis is not installed: nobody holds answers to the document"
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

SCHEMA = Schema(
    (
        Column("alcohol", "double"),
        Column("colour", "string"),
        Column("bottles", "long"),
        Column("organic", "boolean", required=False),
    )
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def address():
    service = service_with(ConstantModel(prediction=1.5, schema=SCHEMA))
    with predict_app(service) as app, served(app) as url:
        yield url


api = schemathesis.openapi.from_dict(document(SCHEMA))
api.config.generation.update(modes=list(GenerationMode))
# TRACE and the like are refused by what stands before the app
api.config.phases.coverage.unexpected_methods = set()


@api.exclude(path_regex="^/docs").parametrize()
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_answers_are_as_the_document_says(case, address):
    case.call_and_validate(base_url=address, checks=CHECKS)
