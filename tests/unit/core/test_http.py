"""The border of the functions: what a caller reads, and what only the log has."""

import json
from types import SimpleNamespace

import pytest

from in_memory import InMemoryMetrics
from modelwatch.errors import ModelLoadError, QueueError, RegistryError, StoreError
from modelwatch.http import HttpResponse, handle_request, tagged

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


def test_what_is_for_one_caller_is_kept_for_no_other():
    def fail():
        raise StoreError(FOREIGN)

    for handler in (lambda: HttpResponse({"prediction": 1}), fail):
        headers = handle_request(APP, InMemoryMetrics(), handler).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
    # a list of results may be kept by the one who asked, and is asked for again each time
    listed = handle_request(APP, InMemoryMetrics(), lambda: tagged('"1"', "", list))
    assert listed.headers["Cache-Control"] == "private, no-cache"
