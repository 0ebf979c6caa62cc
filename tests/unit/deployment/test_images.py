"""Images, and the two kinds of repository."""

import dataclasses
import json
from pathlib import Path

import pytest

from modelwatch_cli.deployment.building.environments import base_environment
from modelwatch_cli.deployment.building.images import (
    FolderRepository,
    Image,
    RegistryRepository,
    image_repository,
    inspect_command,
    publish_commands,
)
from modelwatch_cli.deployment.cloudformation.errors import BuildError
from modelwatch_cli.project import Project

REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/modelwatch"


@pytest.fixture
def project(tmp_path):
    interpreter = tmp_path / ".envs" / "analysis" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.touch()
    return Project(tmp_path)


@pytest.fixture
def image(tmp_path, project):
    task = tmp_path / "build" / "task"
    task.mkdir(parents=True)
    (task / "app.py").write_text("app = 1")
    return Image("analyze", "abc", task, base_environment(project, "analysis"))


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        (".modelwatch/images", FolderRepository),
        ("/var/lib/images", FolderRepository),
        ("../images", FolderRepository),
        ("images", FolderRepository),
        (REGISTRY, RegistryRepository),
        ("localhost:5000/modelwatch", RegistryRepository),
    ],
)
def test_the_setting_alone_says_what_the_repository_is(setting, kind, project):
    assert type(image_repository(setting, project, "x86_64")) is kind


def test_a_folder_gets_the_code_and_the_name_of_an_interpreter(project, image):
    repository = image_repository(".modelwatch/images", project, "x86_64")
    assert repository.uri(image) == "analyze:abc"
    assert repository.publish(image)
    written = project.root / ".modelwatch" / "images" / "analyze" / "abc"
    assert (written / "task" / "app.py").read_text() == "app = 1"
    assert json.loads((written / "image.json").read_text()) == {
        "python": str(project.interpreter("analysis"))
    }
    assert not repository.publish(image)
    assert [path.name for path in written.parent.iterdir()] == ["abc"]


def test_an_image_of_a_project_that_moved_is_written_anew(image, tmp_path):
    folder = tmp_path / "images"
    FolderRepository(folder).publish(image)
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / ".envs").rename(moved / ".envs")
    image = dataclasses.replace(image, environment=base_environment(Project(moved), "analysis"))
    assert FolderRepository(folder).publish(image)
    written = json.loads((folder / "analyze" / "abc" / "image.json").read_text())
    assert written["python"].startswith(str(moved))


def test_an_environment_that_was_not_made_is_an_error_that_says_how(tmp_path, image):
    image.environment.python.unlink()
    with pytest.raises(BuildError, match="analysis/bin/python is missing: run `make setup`"):
        FolderRepository(tmp_path / "images").publish(image)


def test_a_registry_gets_one_repository_and_a_tag_for_each_image(project, image):
    repository = RegistryRepository(REGISTRY + "/", project, "arm64")
    assert repository.uri(image) == f"{REGISTRY}:analyze-abc"


def test_the_commands_for_a_registry():
    assert inspect_command("r:t") == ["docker", "manifest", "inspect", "r:t"]
    build, push = publish_commands("r:t", Path("Dockerfile"), Path("context"), "arm64")
    assert build == [
        "docker",
        "build",
        "--platform",
        "linux/arm64",
        "--provenance=false",
        "--file",
        "Dockerfile",
        "--tag",
        "r:t",
        "context",
    ]
    assert push == ["docker", "push", "r:t"]
