"""One cold start of predict in process, part by part: prints the seconds of each as JSON.

Its parts are imported in the order in which `lambda_handler` needs them. The time that the
interpreter takes to come here is the parent's to know: BENCH_STARTED is when that began.
"""

import json
import os
import time

from_parent = time.time() - float(os.environ["BENCH_STARTED"])
parts: dict[str, float] = {"interpreter": from_parent}
began = time.perf_counter()


def part(name: str) -> None:
    global began
    now = time.perf_counter()
    parts[name], began = now - began, now


import awslambdaric.bootstrap  # noqa: E402, F401

part("runtime client")
import boto3  # noqa: E402, F401

part("boto3")
import chalice  # noqa: E402, F401

part("chalice")
from app import app  # noqa: E402
from chalicelib import wiring  # noqa: E402

part("predict and core")
wiring._parts()
part("clients")
service = wiring.predict_service()
plan = wiring._parts().registry.plan(service._models.model_name, service._models._alias)
part("plan from MLflow")
import onnxruntime  # noqa: E402, F401

part("onnxruntime and numpy")
service.health()
part("model from S3, and its session")
event = json.loads(os.environ["BENCH_EVENT"])
assert app(event, None)["statusCode"] == 200
part("first prediction")
print(json.dumps(parts))
