"""Interprets the lines of a function's log."""
