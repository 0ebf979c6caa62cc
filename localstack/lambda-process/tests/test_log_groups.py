"""Listing log groups costs the same however much is in them, and they have subscriptions."""

from typing import Any

from localstack.services.logs import provider
from localstack.services.logs.models import get_moto_logs_backend

from localstack_lambda_process.log_groups import let_streams_have_filters, list_without_copies


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


def test_a_stream_is_made_in_a_group_with_a_filter() -> None:
    let_streams_have_filters()
    backend = get_moto_logs_backend("000000000000", "us-east-1")
    backend.create_log_group("/aws/lambda/filtered", {})
    group = backend.groups["/aws/lambda/filtered"]
    group.put_subscription_filter("bridge", "REPORT", "arn:aws:firehose:::x", "")
    backend.create_log_stream("/aws/lambda/filtered", "s")
    assert group.streams["s"].filter_pattern == "REPORT"
    assert group.describe_subscription_filters()[0].to_json()["filterName"] == "bridge"
