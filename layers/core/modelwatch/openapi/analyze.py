"""The OpenAPI document of analyze."""

from __future__ import annotations

from typing import Any

import msgspec

from modelwatch.domain.comparison import Comparison
from modelwatch.openapi.document import build, content, json_body, operation, reference
from modelwatch.services.analysis_requests import AnalysisRequest
from modelwatch.services.analyze import Analysis, ReportPlace
from modelwatch.services.comparison_query import ComparisonRequest
from modelwatch.services.contract import Alive, RunningAnalysis
from modelwatch.services.model_states import Models
from modelwatch.services.models_query import ModelsRequest
from modelwatch.services.reading import ResultPage
from modelwatch.services.results_query import ResultsRequest

_ANALYSIS = ("analyze", "compare", "models", "reports")
_RESULTS = "/models/{name}/results"


def document() -> dict[str, Any]:
    """Return the document.

    Examples
    --------
    >>> [each["name"] for each in document()["paths"]["/compare"]["get"]["parameters"]]
    ['a', 'b', 'window', 'until', 'model_name', 'metric']
    """
    described = build(
        "analyze",
        "Verdicts on windows of captured predictions: drift, data quality, performance.",
        _paths(),
        (
            Alive,
            Analysis,
            AnalysisRequest,
            Comparison,
            ComparisonRequest,
            Models,
            ModelsRequest,
            ReportPlace,
            ResultPage,
            ResultsRequest,
            RunningAnalysis,
        ),
        lambda path: "analysis" if path.split("/")[1] in _ANALYSIS else "service",
    )
    for kind, *paths in (
        (ComparisonRequest, "/compare"),
        (ModelsRequest, "/models"),
        (ResultsRequest, "/reports", _RESULTS),
    ):
        query = described["components"]["schemas"].pop(kind.__name__)
        parameters = [
            {
                "name": name,
                "in": "query",
                "required": name in query.get("required", ()),
                "description": spec.pop("description"),
                "schema": spec,
            }
            for name, spec in query["properties"].items()
        ]
        for path in paths:
            described["paths"][path]["get"].setdefault("parameters", []).extend(parameters)
    return described


def _paths() -> dict[str, Any]:
    report = operation("Go to a report", "report", ReportPlace, (404, 503), status=302)
    report["responses"]["302"]["headers"] = {
        "Location": {"description": "The same address", "schema": {"type": "string"}}
    }
    report["parameters"] = [
        {
            "name": "name",
            "in": "path",
            "required": True,
            "description": "Of a result that has a report: see `GET /reports`",
            "schema": {"type": "string"},
            "example": "wine_quality_model.1.20261123T100000Z",
        }
    ]
    results = _paged("List a model's results, newest first", "results", 400, 404)
    results["parameters"] = [
        {
            "name": "name",
            "in": "path",
            "required": True,
            "description": "The model's",
            "schema": {"type": "string"},
            "example": "wine_quality_model",
        }
    ]
    defaults = msgspec.to_builtins(AnalysisRequest())
    asked = operation(
        "Analyze a window, by default the one that ends now",
        "analyze",
        Analysis,
        (400, 409, 413, 415, 503),
        body=json_body(reference(AnalysisRequest), defaults, required=False),
    )
    running = content("It takes longer than 20 s, and goes on", reference(RunningAnalysis))
    running |= {
        "headers": {
            "Location": {"description": "Where its results will be", "schema": {"type": "string"}}
        }
    }
    asked["responses"]["202"] = running
    compared = operation("Compare two variants or versions", "compare", Comparison, (400, 404, 503))
    compared["responses"]["202"] = running
    later = operation(
        "Get an analysis or comparison that took longer", "asked", Analysis, (400, 404, 409, 503)
    )
    either = {"anyOf": [reference(Analysis), reference(Comparison)]}
    later["responses"]["200"] |= content("What it found", either)
    later["responses"]["202"] = content("It still runs", reference(RunningAnalysis))
    later["parameters"] = [
        {
            "name": "name",
            "in": "path",
            "required": True,
            "description": "What `POST /analyze` or `GET /compare` called it",
            "schema": {"type": "string"},
            "example": "0f8b2c64d1e39a75c0f8b2c64d1e39a7",
        }
    ]
    return {
        "/analyze": {"post": asked},
        "/analyze/{name}": {"get": later},
        "/reports": {"get": _paged("List the results of all models, newest first", "reports", 400)},
        "/reports/{name}": {"get": report},
        "/models": {
            "get": _paged(
                "List the model versions, the worst verdicts first", "models", 400, kind=Models
            )
        },
        _RESULTS: {"get": results},
        "/compare": {"get": compared},
        "/health": {"get": operation("Say that the function responds", "health", Alive)},
    }


def _paged(
    summary: str, name: str, *problems: int, kind: type[msgspec.Struct] = ResultPage
) -> dict[str, Any]:
    found = operation(summary, name, kind, (*problems, 503))
    tag = {"ETag": {"description": "What is in the page", "schema": {"type": "string"}}}
    found["responses"]["200"]["headers"] = tag
    found["responses"]["304"] = {
        "description": "The caller has this page: `If-None-Match` names it",
        "headers": tag,
    }
    return found
