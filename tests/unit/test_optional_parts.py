"""SageMaker's forms and the LocalStack plugin can be left out: the rest works without them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelwatch.adapters.erasure import reports as s3_report_erasure
from modelwatch.domain.model_monitor import STATISTICS, VIOLATIONS

ROOT = Path(__file__).parents[2]
LEFT_OUT = (
    "cli/modelwatch_cli/capture/sagemaker",
    "layers/core/modelwatch/domain/model_monitor",
    "localstack",
)
IMPORT_ALL = """
import importlib, pkgutil
import modelwatch.adapters.erasure.reports
for name in ("modelwatch.domain", "modelwatch.services", "modelwatch_cli.capture",
             "modelwatch_cli.baselines", "modelwatch_cli.monitoring"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
import modelwatch
print(modelwatch.__file__)
"""


@pytest.fixture(scope="module")
def rest(tmp_path_factory):
    """A copy of the sources without the optional parts."""
    folder = tmp_path_factory.mktemp("rest")
    for name in ("layers/core", "cli", "bridge", "training"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in LEFT_OUT:
        assert (ROOT / name).is_dir(), name
        shutil.rmtree(folder / name, ignore_errors=True)
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(
        str(folder / name) for name in ("layers/core", "cli", "bridge", "training")
    )
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "200"},
        text=True,
        capture_output=True,
        check=False,
    )


def test_the_rest_is_imported_without_them(rest):
    done = python(rest, "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(rest))


def test_the_command_starts_and_lacks_their_commands(rest):
    for arguments, missing in (([], "model-monitor"), (["captures"], "export")):
        there = python(ROOT, "-m", "modelwatch_cli.main", *arguments, "--help")
        without = python(rest, "-m", "modelwatch_cli.main", *arguments, "--help")
        assert without.returncode == 0, without.stderr
        lines = [line.split() for line in there.stdout.splitlines()]
        left = [line.split() for line in without.stdout.splitlines()]
        assert any(line[:1] == [missing] for line in lines)
        assert not any(line[:1] == [missing] for line in left)


def test_an_import_of_theirs_says_that_the_part_is_missing(rest):
    done = python(
        rest, "-m", "modelwatch_cli.main", "captures", "import", "x", "--format", "sagemaker"
    )
    assert done.returncode == 1
    assert "SageMaker's form is not part of this installation" in done.stdout + done.stderr


def test_an_erasure_knows_their_files_without_them():
    assert {STATISTICS, VIOLATIONS} < s3_report_erasure._SHOWING
