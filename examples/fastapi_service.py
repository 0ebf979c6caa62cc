"""A price as FastAPI serves it: `uvicorn fastapi_service:app`. The middleware captures it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel

from modelwatch import Client
from modelwatch.sdk.exchange import Capture
from modelwatch.sdk.middleware import CaptureASGI

client = Client(capture=os.environ["CAPTURE_URL"], model_name="price", model_version="7")


@asynccontextmanager
async def closing(_: FastAPI) -> AsyncIterator[None]:
    """Send what waits when the server ends."""
    async with client:
        yield


app = FastAPI(lifespan=closing)
app.add_middleware(
    CaptureASGI, client=client, capture=Capture("/price", id="offer", features="flat")
)


class Flat(BaseModel):
    """What is known of a flat."""

    area: float
    rooms: int
    city: str


class Offer(BaseModel):
    """A flat that is offered."""

    offer: str
    flat: Flat


@app.post("/price")
def price(offer: Offer) -> dict[str, float]:
    """Return the price of a flat."""
    return {"prediction": 2000 * offer.flat.area + 10_000 * offer.flat.rooms}
