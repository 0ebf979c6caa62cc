"""Log lines that come after LocalStack has an invocation's log: END and REPORT with extensions."""

import contextlib
import time
from typing import Any

from localstack.aws.connect import connect_to

# LocalStack writes an invocation's lines from a queue, just after the response. Lines about the end
# should not overtake them.
_ORDER_SECONDS = 0.05


class LateLog:
    """Writes to a log stream that LocalStack writes to as well.

    It creates group and stream at once. LocalStack's writer creates them if there are none, and
    loses its lines if another writer is faster.
    """

    def __init__(self, account: str, region: str, group: str, stream: str) -> None:
        self._client: Any = connect_to(aws_access_key_id=account, region_name=region).logs
        self._names = {"logGroupName": group, "logStreamName": stream}
        exists = self._client.exceptions.ResourceAlreadyExistsException
        with contextlib.suppress(exists):
            self._client.create_log_group(logGroupName=group)
        with contextlib.suppress(exists):
            self._client.create_log_stream(**self._names)

    def write(self, text: str) -> None:
        """Write lines, one event each; blocks until they are in the log."""
        time.sleep(_ORDER_SECONDS)
        timestamp = int(time.time() * 1000)
        events = [
            {"timestamp": timestamp, "message": line + "\n"} for line in text.split("\n") if line
        ]
        self._client.put_log_events(**self._names, logEvents=events)
