"""Routes of the predict function. What they do is in `modelwatch.services.predict`."""

from collections.abc import Callable, Sequence
from typing import Any

from chalice.app import Chalice, Response

from chalicelib import wiring
from modelwatch.errors import PredictionError
from modelwatch.http import HttpResponse, body_of, by_name, close, handle_request, problem
from modelwatch.openapi.routes import add_docs
from modelwatch.ports.metrics import Sample
from modelwatch.services.predict import PredictService

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
    return _health(wiring.predict_service)


@app.route("/predict", methods=["POST"], content_types=["*/*"])
def predict() -> Response:
    """Predict one row."""
    return _predict(wiring.predict_service, PredictService.predict)


@app.route("/predict/batch", methods=["POST"], content_types=["*/*"])
def predict_batch() -> Response:
    """Predict up to 10,000 rows."""
    return _predict(wiring.predict_service, PredictService.predict_batch)


@app.route("/model/info", methods=["GET"])
def model_info() -> Response:
    """Describe the model that is served."""
    return _info(wiring.predict_service)


@app.route("/model/reload", methods=["POST"], content_types=["*/*"])
def reload_model() -> Response:
    """Serve the registry's current versions, in every environment."""
    return _reload(wiring.predict_service)


@app.route("/models", methods=["GET"])
def models() -> Response:
    """List the models that are served: below ``/models/{name}`` each has the routes above."""
    return handle_request(
        app, wiring.metrics(), lambda: HttpResponse({"models": wiring.served_models().states()})
    )


@app.route("/models/{name}/health", methods=["GET"])
def health_of(name: str) -> Response:
    """Return whether this model is loaded."""
    return _health(_service_of(name))


@app.route("/models/{name}/predict", methods=["POST"], content_types=["*/*"])
def predict_by(name: str) -> Response:
    """Predict one row by this model."""
    return _predict(_service_of(name), PredictService.predict)


@app.route("/models/{name}/predict/batch", methods=["POST"], content_types=["*/*"])
def predict_batch_by(name: str) -> Response:
    """Predict up to 10,000 rows by this model."""
    return _predict(_service_of(name), PredictService.predict_batch)


@app.route("/models/{name}/model/info", methods=["GET"])
def model_info_of(name: str) -> Response:
    """Describe this model."""
    return _info(_service_of(name))


@app.route("/models/{name}/model/reload", methods=["POST"], content_types=["*/*"])
def reload_model_of(name: str) -> Response:
    """Serve the registry's current versions of this model, in every environment."""
    return _reload(_service_of(name))


def _service_of(name: str) -> Callable[[], PredictService]:
    return lambda: by_name(wiring.served_models().of, name)


def _health(service: Callable[[], PredictService]) -> Response:
    def check() -> HttpResponse:
        state = service().health()
        return HttpResponse(state, 200 if state["model_loaded"] else 503)

    return handle_request(app, wiring.metrics(), check)


def _predict(
    service: Callable[[], PredictService],
    call: Callable[[PredictService, bytes], tuple[Any, Sequence[Sample]]],
) -> Response:
    def run() -> HttpResponse:
        response, samples = call(service(), body_of(app))
        if isinstance(response, PredictionError):
            return problem(response, samples)
        return HttpResponse(response, samples=samples)

    return handle_request(app, wiring.metrics(), run, lambda kind: service().error_sample(kind))


def _info(service: Callable[[], PredictService]) -> Response:
    return handle_request(app, wiring.metrics(), lambda: HttpResponse(service().model_info()))


def _reload(service: Callable[[], PredictService]) -> Response:
    return handle_request(app, wiring.metrics(), lambda: HttpResponse(service().reload()))


def _document() -> dict[str, Any]:
    # a cold start that was for a prediction does without it
    from modelwatch.openapi.predict import document

    return document(wiring.predict_service().schema(), wiring.served_models().names)


add_docs(app, wiring.metrics, _document)
