"""What predict is held against: FastAPI and mlflow.pyfunc, doing the same for a request.

Served by uvicorn as ``baseline:app``; run as a program, it is called in process, without a socket:
``baseline.py REQUESTS`` prints the seconds of each.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import mlflow.pyfunc
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

model = mlflow.pyfunc.load_model(os.environ["BENCH_MODEL"])
names = model.metadata.signature.inputs.input_names()
app = FastAPI()


class Features(BaseModel):
    features: list[float]


class Prediction(BaseModel):
    prediction: int
    timestamp: datetime
    latency_ms: float
    event_id: str


@app.post("/predict")
async def predict(request: Features) -> Prediction:
    began = time.perf_counter()
    value = int(model.predict(pd.DataFrame([request.features], columns=names))[0])
    latency = time.perf_counter() - began
    print(json.dumps({"api_requests_total": 1, "latency": latency, "value": value}), flush=True)
    return Prediction(
        prediction=value,
        timestamp=datetime.now(UTC),
        latency_ms=latency * 1000,
        event_id=str(uuid.uuid4()),
    )


async def times(requests: int) -> list[float]:
    body = os.environ["BENCH_BODY"].encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": "/predict", "raw_path": b"/predict", "query_string": b"",
        "root_path": "", "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    responses: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        responses.append(message)

    taken = []
    for _ in range(requests):
        responses.clear()
        began = time.perf_counter()
        await app(dict(scope), receive, send)
        taken.append(time.perf_counter() - began)
        assert responses[0]["status"] == 200
    return taken


if __name__ == "__main__":
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        asyncio.run(times(100))
        taken = asyncio.run(times(int(sys.argv[1])))
    json.dump(taken, sys.stdout)
