"""Listing log groups costs the same however much is in them."""

from typing import Any

from localstack.services.logs import provider
from localstack.services.logs.models import get_moto_logs_backend

from localstack_lambda_process.log_groups import list_without_copies


class NeverCopied:
    message = "x"

    def __deepcopy__(self, memo: Any) -> Any:
        raise AssertionError("an event was copied")


def test_no_event_is_copied() -> None:
    list_without_copies()
    backend = get_moto_logs_backend("000000000000", "us-east-1")
    backend.create_log_group("/aws/lambda/f", {})
    backend.create_log_stream("/aws/lambda/f", "s")
    stream = backend.groups["/aws/lambda/f"].streams["s"]
    stream.events.append(NeverCopied())
    stream.stored_bytes = 7
    context = type("Context", (), {"account_id": "000000000000", "region": "us-east-1"})()
    listed = provider.LogsProvider().describe_log_groups(context, {"logGroupNamePrefix": "/aws/"})
    assert [(each["logGroupName"], each["storedBytes"]) for each in listed["logGroups"]] == [
        ("/aws/lambda/f", 7)
    ]
