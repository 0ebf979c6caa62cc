"""The browser that looks at pages as their readers do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

_QUIET = ("background-networking", "component-update", "sync")
"""What a browser does by itself: so a page that asks no other server is seen as such."""

# a slow and busy machine draws, too
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start the browser; without one, tests fail in CI and skip elsewhere, and say so."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        reason = "chromium is not installed: no one has seen the page"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--no-first-run"]
            + [f"--disable-{what}" for what in _QUIET],
        )
        yield browser
        browser.close()
