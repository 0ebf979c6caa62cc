"""Rows for an API whose registry is not at hand: a file of them, and what the API says it takes."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic.running import find_target

INFO = {
    "model_name": "wine",
    "model_version": "1",
    "alias": "production",
    "run_id": "",
    "metrics": None,
    "artifact_digest": "",
    "flavor": "onnx",
    "flavor_reason": "",
    "features": [
        {"name": "a", "type": "double", "required": True},
        {"name": "b", "type": "long", "required": True},
    ],
    "loaded_at": "2026-03-01T00:00:00Z",
    "load_seconds": 0.1,
    "variants": {},
}


class Api:
    """An API that asks for the key ``secret``, and says what its model takes where it has info."""

    def __init__(self, info: object) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.path == "/health" or (self.path == "/model/info" and info)
                status = 403 if self.headers["x-api-key"] != "secret" else 200 if known else 404
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(info).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def api() -> Iterator[Api]:
    running = Api(INFO)
    yield running
    running.server.shutdown()


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame({"id": [7, 8], "b": [1, 2], "a": [3, 4]})


def test_the_model_s_features_are_taken_from_a_csv(api, table, tmp_path):
    table.to_csv(tmp_path / "rows.csv", index=False)
    target = find_target(Settings({}), f"{api.url}/predict", "secret", tmp_path / "rows.csv")
    assert target.url == api.url
    assert list(target.reference) == ["a", "b"]
    assert [kind.kind for kind in target.reference.dtypes] == ["f", "i"]


def test_the_key_may_be_a_setting_and_the_file_parquet(api, table, tmp_path):
    table.to_parquet(tmp_path / "rows.parquet")
    settings = Settings({"PREDICT_API_KEY": "secret"})
    assert len(find_target(settings, api.url, rows=tmp_path / "rows.parquet").reference) == 2


def test_an_api_that_says_nothing_of_its_model_gets_all_columns(table, tmp_path):
    api = Api(None)
    table.to_csv(tmp_path / "rows.csv", index=False)
    target = find_target(Settings({}), api.url, "secret", tmp_path / "rows.csv")
    assert list(target.reference) == ["id", "b", "a"]
    api.server.shutdown()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("b,c\n1,2\n", "lacks a, which the model needs; it has b, c"),
        ("a,b\n", "has no rows"),
        ("", "cannot be read"),
    ],
)
def test_a_file_that_does_not_do_is_refused(api, tmp_path, text, said):
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(InvalidInputError, match=said):
        find_target(Settings({}), api.url, "secret", tmp_path / "rows.csv")


def test_a_missing_key_and_a_wrong_address_are_said(api):
    with pytest.raises(ModelwatchError, match="returns 403: it requires a key: --api-key"):
        find_target(Settings({}), api.url)
    with pytest.raises(ModelwatchError, match="another key or signer than the one given"):
        find_target(Settings({}), api.url, "other")
    with pytest.raises(ModelwatchError, match="does not respond"):
        find_target(Settings({}), "http://127.0.0.1:9")


def test_without_a_registry_rows_are_asked_for(api):
    settings = Settings({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MODEL_NAME": "wine"})
    with pytest.raises(ModelwatchError, match="give rows to draw from with --rows FILE"):
        find_target(settings, api.url, "secret")
