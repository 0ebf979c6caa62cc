"""Which revision a deployment says it is of."""

import subprocess

from modelwatch_cli.deployment.building.revision import git_revision
from modelwatch_cli.project import Project


def git(root, *command):
    subprocess.run(
        ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@example.com", *command],
        check=True,
        capture_output=True,
    )


def commit(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    git(root, "add", ".")
    git(root, "commit", "-qm", "x")


def test_only_functions_and_layers_make_another_revision(tmp_path):
    assert git_revision(Project(tmp_path)) == ""
    git(tmp_path, "init", "-q")
    commit(tmp_path, "layers/core/a.py", "1")
    first = git_revision(Project(tmp_path))
    assert len(first) == 12
    commit(tmp_path, "docs/page.md", "1")
    assert git_revision(Project(tmp_path)) == first
    (tmp_path / "layers/core/a.py").write_text("2")
    assert git_revision(Project(tmp_path)) == f"{first}+"
    commit(tmp_path, "functions/app.py", "1")
    assert git_revision(Project(tmp_path)) not in (first, f"{first}+")
