"""Synthetic traffic for the predict function: rows like the reference, or drifting away from it."""
