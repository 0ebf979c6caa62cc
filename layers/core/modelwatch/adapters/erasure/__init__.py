"""Removing the rows of chosen events from captures and results."""
