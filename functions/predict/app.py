"""Routes of the predict function. What they do is in `modelwatch.services.predict`."""

from typing import Any

from chalice.app import Chalice, Response

from chalicelib import wiring
from modelwatch.errors import PredictionError
from modelwatch.http import HttpResponse, body_of, close, handle_request, problem
from modelwatch.openapi.routes import add_docs
from modelwatch.ports.metrics import Sample

app = Chalice(app_name="modelwatch-predict")
close(app, lambda: wiring.metrics(), lambda: wiring.door())


@app.route("/", methods=["GET"])
def index() -> Response:
    """Return the name of the API and its routes."""
    routes = [
        f"{method} {path}" for path, entries in app.routes.items() for method in sorted(entries)
    ]
    body = {"service": "modelwatch predict", "routes": sorted(routes)}
    return handle_request(app, wiring.metrics(), lambda: HttpResponse(body))


@app.route("/health", methods=["GET"])
def health() -> Response:
    """Return whether a model is loaded, and which."""

    def check() -> HttpResponse:
        state = wiring.predict_service().health()
        return HttpResponse(state, 200 if state["model_loaded"] else 503)

    return handle_request(app, wiring.metrics(), check)


@app.route("/predict", methods=["POST"], content_types=["*/*"])
def predict() -> Response:
    """Predict one row."""

    def run() -> HttpResponse:
        response, samples = wiring.predict_service().predict(body_of(app))
        if isinstance(response, PredictionError):
            return problem(response, samples)
        return HttpResponse(response, samples=samples)

    return handle_request(app, wiring.metrics(), run, _error_sample)


@app.route("/predict/batch", methods=["POST"], content_types=["*/*"])
def predict_batch() -> Response:
    """Predict up to 10,000 rows."""

    def run() -> HttpResponse:
        response, samples = wiring.predict_service().predict_batch(body_of(app))
        return HttpResponse(response, samples=samples)

    return handle_request(app, wiring.metrics(), run, _error_sample)


@app.route("/model/info", methods=["GET"])
def model_info() -> Response:
    """Describe the model that is served."""
    return handle_request(
        app,
        wiring.metrics(),
        lambda: HttpResponse(wiring.predict_service().model_info()),
    )


@app.route("/model/reload", methods=["POST"], content_types=["*/*"])
def reload_model() -> Response:
    """Serve the registry's current versions, in every environment."""
    return handle_request(
        app,
        wiring.metrics(),
        lambda: HttpResponse(wiring.predict_service().reload()),
    )


def _document() -> dict[str, Any]:
    # a cold start that was for a prediction does without it
    from modelwatch.openapi.predict import document

    return document(wiring.predict_service().schema())


add_docs(app, wiring.metrics, _document)


def _error_sample(error_type: str) -> Sample:
    return wiring.predict_service().error_sample(error_type)
