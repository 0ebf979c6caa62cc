"""What callers of predict send and get: types that validate, and describe it in OpenAPI."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, NotRequired, TypedDict

import msgspec

from modelwatch.domain.names import EventId
from modelwatch.domain.records import Value

MAX_BATCH_ROWS = 10_000

PATIENCE_SECONDS = 20.0
"""So long `POST /analyze` waits for results; with a cold start that is below API Gateway's 29 s."""

Row = list[Value] | dict[str, Value]

RoutingKey = Annotated[str, msgspec.Meta(max_length=256)]


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /predict``.

    Attributes
    ----------
    features
        Values in the model's order, or in that of ``feature_names``; or values by name.
    feature_names
        Names for a list of ``features``.
    event_id
        UUID of the caller's, so that a repeated request is recognised as the same prediction.
    routing_key
        The same variant serves all requests with the same key.
    """

    features: Row
    feature_names: list[str] | None = None
    event_id: EventId | None = None
    routing_key: RoutingKey | None = None


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /predict/batch``: up to 10,000 rows, which one variant serves.

    Attributes
    ----------
    rows
        The features of each row, as in ``POST /predict``.
    feature_names
        Names for the rows that are lists.
    routing_key
        The same variant serves all batches with the same key.
    """

    rows: Annotated[list[Row], msgspec.Meta(min_length=1, max_length=MAX_BATCH_ROWS)]
    feature_names: list[str] | None = None
    routing_key: RoutingKey | None = None


class PredictResponse(msgspec.Struct):
    """Response of ``POST /predict``.

    Attributes
    ----------
    prediction
        What the model says.
    variant
        The alias under which the version served.
    timestamp
        When it was predicted, in UTC.
    latency_ms
        The model's own time, in milliseconds.
    event_id
        The name of this prediction in the captured data.
    """

    prediction: float | int | str | bool
    model_name: str
    model_version: str
    variant: str
    timestamp: datetime
    latency_ms: float
    event_id: str


class RowError(msgspec.Struct):
    """Why the model gave no prediction for a row of a batch; ``row`` is its index."""

    row: int
    detail: str


class BatchResponse(msgspec.Struct, omit_defaults=True):
    """Response of ``POST /predict/batch``: a prediction and an event id a row, in their order.

    Attributes
    ----------
    predictions
        What the model says; null for a row that it has no prediction for.
    errors
        The rows with null, and why; left out where there are none.
    """

    predictions: list[float | int | str | bool | None]
    model_name: str
    model_version: str
    variant: str
    timestamp: datetime
    latency_ms: float
    event_ids: list[str]
    errors: list[RowError] = []


class Variant(TypedDict):
    """A version that is loaded, its share of the requests, and whether it is a shadow."""

    model_version: str
    weight: int
    shadow: bool


class Variants(TypedDict):
    """Response of ``POST /model/reload``: what serves now, by alias."""

    variants: dict[str, Variant]


class Health(TypedDict):
    """Response of ``GET /health``: 200 with a model, 503 without one."""

    status: str
    model_loaded: bool
    model_name: str
    model_version: str | None
    uptime_seconds: float
    variants: NotRequired[dict[str, Variant]]
    stale_since: NotRequired[datetime]
    problem: NotRequired[str]
    capture_problem: NotRequired[str]


class ServedModel(TypedDict):
    """A model that is served; ``model_version`` is null while it is not in memory."""

    model_name: str
    alias: str
    model_loaded: bool
    model_version: str | None
    is_default: bool


class ServedModelList(TypedDict):
    """Response of ``GET /models``: the default model first."""

    models: list[ServedModel]


class Feature(TypedDict):
    """An input column of the model, with its type in MLflow's words."""

    name: str
    type: str
    required: bool


class ModelInfo(TypedDict):
    """Response of ``GET /model/info``; ``metrics`` is null while the registry cannot be asked."""

    model_name: str
    model_version: str
    alias: str
    run_id: str
    metrics: dict[str, float] | None
    artifact_digest: str
    flavor: str
    flavor_reason: str
    features: list[Feature]
    loaded_at: datetime
    load_seconds: float
    variants: dict[str, Variant]


class Index(TypedDict):
    """Response of ``GET /``: what can be called."""

    service: str
    routes: list[str]


class Alive(TypedDict):
    """Response of ``GET /health`` of capture and analyze."""

    status: str


class RunningAnalysis(msgspec.Struct, frozen=True):
    """Response to an analysis, or a comparison, that takes longer: what it is called.

    ``GET /analyze/{name}`` has its results when it is done.
    """

    name: str
    status: Literal["running"] = "running"


class Accepted(TypedDict):
    """Response of ``POST /capture``: the record is on the queue."""

    event_id: str


class AcceptedMany(TypedDict):
    """Response of ``POST /capture/batch`` and ``/ground-truth``: all are on the queue."""

    accepted: int
    event_ids: list[str]
