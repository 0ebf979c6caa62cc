"""Monitors as code: one file for each model, applied as one version."""
