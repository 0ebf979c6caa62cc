"""The baseline as a Lambda handler: mlflow.pyfunc, its model in a folder already."""

import json
import os
from typing import Any

import mlflow.pyfunc
import pandas as pd

model = mlflow.pyfunc.load_model(os.environ["BENCH_MODEL"])
names = model.metadata.signature.inputs.input_names()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    features = json.loads(event["body"])["features"]
    value = int(model.predict(pd.DataFrame([features], columns=names))[0])
    return {"statusCode": 200, "body": json.dumps({"prediction": value})}
