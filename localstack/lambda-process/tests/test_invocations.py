"""What a caller and the log see of invocations."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

APP = """
import json, os, sys, time, subprocess
print("init of", os.getpid())
calls = 0
def handler(event, context):
    global calls
    calls += 1
    do = event.get("do")
    if do == "environment":
        return dict(os.environ)
    if do == "context":
        return {"name": context.function_name, "version": context.function_version,
                "arn": context.invoked_function_arn, "memory": context.memory_limit_in_mb,
                "id": context.aws_request_id, "left": context.get_remaining_time_in_millis(),
                "cwd": os.getcwd(), "stream": context.log_stream_name}
    if do == "raise":
        raise KeyError("wrong")
    if do == "exit":
        os._exit(event["status"])
    if do == "kill":
        os.kill(os.getpid(), 9)
    if do == "die later":
        import threading
        threading.Timer(0.2, os._exit, [5]).start()
    if do == "sleep":
        child = subprocess.Popen(["sleep", "60"])
        print("child", child.pid, flush=True)
        time.sleep(event["seconds"])
    if do == "wait":
        open(os.path.join(event["folder"], str(os.getpid())), "w").close()
        while not os.path.exists(os.path.join(event["folder"], "go")):
            time.sleep(0.01)
    if do == "print":
        print(event["text"])
        sys.stderr.write("to stderr\\n")
        print("after")
    if do == "large":
        return "x" * event["bytes"]
    return {"pid": os.getpid(), "calls": calls}
"""


def test_warm_invocations_share_a_process(account: Any) -> None:
    name = account.function(APP)
    first, second = account.invoke(name), account.invoke(name)
    assert first.error is None
    assert first.payload["calls"] == 1
    assert second.payload == {"pid": first.payload["pid"], "calls": 2}


def test_log_lines_are_those_of_aws(account: Any) -> None:
    name = account.function(APP)
    cold = account.invoke(name, {"do": "print", "text": "hello"})
    pattern = (
        r"init of \d+\n"
        r"START RequestId: {id} Version: \$LATEST\n"
        r"hello\nto stderr\nafter\n"
        r"END RequestId: {id}\n"
        r"REPORT RequestId: {id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 512 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t\n"
    )
    assert re.fullmatch(pattern.replace("{id}", cold.request_id), cold.log)
    assert 5 < int(cold.report["Max Memory Used"].removesuffix(" MB")) < 100

    warm = account.invoke(name)
    assert "init of" not in warm.log
    assert "Init Duration" not in warm.report

    events = account.events(name, until=f"REPORT RequestId: {warm.request_id}")
    assert [event.split()[0] for event in events[-3:]] == ["START", "END", "REPORT"]
    assert "".join(events) == cold.log + warm.log


def test_a_long_json_line_is_one_log_event(account: Any) -> None:
    name = account.function(APP)
    line = json.dumps({"_aws": {"CloudWatchMetrics": []}, "text": "ä" * 100_000}, indent=None)
    invoked = account.invoke(name, {"do": "print", "text": line})
    events = account.events(name, until=f"REPORT RequestId: {invoked.request_id}")
    assert line + "\n" in events


def test_environment_variables(account: Any) -> None:
    name = account.function(APP, Variables={"MINE": "1", "PYTHONPATH": "/mine"})
    seen = account.invoke(name, {"do": "environment"}).payload
    context = account.invoke(name, {"do": "context"}).payload
    assert seen["MINE"] == "1"
    assert seen["LAMBDA_TASK_ROOT"] == context["cwd"]
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
    assert seen["AWS_LAMBDA_LOG_STREAM_NAME"] == context["stream"]
    assert seen["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert seen["AWS_REGION"] == "us-east-1"
    assert seen["_HANDLER"] == "app.handler"
    assert seen["AWS_ENDPOINT_URL"] == account.localstack.endpoint
    assert seen["AWS_ACCESS_KEY_ID"]
    assert seen["PYTHONPATH"] == "/mine"
    assert seen["HOME"] == seen["TMPDIR"]
    assert seen["HOME"].startswith(str(account.localstack.root))
    for name_not_inherited in ("SECRET_OF_LOCALSTACK", "PYTHONDONTWRITEBYTECODE", "GATEWAY_LISTEN"):
        assert name_not_inherited not in seen


def test_context(account: Any) -> None:
    name = account.function(APP, Timeout=7)
    invoked = account.invoke(name, {"do": "context"})
    assert invoked.payload["name"] == name
    assert invoked.payload["version"] == "$LATEST"
    assert invoked.payload["arn"].endswith(f":function:{name}")
    assert invoked.payload["id"] == invoked.request_id
    assert 6000 < invoked.payload["left"] <= 7000


def test_handler_errors(account: Any) -> None:
    name = account.function(APP)
    invoked = account.invoke(name, {"do": "raise"})
    assert invoked.error == "Unhandled"
    assert invoked.payload["errorType"] == "KeyError"
    assert invoked.payload["errorMessage"] == "'wrong'"
    assert "in handler" in invoked.payload["stackTrace"][0]
    assert "[ERROR] KeyError: 'wrong'" in invoked.log
    assert "Status" not in invoked.report
    assert account.invoke(name).payload["calls"] == 2


def test_timeout_kills_all_and_the_next_is_cold(account: Any, process_runs: Any) -> None:
    name = account.function(APP, Timeout=1)
    before = account.invoke(name).payload["pid"]
    invoked = account.invoke(name, {"do": "sleep", "seconds": 30})
    assert 1 <= invoked.seconds < 30
    assert invoked.error == "Unhandled"
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z {invoked.request_id} "
        r"Task timed out after 1\.00 seconds",
        invoked.payload["errorMessage"],
    )
    assert invoked.payload["errorMessage"] in invoked.log
    assert invoked.report["Status"] == "timeout"
    assert invoked.report["Duration"] == "1000.00 ms"
    child = int(re.search(r"child (\d+)", invoked.log).group(1))  # type: ignore[union-attr]
    after = account.invoke(name)
    assert after.payload["calls"] == 1
    assert "Init Duration" in after.report
    assert not process_runs(before)
    assert not process_runs(child)


def test_a_process_that_dies(account: Any) -> None:
    name = account.function(APP)
    for event, reason in (
        ({"do": "exit", "status": 3}, "Runtime exited with error: exit status 3"),
        ({"do": "kill"}, "Runtime exited with error: signal: killed"),
        ({"do": "exit", "status": 0}, "Runtime exited without providing a reason"),
    ):
        invoked = account.invoke(name, event)
        assert invoked.error == "Unhandled"
        assert invoked.payload == {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {invoked.request_id} Error: {reason}",
        }
        assert f"Error: {reason}\nRuntime.ExitError\n" in invoked.log
        assert invoked.report["Error Type"] == "Runtime.ExitError"
    assert account.invoke(name).payload["calls"] == 1


def test_a_process_that_dies_idle_costs_no_invocation(
    account: Any, wait_until: Any, process_runs: Any
) -> None:
    name = account.function(APP)
    first = account.invoke(name, {"do": "die later"})
    wait_until(lambda: not process_runs(first.payload["pid"]))
    second = account.invoke(name)
    assert second.error is None
    assert second.payload["calls"] == 1
    assert second.payload["pid"] != first.payload["pid"]


def test_init_errors_are_reported_and_init_is_tried_again(account: Any) -> None:
    marker = "/marker-that-is-not-there"
    cases = {
        "import nowhere_to_be_found\n": "Runtime.ImportModuleError",
        "def handler(:\n": "Runtime.UserCodeSyntaxError",
        "x = 1\n": "Runtime.HandlerNotFound",
        f"open({marker!r})\n": "FileNotFoundError",
    }
    for code, error_type in cases.items():
        name = account.function(code)
        for _ in range(2):
            invoked = account.invoke(name)
            assert invoked.error == "Unhandled"
            assert invoked.payload["errorType"] == error_type
            assert f"[ERROR] {error_type}" in invoked.log
            assert "INIT_REPORT Init Duration" in invoked.log
            assert invoked.report["Error Type"] == error_type


def test_a_process_that_dies_in_init(account: Any) -> None:
    name = account.function("import os\nos._exit(7)\n")
    invoked = account.invoke(name)
    assert invoked.payload["errorMessage"].endswith("Runtime exited with error: exit status 7")
    assert account.invoke(name).error == "Unhandled"


def test_concurrent_invocations_have_environments_of_their_own(
    account: Any, tmp_path: Path, wait_until: Any
) -> None:
    name = account.function(APP, Timeout=200)
    with ThreadPoolExecutor(4) as pool:
        waiting = {"do": "wait", "folder": str(tmp_path)}
        runs = [pool.submit(account.invoke, name, waiting) for _ in range(4)]
        wait_until(lambda: len(list(tmp_path.iterdir())) == 4)
        (tmp_path / "go").touch()
        results = [run.result() for run in runs]
    assert len({result.payload["pid"] for result in results}) == 4
    assert len({result.log for result in results}) == 4


def test_new_code_is_served_and_invocations_in_flight_finish(
    account: Any, tmp_path: Path, wait_until: Any
) -> None:
    name = account.function(APP, Timeout=200)
    account.invoke(name)
    with ThreadPoolExecutor(1) as pool:
        in_flight = pool.submit(account.invoke, name, {"do": "wait", "folder": str(tmp_path)})
        wait_until(lambda: list(tmp_path.iterdir()))
        account.update(name, "def handler(event, context): return 'new'")
        assert account.invoke(name).payload == "new"
        (tmp_path / "go").touch()
        assert in_flight.result().payload["calls"] == 2


def test_responses_over_six_megabytes_are_refused(account: Any) -> None:
    name = account.function(APP)
    limit = 6 * 1024 * 1024 + 100
    assert len(account.invoke(name, {"do": "large", "bytes": limit - 2}).payload) == limit - 2
    invoked = account.invoke(name, {"do": "large", "bytes": limit})
    assert invoked.error == "Unhandled"
    assert invoked.payload == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": f"Response payload size ({limit + 2} bytes) exceeded maximum allowed "
        f"payload size ({limit} bytes).",
    }
    assert account.invoke(name).error is None


def test_published_versions_keep_their_code(account: Any) -> None:
    name = account.function("def handler(event, context): return context.function_version")
    version = account.functions.publish_version(FunctionName=name)["Version"]
    assert account.invoke(name).payload == "$LATEST"
    response = account.functions.invoke(FunctionName=name, Qualifier=version)
    assert json.loads(response["Payload"].read()) == version
