"""Every relative link of every page leads to a file that exists, and to a heading of it.

`make docs` checks the links of the site; this also reads the pages beside it (README, CONTRIBUTING,
…), and the names of pages in code, messages, rules and dashboards.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]*)\)")
NAMED = re.compile(r"(?<![\w/.-])docs/[\w/.-]+\.(?:md|png)")
#: A page of a repository that the test itself makes.
NOT_OURS = {"tests/unit/deployment/test_revision.py"}


def tracked(*patterns: str) -> list[str]:
    # files that are staged or not yet added count, too: a page is checked before it is committed
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in set(names.splitlines()) if (ROOT / name).is_file())


PAGES = tracked("*.md")


def prose(text: str) -> str:
    """Return `text` without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} (.*)$", prose(page.read_text()), re.M):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
        number = found.get(slug, 0)
        found[slug] = number + 1
        if number:
            found[f"{slug}-{number}"] = 1
    return set(found)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in LINK.findall(prose(page.read_text())):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name}: {link} is no file"
        if anchor:
            assert anchor in anchors(target), f"{name}: {path or name} has no heading #{anchor}"


def test_pages_that_code_and_declarations_name_exist() -> None:
    named = 0
    for name in tracked("*.py", "*.md", "*.yml", "*.yaml", "*.json", "*.toml", "Makefile", ".env*"):
        if name in NOT_OURS or name.endswith("package-lock.json"):
            continue
        for page in NAMED.findall((ROOT / name).read_text()):
            named += 1
            assert (ROOT / page).is_file(), f"{name} names {page}, which does not exist"
    assert named > 50


def test_tests_that_pages_name_exist() -> None:
    named = 0
    for name in PAGES:
        for file, test in re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / name).read_text()):
            named += 1
            source = ROOT / "tests" / file
            assert source.is_file(), f"{name} names {file}, which does not exist"
            assert f"def {test}(" in source.read_text(), f"{name}: {file} has no {test}"
    assert named > 50
