"""Environment files, and which layer wins."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from moto import mock_aws

from modelwatch.errors import SettingError
from modelwatch_bridge.settings import BridgeSettings
from modelwatch_cli.settings import Settings
from modelwatch_cli.stack.environment import EnvironmentLoader, merge, read_env_file, write_env_file
from modelwatch_cli.stack.errors import StackDownError

AWKWARD = {"PLAIN": "a-b", "QUOTED": 'it\'s "so" $HOME #1', "EMPTY": "", "SPACED": " two  words "}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_env_file(tmp_path / "stack.env", AWKWARD)
    assert read_env_file(tmp_path / "stack.env") == AWKWARD


def test_a_shell_reads_the_same(tmp_path: Path) -> None:
    write_env_file(tmp_path / "stack.env", AWKWARD)
    shell = f'. "{tmp_path / "stack.env"}"; printf %s "$QUOTED"'
    said = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert said.stdout == AWKWARD["QUOTED"]


def test_the_file_is_the_users_alone_even_where_another_was(tmp_path: Path) -> None:
    path = tmp_path / "stack.env"
    path.write_text("OLD=1")
    path.chmod(0o644)
    write_env_file(path, {"NEW": "1"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_env_file(path) == {"NEW": "1"}


def test_comments_exports_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# one\n\nexport A = 'x y'  # why\nB=\n  C=1\n")
    assert read_env_file(path) == {"A": "x y", "B": "", "C": "1"}


@pytest.mark.parametrize("line", ["just words", "=1", "A='open"])
def test_a_line_that_makes_no_sense_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"A=1\n{line}\n")
    with pytest.raises(SettingError, match=r"\.env:2"):
        read_env_file(path)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read"):
        read_env_file(tmp_path / "nosuch")


STACK = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:8333",
    "AWS_ACCESS_KEY_ID": "stack",
    "S3_ACCESS_KEY_ID": "stack",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
}


def test_the_strongest_layer_wins() -> None:
    merged = merge({"A": "real"}, {"A": "file", "B": "file"}, {"A": "stack", "C": "stack"})
    assert merged == {"A": "real", "B": "file", "C": "stack"}


def test_keys_of_an_account_never_go_to_the_stack() -> None:
    account = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SESSION_TOKEN": "t", "AWS_PROFILE": "work"}
    assert merge(account, STACK) == STACK


def test_the_stacks_keys_never_go_to_an_account() -> None:
    aws = {"AWS_ENDPOINT_URL": "", "AWS_ACCESS_KEY_ID": "AKIA"}
    merged = merge(aws, STACK)
    assert merged == {**aws, "MLFLOW_TRACKING_URI": STACK["MLFLOW_TRACKING_URI"]}


def test_another_s3_comes_with_its_own_keys() -> None:
    other = {"AWS_ENDPOINT_URL_S3": "http://minio:9000", "S3_ACCESS_KEY_ID": "minio"}
    merged = merge({"S3_SECRET_ACCESS_KEY": "s", **other}, STACK)
    assert merged == {**STACK, **other, "S3_SECRET_ACCESS_KEY": "s"}


def test_the_file_of_the_stack_is_read_anew(tmp_path: Path) -> None:
    environ = {"MODELWATCH_HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "AKIA", "STAGE": "mine"}
    loader = EnvironmentLoader(environ)
    loader.load()
    # never up: a closed port here, and no AWS account
    assert environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert environ["AWS_ACCESS_KEY_ID"] == "not-up"
    with pytest.raises(StackDownError, match="modelwatch up"):
        loader.from_file()
    write_env_file(tmp_path / "stack.env", STACK)
    loader.reload()
    assert {name: environ[name] for name in STACK} == STACK == loader.from_file()
    assert environ["STAGE"] == "mine"


def test_another_file_takes_the_place_of_both(tmp_path: Path) -> None:
    write_env_file(tmp_path / "stack.env", STACK)
    aws = tmp_path / "aws.env"
    aws.write_text("STAGE=prod\n")
    environ = {"MODELWATCH_HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "AKIA"}
    loader = EnvironmentLoader(environ)
    loader.load(aws)
    assert environ["AWS_ACCESS_KEY_ID"] == "AKIA"
    assert Settings(environ).aws_endpoint_url == ""
    assert loader.from_file() == {"STAGE": "prod"}


def test_an_empty_endpoint_is_no_endpoint_to_boto3(tmp_path: Path) -> None:
    write_env_file(tmp_path / "stack.env", STACK)
    environ = {"MODELWATCH_HOME": str(tmp_path), "AWS_ENDPOINT_URL": "", "STAGE": "prod"}
    EnvironmentLoader(environ).load()
    assert "AWS_ENDPOINT_URL" not in environ
    assert "AWS_ENDPOINT_URL_S3" not in environ


@pytest.fixture
def on_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return a loaded environment of AWS, whose STS does not answer."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "a-key")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    environ = {"MODELWATCH_HOME": str(tmp_path), "AWS_ENDPOINT_URL": "", "STAGE": "prod"}
    EnvironmentLoader(environ).load()
    return environ


def test_the_account_is_asked_for_when_a_name_on_aws_needs_it(
    on_aws: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # neither loading nor these need it
    settings = Settings(on_aws | {"REPORT_BUCKET": "ours"})
    assert (settings.report_bucket, settings.capture_queue_name) == (
        "ours",
        "modelwatch-prod-captures",
    )
    monkeypatch.delenv("AWS_ENDPOINT_URL_STS")
    with mock_aws():
        name = "modelwatch-prod-captures-123456789012-us-east-1"
        assert settings.capture_bucket == name
    # and not twice
    assert settings.capture_bucket == name
    assert BridgeSettings(on_aws).metrics_bucket.endswith("-metrics-123456789012-us-east-1")


def test_an_account_that_is_not_known_is_no_name(on_aws: dict[str, str]) -> None:
    settings = Settings(on_aws | {"AWS_DEFAULT_REGION": "eu-north-1"})
    with pytest.raises(SettingError, match="AWS_ACCOUNT_ID: is not said, and AWS does not say"):
        _ = settings.report_bucket
    assert [error.name for error in settings.wrong()] == ["AWS_ACCOUNT_ID"]


def test_a_stage_that_makes_a_name_too_long_is_said() -> None:
    given = {"STAGE": "a-stage-of-20-letter", "AWS_ACCOUNT_ID": "123456789012"}
    settings = Settings(given | {"AWS_DEFAULT_REGION": "ap-southeast-4"})
    assert [
        (error.name, "use a shorter one, or say" in str(error)) for error in settings.wrong()
    ] == [("STAGE", True)]
    assert Settings(given | {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}).wrong() == []
    shorter = {"STAGE": "a-stage-of-15-l", "AWS_DEFAULT_REGION": "ap-southeast-4"}
    assert len(Settings(given | shorter).capture_bucket) == 63
