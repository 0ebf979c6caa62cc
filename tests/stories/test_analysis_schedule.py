"""The scheduled analysis on the real stack: runs that come twice at once, and runs that are missed.

test_demo.py sees EventBridge fire; here the function is invoked with such events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from modelwatch.adapters.captures.records import S3RecordStore
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.due import DueAnalysis, decode_due, encode_due
from modelwatch.domain.event_ids import new_event_id
from modelwatch.domain.records import Record
from modelwatch.domain.verdict.results import AnalysisResult
from modelwatch_cli.settings import Settings
from running_stack import RunningStack
from s3_gate import S3Gate
from waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.servers

HOUR = timedelta(hours=1)
START = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(days=2)


class Analyze:
    """The deployed function, and a model of an application that no registry knows."""

    def __init__(self, stack: RunningStack) -> None:
        environ = stack.json("env")
        settings = Settings(environ)
        self.model = f"application-{uuid4().hex[:8]}"
        self.bucket = settings.capture_bucket
        s3 = stack.client("s3")
        self.captures = S3RecordStore(s3, settings.capture_bucket)
        self.reports = S3ReportStore(s3, settings.report_bucket)
        self.stack = stack

    def capture(self, hours: int, model: str = "") -> None:
        """Store 20 records of each hour since the start."""
        for hour in range(hours):
            times = [START + hour * HOUR + timedelta(seconds=20 * number) for number in range(20)]
            records = [
                Record(
                    event_id=new_event_id(int(time.timestamp() * 1000)),
                    captured_at=time,
                    model_name=model or self.model,
                    model_version="1",
                    features={"a": 1.0},
                    prediction=1,
                )
                for time in times
            ]
            for part in (records[:10], records[10:]):
                for group in _by_hour(part):
                    self.captures.write(group)

    def run(self, planned: datetime) -> dict[str, Any]:
        """Invoke the function as the rule does that was planned for this time."""
        return self.stack.run_planned("analyze", planned)

    def results(self, model: str = "") -> list[AnalysisResult]:
        """Return all results of the model's hours, oldest first; days and weeks are beside them."""
        names = self.reports.names(model or self.model, START - HOUR, START + 24 * HOUR)
        found = [self.reports.result(name) for name in names]
        return [each for each in found if each.window == "PT1H"]

    @contextmanager
    def broken_captures(self, model: str) -> Iterator[None]:
        """Overwrite a model's captures with what no one can read, for a while.

        Later runs would try the day of them again and again.
        """
        s3 = self.stack.client("s3")
        found = s3.list_objects_v2(Bucket=self.bucket, Prefix=f"captures/model_name={model}/")
        keys = [each["Key"] for each in found["Contents"]]
        for key in keys:
            s3.put_object(Bucket=self.bucket, Key=key, Body=b"no Parquet")
        yield
        for key in keys:
            s3.delete_object(Bucket=self.bucket, Key=key)


def _by_hour(records: list[Record]) -> Iterator[list[Record]]:
    for hour in sorted({record.captured_at.hour for record in records}):
        yield [record for record in records if record.captured_at.hour == hour]


@pytest.fixture
def analyze(stack: RunningStack) -> Analyze:
    for command in (["train"], ["deploy", "analyze"]):
        outcome = stack.run(*command)
        assert outcome.returncode == 0, outcome.stderr
    return Analyze(stack)


def test_runs_at_once_make_one_result_and_missed_ones_are_caught_up(analyze: Analyze) -> None:
    analyze.capture(hours=6)
    first = START + timedelta(minutes=20)
    with ThreadPoolExecutor(3) as threads:
        responses = list(threads.map(analyze.run, [first] * 3))
    assert all(response["failures"] == {} for response in responses)
    (result,) = analyze.results()
    end = first - timedelta(seconds=5)
    assert (result.window_end, result.rows, result.late) == (end, 20, False)
    assert (result.status, result.reason) == ("unknown", "20 rows in the window; 100 are needed")

    # four runs were missed
    analyze.run(first + 5 * HOUR)
    results = analyze.results()
    assert [each.window_end for each in results] == [end + hours * HOUR for hours in range(6)]
    assert [each.late for each in results] == [False, True, True, True, True, False]
    assert {each.rows for each in results} == {20}


def test_models_that_are_due_wait_for_no_other_and_a_broken_one_is_a_dead_letter(
    analyze: Analyze,
) -> None:
    names = [f"{analyze.model}-{number}" for number in range(4)]
    broken = names[0]
    for name in names:
        analyze.capture(hours=1, model=name)
    sqs, queue = analyze.stack.client("sqs"), "modelwatch-local-analyses"
    url = sqs.get_queue_url(QueueName=f"{queue}.fifo")["QueueUrl"]
    letters = sqs.get_queue_url(QueueName=f"{queue}-dead.fifo")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    policy = json.loads(attributes["Attributes"]["RedrivePolicy"])

    def allow(deliveries: int) -> None:
        allowed = json.dumps({**policy, "maxReceiveCount": deliveries})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": allowed})

    planned = START + timedelta(minutes=20)
    with analyze.broken_captures(broken):
        allow(1)
        try:
            assert analyze.run(planned)["sent"] >= len(names)
        finally:
            allow(int(policy["maxReceiveCount"]))
    for name in names[1:]:
        (result,) = analyze.results(name)
        assert (result.rows, result.late) == (20, False)
    assert analyze.results(broken) == []
    page = f"http://127.0.0.1:{analyze.stack.environ['BRIDGE_PORT']}/metrics"
    given_up = re.compile(rf'queue_messages{{queue="{queue}-dead.fifo",state="visible"}} [1-9]')
    eventually(lambda: given_up.search(httpx.get(page, timeout=60).text))
    dead: list[DueAnalysis] = []

    def is_dead() -> bool:
        found = sqs.receive_message(QueueUrl=letters, MaxNumberOfMessages=10)
        dead.extend(decode_due(each["Body"]) for each in found.get("Messages", ()))
        # the deployed rule goes on meanwhile: its run finds the week of them due
        return DueAnalysis(broken, "1", "PT1H", planned) in dead

    eventually(is_dead)
    assert {due.model_name for due in dead if due.planned == planned} == {broken}

    # a message that comes twice
    again = DueAnalysis(names[1], "1", "PT1H", planned)
    before = analyze.results(names[1])
    ids = {"MessageGroupId": "again", "MessageDeduplicationId": uuid4().hex}
    sqs.send_message(QueueUrl=url, MessageBody=encode_due(again).decode(), **ids)
    eventually(lambda: not analyze.stack.waiting(f"{queue}.fifo"))
    assert analyze.results(names[1]) == before


def test_what_a_killed_worker_had_is_done_by_another_one_and_once(
    analyze: Analyze, request: pytest.FixtureRequest
) -> None:
    names = [f"{analyze.model}-{number}" for number in range(2)]
    for name in names:
        analyze.capture(hours=1, model=name)
    gate = S3Gate(analyze.stack.json("env")["AWS_ENDPOINT_URL_S3"])
    functions, worker = analyze.stack.client("lambda"), "modelwatch-local-analyze-window"
    found = functions.get_function_configuration(FunctionName=worker)
    deployed = found["Environment"]["Variables"]

    def configure(**variables: str) -> None:
        environment = {"Variables": {**deployed, **variables}}
        functions.update_function_configuration(FunctionName=worker, Environment=environment)
        functions.get_waiter("function_updated_v2").wait(FunctionName=worker)

    request.addfinalizer(configure)
    configure(AWS_ENDPOINT_URL_S3=gate.url)
    gate.mode = "hold"
    planned = START + timedelta(minutes=20)
    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(analyze.run, planned)
        # its first write of the result is on S3, and it has yet to hear of it
        assert gate.held.acquire(timeout=PATIENCE_SECONDS)
        assert gate.kill(worker) >= 1
        gate.mode = "open"
        assert run.result()["failures"] == {}
    # its messages come again after the two minutes of their lease, not after those of the queue
    eventually(lambda: all(map(analyze.results, names)))
    for name in names:
        (result,) = analyze.results(name)
        assert (result.rows, result.late) == (20, False)
