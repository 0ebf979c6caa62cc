"""The OpenAPI document of analyze."""

from __future__ import annotations

from typing import Any

import msgspec

from modelwatch.domain.comparison import Comparison
from modelwatch.openapi.document import build, json_body, operation, reference
from modelwatch.services.analysis_requests import AnalysisRequest
from modelwatch.services.analyze import Analysis, ReportPlace, Results
from modelwatch.services.comparison_query import ComparisonRequest
from modelwatch.services.contract import Alive


def document() -> dict[str, Any]:
    """Return the document.

    Examples
    --------
    >>> [each["name"] for each in document()["paths"]["/compare"]["get"]["parameters"]]
    ['a', 'b', 'window', 'until', 'metric']
    """
    described = build(
        "analyze",
        "Verdicts on windows of captured predictions: drift, data quality, performance.",
        _paths(),
        (Analysis, AnalysisRequest, Comparison, ComparisonRequest, Results, ReportPlace, Alive),
        lambda path: {"analyze": "analysis", "reports": "analysis", "compare": "analysis"}.get(
            path.split("/")[1], "service"
        ),
    )
    query = described["components"]["schemas"].pop(ComparisonRequest.__name__)
    described["paths"]["/compare"]["get"]["parameters"] = [
        {
            "name": name,
            "in": "query",
            "required": name in query["required"],
            "description": spec.pop("description"),
            "schema": spec,
        }
        for name, spec in query["properties"].items()
    ]
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
    defaults = msgspec.to_builtins(AnalysisRequest())
    return {
        "/analyze": {
            "post": operation(
                "Analyze a window, by default the one that ends now",
                "analyze",
                Analysis,
                (400, 409, 413, 415, 503),
                body=json_body(reference(AnalysisRequest), defaults, required=False),
            )
        },
        "/reports": {"get": operation("List the newest results", "reports", Results, (503,))},
        "/reports/{name}": {"get": report},
        "/compare": {
            "get": operation(
                "Compare two variants or versions", "compare", Comparison, (400, 404, 503)
            )
        },
        "/health": {"get": operation("Say that the function responds", "health", Alive)},
    }
