"""The internal extension against an Extensions API that this file plays, over real HTTP."""

import json
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

import pytest

from in_memory import InMemoryMetrics
from modelwatch.adapters.aws.lambda_extension import LambdaExtension
from modelwatch.ports.metrics import Sample


class ExtensionsApi:
    """Hands out INVOKE events; None makes it refuse. Keeps what it was asked, in order."""

    def __init__(self) -> None:
        self.calls: Queue[str] = Queue()
        self.events: Queue[str | None] = Queue()
        self.registration = 200
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                api.calls.put(self.path.rpartition("extension/")[2])
                event = api.events.get()
                self.respond(200 if event else 500, {"eventType": "INVOKE", "requestId": event})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
                api.calls.put(f"{self.path.rpartition('extension/')[2]} {body}".strip())
                self.respond(api.registration, {})

            def respond(self, status: int, content: object) -> None:
                payload = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Lambda-Extension-Identifier", "one")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def called(self) -> str:
        """Return the next call, when it comes."""
        return self.calls.get(timeout=60)

    def begins(self, event: str | None = "first") -> None:
        """Wait until the extension is registered and asks for an event; give it one."""
        assert [self.called(), self.called()][1] == "event/next"
        self.events.put(event)


@pytest.fixture
def api():
    api = ExtensionsApi()
    yield api
    api.events.put(None)
    api.server.shutdown()


@pytest.fixture(autouse=True)
def _sigterm():
    """Leave this process's way to end as it was."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)
    signal.set_wakeup_fd(-1)


@pytest.fixture
def metrics():
    return InMemoryMetrics()


SENT = [Sample("capture_records_total", 1, {"outcome": "sent"})]


def test_work_is_done_when_the_handler_has_returned_and_before_the_next_event(api, metrics):
    extension = LambdaExtension(api.address, metrics)
    may_work, done = threading.Event(), []

    def work():
        may_work.wait(60)
        done.append("work")
        return SENT

    handle = extension.around(lambda event, _context: (extension(work), event))
    assert api.called() == 'register {"events": ["INVOKE"]}'
    assert api.called() == "event/next"
    api.events.put("first")
    assert handle("response", None) == ([], "response")
    assert done == []
    assert api.calls.empty()  # the environment is not given back yet
    may_work.set()
    assert api.called() == "event/next"
    assert done == ["work"]
    assert metrics.samples == SENT


def test_a_request_without_work_gives_the_environment_back(api, metrics):
    handle = LambdaExtension(api.address, metrics).around(lambda event, _context: event)
    api.begins()
    handle("response", None)
    assert api.called() == "event/next"


def test_a_handler_that_raises_gives_the_environment_back_too(api, metrics):
    handle = LambdaExtension(api.address, metrics).around(lambda event, _context: event["nothing"])
    api.begins()
    with pytest.raises(KeyError):
        handle({}, None)
    assert api.called() == "event/next"


def test_work_that_fails_does_not_end_the_extension(api, metrics):
    extension = LambdaExtension(api.address, metrics)
    works = [lambda: 1 / 0, lambda: SENT]
    handle = extension.around(lambda _event, _context: [extension(work) for work in works])
    api.begins()
    handle({}, None)
    assert api.called() == "event/next"
    assert metrics.samples == SENT


@pytest.mark.parametrize("registration", [403, 500])
def test_work_is_done_at_once_where_registration_is_refused(api, metrics, registration):
    api.registration = registration
    extension = LambdaExtension(api.address, metrics)

    def handler(_event, _context):
        return extension(lambda: SENT)

    assert extension.around(handler) is handler
    assert handler({}, None) == SENT


@pytest.mark.parametrize("address", ["", "127.0.0.1:1"])
def test_work_is_done_at_once_where_there_is_no_lambda(metrics, address):
    extension = LambdaExtension(address, metrics)

    def handler(_event, _context):
        return extension(lambda: SENT)

    assert extension.around(handler) is handler
    assert handler({}, None) == SENT


def test_an_api_that_breaks_loses_no_work_and_is_reported(api, metrics):
    extension = LambdaExtension(api.address, metrics)
    handle = extension.around(lambda _event, _context: extension(lambda: SENT))
    api.begins(None)
    assert api.called() == "exit/error"
    assert handle({}, None) == SENT
    assert metrics.samples == []


class Waiting:
    """Records that wait, due `due` seconds after that was set; None: there are none."""

    def __init__(self) -> None:
        self.due: float | None = None
        self.began = time.monotonic()
        self.flushes: Queue[bool] = Queue()

    def due_in(self) -> float | None:
        return None if self.due is None else max(0, self.began + self.due - time.monotonic())

    def flush(self, *, is_last: bool = False) -> list[Sample]:
        self.due = None
        self.flushes.put(is_last)
        return SENT


def test_what_is_due_is_flushed_before_the_environment_is_given_back(api, metrics):
    extension, waiting = LambdaExtension(api.address, metrics), Waiting()
    extension.flushes(waiting)
    waiting.due = 100.0

    def handler(_event, _context):
        waiting.due = 0.0

    handle = extension.around(handler)
    api.begins()
    handle({}, None)
    assert api.called() == "event/next"
    assert waiting.flushes.get_nowait() is False
    assert metrics.samples == SENT


def test_what_becomes_due_between_requests_is_flushed_then(api, metrics):
    extension, waiting = LambdaExtension(api.address, metrics), Waiting()
    extension.flushes(waiting)

    def handler(_event, _context):
        waiting.due, waiting.began = 0.2, time.monotonic()

    handle = extension.around(handler)
    api.begins()
    handle({}, None)
    assert api.called() == "event/next"
    assert waiting.flushes.empty()
    assert waiting.flushes.get(timeout=60) is False


def test_an_api_that_breaks_leaves_nothing_waiting(api, metrics):
    extension, waiting = LambdaExtension(api.address, metrics), Waiting()
    extension.flushes(waiting)
    waiting.due = 100.0
    extension.around(lambda _event, _context: None)
    api.begins(None)
    assert waiting.flushes.get(timeout=60) is False
    assert api.called() == "exit/error"
    assert not extension.listens


PROCESS = """
import ctypes, sys
from modelwatch.adapters.aws.lambda_extension import LambdaExtension
from modelwatch.adapters.aws.emf import EmfMetricSink

class Waiting:
    def due_in(self):
        return 100.0

    def flush(self, *, is_last=False):
        print("flushed", is_last, flush=True)
        return []

extension = LambdaExtension(sys.argv[1], EmfMetricSink())
extension.flushes(Waiting())
handle = extension.around(lambda event, context: None)
if "served" in sys.argv:
    handle({}, None)
# as the runtime's own wait: in C, where no signal handler of Python's runs
while True:
    ctypes.CDLL(None).sleep(1)
"""


@pytest.mark.parametrize("served", [[], ["served"]])
def test_sigterm_flushes_and_ends_the_process(api, served):
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, api.address, *served], stdout=subprocess.PIPE, text=True
    )
    assert [api.called(), api.called()][1] == "event/next"
    if served:
        api.events.put("first")
        assert api.called() == "event/next"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert (output, process.returncode) == ("flushed True\n", 0)


def test_sigterm_ends_a_process_whose_extension_is_gone(api):
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, api.address], stdout=subprocess.PIPE, text=True
    )
    api.begins(None)
    assert api.called() == "exit/error"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
