"""Makes LocalStack list log groups without a copy of their content, and subscribe to them.

For each DescribeLogGroups, LocalStack copies every group with all its streams and events, so that
no new stream disturbs the sum of their sizes. A program that follows the logs asks for the groups
again and again. After some ten thousand invocations the copies need more of LocalStack's one
interpreter than the invocations. A shallow copy is enough against new streams.

LocalStack reads the filters of a group as the older moto kept them, when a stream is made. So each
CreateLogStream in a group with a subscription filter fails, after it made the stream, and the lines
of a function's first invocation are lost.
"""

import copy
from types import SimpleNamespace
from typing import Any

import moto.logs.models
from localstack.services.logs import provider


def list_without_copies() -> None:
    """Change the one module of LocalStack that copies; a second call changes nothing."""
    provider.copy = SimpleNamespace(deepcopy=copy.copy)


def let_streams_have_filters() -> None:
    """Give the filters of a group the form that LocalStack reads."""
    group: Any = moto.logs.models.LogGroup
    group.describe_subscription_filters = lambda self: list(self.subscription_filters.values())
    subscription: Any = moto.logs.models.SubscriptionFilter
    subscription.__getitem__ = lambda self, name: self.to_json()[name]
