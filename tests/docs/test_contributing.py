"""CONTRIBUTING leads to files that exist, and CI is the same script everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_file_that_it_names_exists() -> None:
    named = re.findall(r"`([.\w*-]+/[.\w/*-]*)`", CONTRIBUTING)
    assert len(named) > 30
    for path in named:
        # NAME stands for what a contributor adds, and commands make what is in build/
        assert "NAME" in path or path.startswith("build/") or list(ROOT.glob(path)), (
            f"CONTRIBUTING.md names {path}"
        )


def test_what_it_says_of_attributes_is_so() -> None:
    pairs = re.findall(r"`(\w+)` in `([\w/.-]+\.py)`", CONTRIBUTING)
    assert len(pairs) >= 3
    for name, path in pairs:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text()), f"{path} has no {name}"


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"`make ([a-z][a-z-]*)", page.read_text()):
            assert target in targets, f"{page.name} names `make {target}`"


def test_the_workflow_runs_the_script_of_ci() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_hooks_run_programs_of_the_project_s_own_environment() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    for repository in hooks["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["entry"].startswith(".envs/dev/bin/")
