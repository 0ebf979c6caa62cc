"""A price as Flask serves it: `flask --app flask_service run`. The middleware captures it."""

import os
from typing import Any

from flask import Flask, request

from modelwatch import Client
from modelwatch.sdk.exchange import Capture
from modelwatch.sdk.middleware import CaptureWSGI

client = Client(capture=os.environ["CAPTURE_URL"], model_name="price", model_version="7")
app = Flask(__name__)
app.wsgi_app = CaptureWSGI(  # type: ignore[method-assign]
    app.wsgi_app,
    client=client,
    capture=[
        Capture("/price"),
        Capture(
            "/prices", features="rows", prediction="prices", feature_names=("area", "rooms", "city")
        ),
    ],
)


def price_of(area: float, rooms: int) -> float:
    """Return the price of a flat."""
    return 2000 * area + 10_000 * rooms


@app.post("/price")
def price() -> dict[str, Any]:
    """Return the price of one flat, given by name."""
    flat = request.get_json()
    return {"prediction": price_of(flat["area"], flat["rooms"])}


@app.post("/prices")
def prices() -> dict[str, Any]:
    """Return the prices of many flats, each a list."""
    return {"prices": [price_of(area, rooms) for area, rooms, _ in request.get_json()["rows"]]}
