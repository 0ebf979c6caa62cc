"""The browser of these tests."""

from browser import chromium

__all__ = ["chromium"]
