"""Captured records: import and export, labels, erasure, and dead letters."""
