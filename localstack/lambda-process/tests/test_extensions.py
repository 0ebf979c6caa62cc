"""Internal extensions: work after the response, within the timeout, before the next invocation."""

import json
import time
from typing import Any

import pytest

# An extension in a thread of the function's own process, as telemetry libraries bring it.
EXTENSION = """
import http.client, json, os, threading, time

BASE = "/2020-01-01/extension"

class Api:
    def __init__(self):
        self.connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

    def call(self, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, BASE + path, body, headers)
        response = self.connection.getresponse()
        return response.status, dict(response.headers), json.loads(response.read())

def register(api, name, events):
    return api.call("POST", "/register", json.dumps({"events": events}),
                    Lambda_Extension_Name=name)

def start(name, on_event):
    api = Api()
    status, headers, response = register(api, name, ["INVOKE"])
    assert status == 200, response
    identifier = headers["Lambda-Extension-Identifier"]

    def loop():
        while True:
            _, _, event = api.call("GET", "/event/next", Lambda_Extension_Identifier=identifier)
            on_event(event, api, identifier)

    threading.Thread(target=loop, daemon=True).start()
    return response
"""

APP = (
    EXTENSION
    + """
answered = threading.Event()
seen, work = [], {"seconds": 0.0}

def on_event(event, api, identifier):
    answered.wait()
    answered.clear()
    time.sleep(work["seconds"])
    seen.append(event)
    print("extension worked on", event["requestId"], flush=True)
    if work.get("fail"):
        api.call("POST", "/exit/error", "{}", Lambda_Extension_Identifier=identifier,
                 Lambda_Extension_Function_Error_Type="Extension.Broken")

registered = start("after", on_event)

def handler(event, context):
    before = len(seen)
    work.clear()
    work.update(seconds=event.get("seconds", 0.0), fail=event.get("fail"))
    answered.set()
    return {"seen": before, "last": seen[-1] if seen else None, "registered": registered,
            "pid": os.getpid()}
"""
)


def test_the_response_comes_before_the_extension_is_done(account: Any) -> None:
    name = account.function(APP)
    account.invoke(name)
    first = account.invoke(name, {"seconds": 3.0})
    assert "REPORT" not in first.log

    second = account.invoke(name)
    # The next invocation came after the extension's work, in the same environment.
    assert second.payload["seen"] == 2
    assert second.payload["pid"] == first.payload["pid"]
    assert second.payload["last"]["eventType"] == "INVOKE"
    assert second.payload["last"]["requestId"] == first.request_id
    assert second.payload["last"]["invokedFunctionArn"].endswith(name)
    assert second.payload["last"]["deadlineMs"] > time.time() * 1000

    events = account.events(name, until=f"REPORT RequestId: {first.request_id}")
    report = next(each for each in events if each.startswith("REPORT") and first.request_id in each)
    # The extension's time counts.
    assert float(report.split("Duration: ")[1].split(" ms")[0]) >= 3000
    worked = next(each for each in events if each.startswith("extension worked on "))
    assert events.index(worked) < events.index(report)


def test_registration_describes_the_function(account: Any) -> None:
    name = account.function(APP)
    assert account.invoke(name).payload["registered"] == {
        "functionName": name,
        "functionVersion": "$LATEST",
        "handler": "app.handler",
    }


def test_the_timeout_includes_extensions(account: Any) -> None:
    name = account.function(APP, Timeout=1)
    first = account.invoke(name, {"seconds": 30.0})
    assert first.error is None
    second = account.invoke(name)
    assert second.payload["pid"] != first.payload["pid"]
    events = account.events(name, until=f"REPORT RequestId: {first.request_id}")
    assert any(f"{first.request_id} Task timed out after 1.00 seconds" in each for each in events)


def test_an_extension_that_breaks_ends_the_environment(account: Any) -> None:
    name = account.function(APP)
    first = account.invoke(name, {"fail": True})
    assert first.error is None
    assert account.invoke(name).payload["pid"] != first.payload["pid"]
    events = account.events(name, until=f"REPORT RequestId: {first.request_id}")
    assert any("Error Type: Extension.Broken" in each for each in events)


def test_an_extension_without_events_delays_nothing(account: Any) -> None:
    name = account.function(
        EXTENSION
        + """
identifier = register(Api(), "silent", [])[1]["Lambda-Extension-Identifier"]
wait = lambda: Api().call("GET", "/event/next", Lambda_Extension_Identifier=identifier)
threading.Thread(target=wait, daemon=True).start()
def handler(event, context):
    return 1
"""
    )
    invoked = account.invoke(name)
    assert invoked.payload == 1
    assert invoked.report["RequestId"] == invoked.request_id


@pytest.mark.parametrize(
    ("events", "name", "error_type"),
    [
        (["SHUTDOWN"], "one", "Extension.InvalidEventType"),
        (["INVOKE", "SHUTDOWN"], "one", "Extension.InvalidEventType"),
        (["OTHER"], "one", "Extension.InvalidEventType"),
        (["INVOKE"], "", "Extension.InvalidExtensionName"),
    ],
)
def test_registrations_that_aws_refuses(account, events, name, error_type):
    source = f"response = register(Api(), {name!r}, {json.dumps(events)})\n"
    function = account.function(
        EXTENSION + source + "def handler(event, context): return [response[0], response[2]]"
    )
    status, response = account.invoke(function).payload
    assert status == 403
    assert response["errorType"] == error_type


def test_registration_is_closed_after_init(account: Any) -> None:
    name = account.function(
        EXTENSION + "def handler(event, context): return register(Api(), 'late', ['INVOKE'])"
    )
    assert account.invoke(name).payload[2]["errorType"] == "Extension.RegistrationClosed"


def test_an_extension_that_cannot_start(account: Any) -> None:
    name = account.function(
        EXTENSION
        + """
api = Api()
identifier = register(api, "broken", ["INVOKE"])[1]["Lambda-Extension-Identifier"]
api.call("POST", "/init/error", "{}", Lambda_Extension_Identifier=identifier,
         Lambda_Extension_Function_Error_Type="Extension.NoConfiguration")
def handler(event, context): return 1
"""
    )
    invoked = account.invoke(name)
    assert invoked.error == "Unhandled"
    assert invoked.payload["errorType"] == "Extension.NoConfiguration"


def test_unknown_extensions_are_refused(account: Any) -> None:
    name = account.function(
        EXTENSION
        + """
def handler(event, context):
    return [Api().call("GET", "/event/next", **headers)[2]["errorType"]
            for headers in ({}, {"Lambda_Extension_Identifier": "x"})]
"""
    )
    assert account.invoke(name).payload == [
        "Extension.MissingExtensionIdentifier",
        "Extension.UnknownExtensionIdentifier",
    ]


LAST_WORDS = (
    EXTENSION
    + """
import signal

def say(*_):
    print("last words", flush=True)
    time.sleep(float(os.environ["SECONDS"]))
    print("and more", flush=True)
    os._exit(0)

def later(event, api, identifier):
    def speak():
        time.sleep(1)
        print("between invocations", flush=True)
    threading.Thread(target=speak, daemon=True).start()

signal.signal(signal.SIGTERM, say)
start("after", later)
def handler(event, context):
    return os.getpid()
"""
)


@pytest.mark.parametrize("seconds", [0.0, 20.0])
def test_an_environment_with_an_extension_ends_by_sigterm_and_in_half_a_second(
    account, wait_until, process_runs, seconds
):
    name = account.function(LAST_WORDS, Variables={"SECONDS": str(seconds)})
    pid = account.invoke(name).payload
    account.update(name, "def handler(event, context): return 1")
    wait_until(lambda: not process_runs(pid))
    events = account.events(name, until="last words" if seconds else "and more")
    assert any("and more" in each for each in events) == (not seconds)


def test_what_an_extension_says_between_invocations_is_logged_without_another_one(account):
    name = account.function(LAST_WORDS, Variables={"SECONDS": "0"})
    account.invoke(name)
    account.events(name, until="between invocations")
