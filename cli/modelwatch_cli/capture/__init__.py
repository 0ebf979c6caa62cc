"""Captures: ground truth that joins them, and what could not become one."""
