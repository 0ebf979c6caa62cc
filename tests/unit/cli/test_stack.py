"""The plan of the stack, its home, and the small things around them."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from modelwatch.calls import ApiError
from modelwatch.errors import NotFoundError, SettingError
from modelwatch_cli.main import main
from modelwatch_cli.project import base_folder
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.checks import name_silent_servers, require_stack
from modelwatch_cli.stack.credentials import ensure_credentials
from modelwatch_cli.stack.draining import drain
from modelwatch_cli.stack.environment import EnvironmentLoader
from modelwatch_cli.stack.errors import StackDownError, StackError
from modelwatch_cli.stack.home import Home
from modelwatch_cli.stack.mlflow_database import discard_if_unfinished
from modelwatch_cli.stack.part_logs import read_part_log
from modelwatch_cli.stack.parts import GRACE_SECONDS, TITLES
from modelwatch_cli.stack.plan import Plan
from modelwatch_cli.stack.processes import Process, start_of
from modelwatch_cli.stack.records import Record, Records
from modelwatch_cli.stack.supervisor import Supervisor


def _plan(home: Path, **variables: str) -> Plan:
    return Plan.of({"MODELWATCH_HOME": str(home), **variables})


def test_the_checkout_is_found() -> None:
    assert (base_folder() / "pyproject.toml").exists()
    assert (
        Home.of(Settings({"MODELWATCH_HOME": ".modelwatch"})).root == base_folder() / ".modelwatch"
    )


def test_every_part_has_a_time_to_stop() -> None:
    assert set(TITLES) == set(GRACE_SECONDS)


def test_the_addresses_follow_from_the_settings(tmp_path: Path) -> None:
    env = _plan(tmp_path, LOCALSTACK_PORT="1", S3_PORT="2", MLFLOW_PORT="3").stack_env()
    assert env["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert env["AWS_ENDPOINT_URL_S3"] == env["MLFLOW_S3_ENDPOINT_URL"] == "http://127.0.0.1:2"
    assert env["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:3"
    assert env["AWS_ACCESS_KEY_ID"] == env["S3_ACCESS_KEY_ID"]
    assert env["IMAGE_REPOSITORY"] == str(tmp_path / "images")
    assert env["MODEL_CACHE"] == str(tmp_path / "model-cache")


def test_functions_under_chalice_local_find_the_bridge_if_it_listens(tmp_path: Path) -> None:
    assert "AWS_EMF_AGENT_ENDPOINT" not in _plan(tmp_path).stack_env()
    env = _plan(tmp_path, BRIDGE_EMF_PORT="25888").stack_env()
    assert env["AWS_EMF_AGENT_ENDPOINT"] == "tcp://127.0.0.1:25888"
    with pytest.raises(SettingError, match="BRIDGE_EMF_PORT"):
        _plan(tmp_path, BRIDGE_EMF_PORT="70000").stack_env()


def test_images_that_the_user_put_elsewhere_stay_there(tmp_path: Path) -> None:
    plan = _plan(tmp_path, IMAGE_REPOSITORY=str(tmp_path / "elsewhere"))
    assert plan.images == tmp_path / "elsewhere"
    assert "IMAGE_REPOSITORY" not in plan.stack_env()


def test_localstacks_s3_can_take_the_place_of_seaweedfs(tmp_path: Path) -> None:
    env = _plan(tmp_path, STACK_S3="localstack").stack_env()
    assert env["AWS_ENDPOINT_URL_S3"] == env["AWS_ENDPOINT_URL"]
    with pytest.raises(SettingError, match="seaweedfs, localstack"):
        _plan(tmp_path, STACK_S3="ceph").stack_env()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("MLFLOW_PORT", "0"), ("MLFLOW_PORT", "65536"), ("S3_PORT", "65529"), ("S3_PORT", "x")],
)
def test_a_port_that_is_none_is_refused(tmp_path: Path, setting: str, value: str) -> None:
    with pytest.raises(SettingError, match=setting):
        _plan(tmp_path, **{setting: value}).port(setting)


def test_credentials_are_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "s3" / "identities.json"
    made = ensure_credentials(path)
    assert ensure_credentials(path) == made
    assert made != ensure_credentials(tmp_path / "other.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(made.secret) >= 40
    # an id that begins like AWS's would name another account to LocalStack
    assert not made.key.startswith(("A", "L"))
    assert json.loads(path.read_text())["identities"][0]["actions"] == ["Admin"]


def test_one_at_a_time(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.locked(), pytest.raises(StackError, match="another"), home.locked():
        pass
    with home.locked():
        pass


def test_delete_leaves_what_is_not_the_stacks(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    (home.root / "mlflow.sqlite").write_text("")
    home.delete()
    assert not home.root.exists()
    home.make()
    (home.root / "notes").write_text("")
    home.delete()
    assert [path.name for path in home.root.iterdir()] == ["notes"]


def test_the_end_of_a_log(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    assert home.log_end("mlflow") == []
    with pytest.raises(NotFoundError, match="no log yet"):
        list(read_part_log(home, "mlflow", 3, follow=False))
    home.log("mlflow").write_text("".join(f"line {number}\n" for number in range(5000)))
    assert list(read_part_log(home, "mlflow", 2, follow=False)) == ["line 4998", "line 4999"]
    assert list(read_part_log(home, "mlflow", 0, follow=False)) == []
    assert len(list(read_part_log(home, "mlflow", 1000, follow=False))) == 1000
    following = read_part_log(home, "mlflow", 1, follow=True)
    assert next(following) == "line 4999"
    with home.log("mlflow").open("a") as log:
        log.write("new\n")
    assert next(following) == "new"


def test_what_a_command_needs_and_does_not_find_is_named() -> None:
    environ = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    }
    with pytest.raises(StackDownError, match=r"the AWS endpoint at .*:9 .*`modelwatch up`"):
        require_stack(Settings(environ))
    # AWS itself is not asked
    with pytest.raises(StackDownError, match="no response from MLflow at"):
        require_stack(Settings({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}))


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (["analyze"], "CloudFormation cannot be asked for the URLs"),
        (["monitors", "diff"], "cannot list modelwatch-reports"),
        (["models", "list"], "registry at http://127.0.0.1:9 does not respond: Connection refused"),
    ],
)
def test_a_command_that_fails_as_the_stack_is_down_says_what_starts_it(
    command, found, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("MODELWATCH_HOME", str(tmp_path))
    for address in ("AWS_ENDPOINT_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(address, "http://127.0.0.1:9")
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "not-up")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("sys.argv", ["modelwatch", *command])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("modelwatch_cli.main.LOADER", EnvironmentLoader(os.environ))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    first, second = capsys.readouterr().err.strip().splitlines()
    assert first.startswith("Error: no response from the AWS endpoint at http://127.0.0.1:9 ")
    assert "`modelwatch up` starts it" in first
    assert found in second


def test_an_error_with_another_cause_stays_as_it_is():
    down = Settings({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    name_silent_servers(NotFoundError("there is no such file"), down)
    name_silent_servers(ApiError("http://api", 404, "there is no such result"), down)
    # AWS is meant, and another server refused
    name_silent_servers(ConnectionRefusedError(), Settings({"MODEL_REGISTRY": "file:///models"}))
    elsewhere = Settings({"AWS_ENDPOINT_URL": "http://127.0.0.2:9", "MODEL_REGISTRY": "file:///m"})
    with pytest.raises(StackDownError, match="is the address right"):
        name_silent_servers(ConnectionRefusedError(), elsewhere)


def test_an_api_that_fails_as_a_part_is_down_says_what_starts_it():
    down = Settings({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "MODEL_REGISTRY": "file:///m"})
    error = ApiError("http://api", 503, "the object store cannot be used now")
    with pytest.raises(StackDownError) as raised:
        name_silent_servers(error, down)
    first, second = str(raised.value).splitlines()
    assert first.startswith("no response from S3 at http://127.0.0.1:9 ")
    assert first.endswith("`modelwatch up` starts it")
    assert second == str(error)


def test_a_wrong_port_is_refused_also_while_a_part_runs_on_another(tmp_path):
    process = Process(os.getpid(), start_of(os.getpid()) or "")
    running = Record(
        name="localstack",
        pid=process.pid,
        started=process.started,
        started_at=0.0,
        settings={"LOCALSTACK_PORT": "4567"},
        address="http://127.0.0.1:4567",
        command=[],
    )
    home = {"MODELWATCH_HOME": str(tmp_path)}
    Records(Home.of(Settings(home)).run).write(running)
    with pytest.raises(SettingError, match="LOCALSTACK_PORT: 'x' is not a whole number"):
        Supervisor({**home, "LOCALSTACK_PORT": "x"})
    assert Supervisor({**home, "LOCALSTACK_PORT": "4568"}).plan.port("LOCALSTACK_PORT") == 4567


@pytest.mark.parametrize(
    ("made", "discarded"),
    [
        ([], True),
        (["CREATE TABLE alembic_version (x)"], True),
        (["CREATE TABLE alembic_version (x)", "CREATE TABLE experiments (x)"], True),
        (["CREATE TABLE experiments (x)", "INSERT INTO experiments VALUES (1)"], False),
        (["CREATE TABLE somebody_elses (x)"], False),
    ],
)
def test_only_a_database_that_holds_nothing_yet_is_discarded(tmp_path, made, discarded):
    path = tmp_path / "mlflow.sqlite"
    assert not discard_if_unfinished(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in made:
            connection.execute(statement)
    path.touch()
    assert discard_if_unfinished(path) is discarded
    assert path.exists() is not discarded


def test_what_is_not_a_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.sqlite"
    path.write_text("notes" * 200)
    assert not discard_if_unfinished(path)
    assert path.read_text().startswith("notes")


class FakeQueue:
    """A queue that responds with the counts that it is given, one after the other."""

    def __init__(self, *counts: int) -> None:
        self._counts = list(counts)

    def get_queue_url(self, QueueName: str) -> dict[str, str]:  # noqa: N803  boto3's name
        return {"QueueUrl": f"http://127.0.0.1/{QueueName}"}

    def get_queue_attributes(
        self,
        QueueUrl: str,  # noqa: ARG002, N803
        AttributeNames: list[str],  # noqa: N803
    ) -> dict[str, dict[str, str]]:
        count = self._counts.pop(0) if len(self._counts) > 1 else self._counts[0]
        return {"Attributes": dict.fromkeys(AttributeNames[1:2], str(count))}


def test_draining_waits_for_what_is_in_flight() -> None:
    seen: list[int] = []
    assert drain(FakeQueue(3, 1, 0), "captures", seen.append) == (0, True)
    assert seen == [3, 1]
    assert drain(FakeQueue(0), "captures", seen.append) == (0, False)


def test_draining_gives_up_and_says_how_many_are_left() -> None:
    assert drain(FakeQueue(5), "captures", lambda _: None, patience_seconds=0.5) == (5, True)
