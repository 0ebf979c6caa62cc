"""Builds layers, packages and images; each has a cache by the digest of its sources.

What did not change is not built, and not published again.
"""
