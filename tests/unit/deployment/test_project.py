"""Where sources and results are, in a checkout and from a wheel."""

import sys
from pathlib import Path

import pytest

from modelwatch_cli.deployment.building.environments import Environment, base_environment
from modelwatch_cli.deployment.cloudformation.errors import BuildError
from modelwatch_cli.project import Project

CHECKOUT = Project()


def test_what_is_built_from_a_wheel_goes_to_the_state_folder(tmp_path):
    project = Project(CHECKOUT.root, tmp_path)
    assert project.build == tmp_path / "build"
    assert project.base == CHECKOUT.base
    assert (project.core / "__init__.py").exists()
    for name in ("localstack", "runtime", "analysis", "pyfunc"):
        environment = base_environment(project, name)
        assert environment.lock.is_file()
        assert environment.python.parents[2] == tmp_path / "envs"
        assert environment.goal == ""


def test_another_lock_or_plugin_is_another_environment(tmp_path):
    lock = tmp_path / "localstack" / "requirements.txt"
    lock.parent.mkdir()
    seen = set()
    project = Project(tmp_path, tmp_path / "state")
    for content in ("a==1", "a==2"):
        lock.write_text(content)
        seen.add(project.interpreter("localstack"))
    project.plugin.mkdir()
    (project.plugin / "plugin.py").write_text("x = 1")
    seen.add(project.interpreter("localstack"))
    assert len(seen) == 3


def test_an_environment_is_whole_or_absent(tmp_path):
    lock = tmp_path / "requirements.txt"
    lock.write_text("modelwatch-has-no-such-dependency==1.0 --hash=sha256:" + "0" * 64)
    python = tmp_path / "envs" / "x-1" / "bin" / "python"
    with pytest.raises(BuildError, match="modelwatch-has-no-such-dependency"):
        Environment("x", lock, python).make()
    assert [path.name for path in (tmp_path / "envs").iterdir()] == [".x-1.lock"]
    # what a killed process left is no obstacle
    lock.write_text("")
    (tmp_path / "envs" / ".x-1" / "bin").mkdir(parents=True)
    (tmp_path / "envs" / ".x-1" / "bin" / "half").touch()
    Environment("x", lock, python).make()
    assert python.exists()
    assert not (python.parent / "half").exists()
    made = python.stat().st_mtime_ns
    Environment("x", lock, python).make()
    assert python.stat().st_mtime_ns == made
    assert sorted(path.name for path in (tmp_path / "envs").iterdir()) == [".x-1.lock", "x-1"]
    assert Path(sys.executable).resolve() == python.resolve()
