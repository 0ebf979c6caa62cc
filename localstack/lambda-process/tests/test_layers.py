"""Layers: applied in order, found where AWS finds them."""

import os
from pathlib import Path
from typing import Any

APP = """
import json, os, subprocess, sys
def handler(event, context):
    found = {"path": sys.path, "bin": os.environ["PATH"], "lib": os.environ["LD_LIBRARY_PATH"]}
    for name in event["modules"]:
        try:
            found[name] = __import__(name).VALUE
        except ImportError as error:
            found[name] = str(error)
    return found
"""


def test_later_layers_replace_files_of_earlier_ones(account: Any) -> None:
    first = account.layer(
        {"python/shared.py": "VALUE = 'first'", "python/one.py": "VALUE = 1", "lib/a.txt": "a"}
    )
    second = account.layer({"python/shared.py": "VALUE = 'second'", "python/two.py": "VALUE = 2"})
    modules = {"modules": ["shared", "one", "two"]}
    name = account.function(APP, Layers=[first, second])
    seen = account.invoke(name, modules).payload
    assert (seen["shared"], seen["one"], seen["two"]) == ("second", 1, 2)
    name = account.function(APP, Layers=[second, first])
    assert account.invoke(name, modules).payload["shared"] == "first"


def test_import_order_is_task_root_layers_runtime(account: Any) -> None:
    layer = account.layer(
        {
            "python/both.py": "VALUE = 'layer'",
            "python/in_versioned.py": "VALUE = 'python'",
            "python/lib/python3.13/site-packages/in_versioned.py": "VALUE = 'site-packages'",
            # The runtime brings a real one; a layer's comes first, as on AWS.
            "python/six.py": "VALUE = 'layer'",
        }
    )
    name = account.function(
        {"app.py": APP, "both.py": "VALUE = 'task'"}, Layers=[layer], Variables={"PYTHONPATH": "/x"}
    )
    seen = account.invoke(name, {"modules": ["both", "in_versioned", "six"]}).payload
    assert seen["both"] == "task"
    assert seen["in_versioned"] == "site-packages"
    assert seen["six"] == "layer"
    opt = Path(seen["path"][2]).parent
    assert seen["path"][1:4] == [
        f"{opt}/python/lib/python3.13/site-packages",
        f"{opt}/python",
        "/x",
    ]
    assert seen["bin"].split(":")[-1] == f"{opt}/bin"
    assert seen["lib"].split(":")[-1] == f"{opt}/lib"


def test_a_forgotten_dependency_fails(account: Any) -> None:
    name = account.function(APP)
    # LocalStack's own environment has requests, the bare runtime has not.
    seen = account.invoke(name, {"modules": ["requests"]}).payload
    assert seen["requests"] == "No module named 'requests'"


def test_an_archive_is_unpacked_once_and_shared(account: Any) -> None:
    files = {"python/unique_to_this_test.py": "VALUE = 1"}
    opts = set()
    for _ in range(2):
        name = account.function(APP, Layers=[account.layer(files)])
        opts.add(account.invoke(name, {"modules": []}).payload["path"][2])
    (python_directory,) = opts
    assert os.listdir(python_directory)[0].startswith("unique_to_this_test")
    other = account.layer({"python/other.py": "VALUE = 2"})
    name = account.function(APP, Layers=[account.layer(files), other])
    merged = Path(account.invoke(name, {"modules": []}).payload["path"][2])
    linked = merged / "unique_to_this_test.py"
    assert os.path.samefile(linked, Path(python_directory) / "unique_to_this_test.py")
