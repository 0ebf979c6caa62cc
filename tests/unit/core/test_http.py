"""The border of the functions: what a caller reads, and what only the log has."""

import json
from types import SimpleNamespace

import pytest

from in_memory import InMemoryMetrics
from modelwatch.errors import ModelLoadError, QueueError, RegistryError, StoreError
from modelwatch.http import handle_request

FOREIGN = "User arn:aws:sts::123456789012:assumed-role/x/y is not authorized on s3://models"
APP = SimpleNamespace(
    current_request=SimpleNamespace(method="GET", path="/x", headers={}, context={}, raw_body=b"")
)


@pytest.mark.parametrize(
    "error",
    [
        RegistryError(FOREIGN),
        StoreError(FOREIGN),
        QueueError(FOREIGN),
        ModelLoadError(FOREIGN, "it cannot be loaded: ClientError"),
        RuntimeError(FOREIGN),
    ],
    ids=lambda error: type(error).__name__,
)
def test_words_of_aws_are_in_the_log_and_not_in_the_response(error, caplog):
    def fail():
        raise error

    response = handle_request(APP, InMemoryMetrics(), fail)
    assert response.status_code >= 500
    body = json.loads(response.body)
    assert not any(word in response.body for word in ("arn", "1234", "s3:", "role"))
    if not isinstance(error, RuntimeError):  # whose words may be features
        assert body["detail"]
        assert FOREIGN in caplog.text
