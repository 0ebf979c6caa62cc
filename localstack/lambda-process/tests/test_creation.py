"""What can run is resolved, and what cannot is refused when the function is created."""

import json
import venv
from pathlib import Path
from typing import Any

import pytest

from localstack_lambda_process.errors import ImageNotFoundError, RuntimeNotUsableError
from localstack_lambda_process.runtimes import bare_interpreter, image_directory
from localstack_lambda_process.settings import Settings

APP = """
import os, sys
def handler(event, context):
    return {"who": os.environ.get("WHO"), "task": os.environ["LAMBDA_TASK_ROOT"],
            "prefix": sys.prefix}
def other(event, context):
    return "other"
"""


def refused(account: Any, **settings: Any) -> str:
    state = account.await_created(account.create(APP, **settings))
    assert state["State"] == "Failed"
    return str(state["StateReason"])


def make_image(account: Any, python: Path, name: str, **description: Any) -> Path:
    directory = Path(account.images) / name
    (directory / "task").mkdir(parents=True)
    (directory / "task" / "app.py").write_text(APP)
    (directory / "image.json").write_text(json.dumps({"python": str(python), **description}))
    return directory


def test_another_language_is_refused(account: Any) -> None:
    reason = refused(account, Runtime="nodejs22.x")
    assert reason.endswith(
        "The runtime nodejs22.x cannot run as a local process: only Python runtimes can."
    )


def test_what_was_refused_can_be_deleted_and_its_name_used_again(account: Any) -> None:
    name = account.create(APP, Runtime="nodejs22.x")
    assert account.await_created(name)["State"] == "Failed"
    account.functions.delete_function(FunctionName=name)
    with pytest.raises(account.functions.exceptions.ResourceNotFoundException):
        account.functions.get_function(FunctionName=name)
    assert account.create(APP, FunctionName=name) != name
    assert account.await_created(name)["State"] == "Active"
    assert account.invoke(name).error is None
    account.functions.delete_function(FunctionName=name)


def test_another_python_is_refused(account: Any, runtime_python: Path) -> None:
    reason = refused(account, Runtime="python3.12")
    assert "asks for the runtime python3.12" in reason
    assert f"is a Python 3.13 ({runtime_python})" in reason


def test_images(account: Any, runtime_python: Path) -> None:
    image = make_image(account, runtime_python, "analyze/1.0", environment={"WHO": "image"})
    name = account.function(
        {}, PackageType="Image", Code={"ImageUri": "analyze:1.0"}, Environment={}
    )
    seen = account.invoke(name).payload
    assert seen == {
        "who": "image",
        "task": f"{image}/task",
        "prefix": str(runtime_python.parent.parent),
    }

    name = account.function(
        {},
        PackageType="Image",
        Code={"ImageUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/analyze:1.0"},
        ImageConfig={"Command": ["app.other"]},
        Variables={"WHO": "function"},
    )
    assert account.invoke(name).payload == "other"


def test_the_default_handler_and_a_relative_interpreter(account: Any, runtime_python: Path) -> None:
    image = make_image(account, Path("python"), "relative/latest", command=["app.other"])
    # A link would leave the virtual environment; a script stands in for an image's own python.
    (image / "python").write_text(f'#!/bin/sh\nexec "{runtime_python}" "$@"\n')
    (image / "python").chmod(0o755)
    name = account.function({}, PackageType="Image", Code={"ImageUri": "relative"})
    assert account.invoke(name).payload == "other"


def test_images_that_are_not_there(account: Any) -> None:
    reason = refused(account, PackageType="Image", Code={"ImageUri": "nothing:2"})
    assert (
        f"The image nothing:2 is not here: expected the directory {account.images}/nothing/2"
        in (reason)
    )


@pytest.mark.parametrize("uri", ["a@sha256:0123", "host/..:1", "name:..", "..", ""])
def test_references_that_are_no_names(uri: str, tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError, match="name:tag"):
        image_directory(uri, Settings(python=None, images_dir=tmp_path))


def test_settings_that_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(RuntimeNotUsableError, match="LAMBDA_PROCESS_PYTHON is not set"):
        bare_interpreter(Settings.from_environment({}))
    missing = {"LAMBDA_PROCESS_PYTHON": str(tmp_path / "none")}
    with pytest.raises(RuntimeNotUsableError, match="none, which is not an executable file"):
        bare_interpreter(Settings.from_environment(missing))
    no_python = tmp_path / "python"
    no_python.write_text("#!/bin/sh\nexit 1\n")
    no_python.chmod(0o755)
    with pytest.raises(RuntimeNotUsableError, match="does not run as a Python interpreter"):
        bare_interpreter(Settings(python=no_python, images_dir=None))


def test_an_interpreter_without_the_runtime_client(start_localstack, account_type, tmp_path):
    venv.create(tmp_path / "empty", with_pip=False)
    localstack = start_localstack(LAMBDA_PROCESS_PYTHON=str(tmp_path / "empty/bin/python"))
    localstack.await_ready()
    reason = refused(account_type(localstack, tmp_path))
    assert "lacks awslambdaric" in reason
    assert "Lambda functions cannot be created: LAMBDA_PROCESS_PYTHON names" in localstack.log
