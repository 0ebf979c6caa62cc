"""Clients of the local stack, whatever the process's environment says."""

from __future__ import annotations

import pytest

from modelwatch_cli.stack.local_aws import LocalSession

STACK = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:8333",
    "AWS_ACCESS_KEY_ID": "stack",
    "AWS_SECRET_ACCESS_KEY": "stack's secret",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS", "USE_SSL"])
@pytest.mark.parametrize(
    ("service", "endpoint"), [("sqs", "http://127.0.0.1:4566"), ("s3", "http://127.0.0.1:8333")]
)
def test_a_client_goes_to_the_stack_that_it_is_given(monkeypatch, variable, service, endpoint):
    monkeypatch.setenv(variable, "https://elsewhere.example" if variable != "USE_SSL" else "1")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of an account")
    client = LocalSession(STACK).client(service)
    assert client.meta.endpoint_url == endpoint
    assert client.meta.region_name == "eu-central-1"
    credentials = client._request_signer._credentials
    assert (credentials.access_key, credentials.token) == ("stack", None)
