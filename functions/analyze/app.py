"""Routes and schedule of the analyze function; see `modelwatch.services.analyze`."""

from datetime import datetime
from typing import Any

from chalice.app import Chalice, CloudWatchEvent, Rate, Response, SQSEvent

from chalicelib import wiring
from modelwatch.http import (
    HttpResponse,
    body_of,
    by_name,
    close,
    current_request,
    handle_request,
    query_of,
    tagged,
)
from modelwatch.openapi.routes import add_docs
from modelwatch.services.analysis_requests import AnalysisRequest, parse_request
from modelwatch.services.analyze import ReportPlace
from modelwatch.services.comparison_query import ComparisonRequest, parse_query
from modelwatch.services.contract import Alive, RunningAnalysis
from modelwatch.services.deliveries import delivered, failed_items
from modelwatch.services.fan_out import evaluate_messages
from modelwatch.services.models_query import parse_models_query
from modelwatch.services.results_query import parse_results_query

app = Chalice(app_name="modelwatch-analyze")
close(app, lambda: wiring.metrics(), lambda: wiring.door())


@app.route("/health", methods=["GET"])
def health() -> Response:
    """Return that the function responds."""
    return handle_request(app, wiring.metrics(), lambda: HttpResponse(Alive(status="healthy")))


@app.route("/analyze", methods=["POST"], content_types=["*/*"])
def analyze_now() -> Response:
    """Analyze the window up to now, or a past window."""

    return handle_request(app, wiring.metrics(), lambda: _ask(parse_request(body_of(app))))


def _ask(request: AnalysisRequest | ComparisonRequest) -> HttpResponse:
    found = wiring.asking().ask(request)
    if isinstance(found, RunningAnalysis):
        return HttpResponse(found, 202, headers={"Location": f"analyze/{found.name}"})
    return HttpResponse(found)


@app.route("/analyze/{name}", methods=["GET"])
def asked_analysis(name: str) -> Response:
    """Return what became of an analysis or comparison that took longer than its caller waited."""

    def run() -> HttpResponse:
        found = wiring.asking().find(name)
        return HttpResponse(found, 202 if isinstance(found, RunningAnalysis) else 200)

    return handle_request(app, wiring.metrics(), run)


@app.route("/reports", methods=["GET"])
def reports() -> Response:
    """List the results of all models, a page at once: as those of one model."""
    return handle_request(app, wiring.metrics(), _page)


@app.route("/reports/{name}", methods=["GET"])
def report(name: str) -> Response:
    """Redirect to a report."""

    def run() -> HttpResponse:
        url = by_name(wiring.result_reader().report_url, name)
        return HttpResponse(ReportPlace(url), status=302, headers={"Location": url})

    return handle_request(app, wiring.metrics(), run)


@app.route("/models", methods=["GET"])
def models() -> Response:
    """List the model versions with their newest verdicts, the worst first, a page at once."""

    def run() -> HttpResponse:
        found = wiring.result_reader().models(parse_models_query(query_of(app)))
        known = current_request(app).headers.get("if-none-match", "")
        return tagged(found.tag, known, lambda: found)

    return handle_request(app, wiring.metrics(), run)


@app.route("/models/{name}/results", methods=["GET"])
def model_results(name: str) -> Response:
    """List a model's results, a page at once: ``?version=3&from=…&to=…&limit=50``."""
    return handle_request(app, wiring.metrics(), lambda: _page(name))


def _page(model_name: str = "") -> HttpResponse:
    request, reader = current_request(app), wiring.result_reader()
    asked = parse_results_query(query_of(app))
    listed = by_name(lambda name: reader.list_page(name, asked), model_name)
    known = request.headers.get("if-none-match", "")
    return tagged(listed.tag, known, lambda: reader.read_page(listed))


@app.route("/compare", methods=["GET"])
def compare() -> Response:
    """Compare two variants or versions: ``?a=champion&b=challenger&window=PT1H``."""

    return handle_request(app, wiring.metrics(), lambda: _ask(parse_query(query_of(app))))


def _document() -> dict[str, Any]:
    # no cold start needs it
    from modelwatch.openapi.analyze import document

    return document()


add_docs(app, wiring.metrics, _document)


# the merge template puts the setting ANALYSIS_SCHEDULE here
@app.schedule(Rate(1, unit=Rate.HOURS), name="analyze")
def analyze(event: CloudWatchEvent) -> dict[str, Any]:
    """Analyze the windows that are due, as of the time for which the run was planned."""
    planned = event.to_dict().get("time")
    at = datetime.fromisoformat(planned) if planned else None
    analysis = wiring.analyze_service().analyze_due(at)
    return {
        "results": {result.name: result.status for result in analysis.results},
        "failures": analysis.failures,
        "sent": analysis.sent,
    }


# the merge template puts the real queue here
@app.on_sqs_message(
    queue_arn="arn:aws:sqs:us-east-1:000000000000:set-by-the-merge-template.fifo", name="evaluate"
)
def evaluate(event: SQSEvent) -> dict[str, Any]:
    """Evaluate what a run found due of a model; return the messages to deliver again."""
    evaluate_due, deliveries = wiring.analyze_service().evaluate_due, wiring.deliveries()
    return failed_items(evaluate_messages(delivered(event.to_dict()), evaluate_due, deliveries))
