"""Rows for an API whose registry is not at hand: a file of them, and what the API says it takes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import pytest

from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.settings import Settings
from modelwatch_cli.traffic.running import find_target
from stand_in import Request, stand_in

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


@contextmanager
def api_with(info: object) -> Iterator[str]:
    """An API that asks for the key ``secret``, and says what its model takes where it has info."""

    def respond(request: Request) -> tuple[int, object]:
        known = request.path == "/health" or (request.path == "/model/info" and info)
        if request.headers["x-api-key"] != "secret":
            return 403, info
        return 200 if known else 404, info

    with stand_in(respond) as url:
        yield url


@pytest.fixture
def api() -> Iterator[str]:
    with api_with(INFO) as url:
        yield url


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame({"id": [7, 8], "b": [1, 2], "a": [3, 4]})


def test_the_model_s_features_are_taken_from_a_csv(api, table, tmp_path):
    table.to_csv(tmp_path / "rows.csv", index=False)
    target = find_target(Settings({}), f"{api}/predict", "secret", tmp_path / "rows.csv")
    assert target.url == api
    assert list(target.reference) == ["a", "b"]
    assert [kind.kind for kind in target.reference.dtypes] == ["f", "i"]


def test_the_key_may_be_a_setting_and_the_file_parquet(api, table, tmp_path):
    table.to_parquet(tmp_path / "rows.parquet")
    settings = Settings({"PREDICT_API_KEY": "secret"})
    assert len(find_target(settings, api, rows=tmp_path / "rows.parquet").reference) == 2


def test_an_api_that_says_nothing_of_its_model_gets_all_columns(table, tmp_path):
    table.to_csv(tmp_path / "rows.csv", index=False)
    with api_with(None) as api:
        target = find_target(Settings({}), api, "secret", tmp_path / "rows.csv")
    assert list(target.reference) == ["id", "b", "a"]


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
        find_target(Settings({}), api, "secret", tmp_path / "rows.csv")


def test_a_missing_key_and_a_wrong_address_are_said(api):
    with pytest.raises(ModelwatchError, match="returns 403: it requires a key: --api-key"):
        find_target(Settings({}), api)
    with pytest.raises(ModelwatchError, match="another key or signer than the one given"):
        find_target(Settings({}), api, "other")
    with pytest.raises(ModelwatchError, match="does not respond"):
        find_target(Settings({}), "http://127.0.0.1:9")


def test_without_a_registry_rows_are_asked_for(api):
    settings = Settings({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MODEL_NAME": "wine"})
    with pytest.raises(ModelwatchError, match="give rows to draw from with --rows FILE"):
        find_target(settings, api, "secret")
