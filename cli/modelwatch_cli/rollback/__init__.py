"""Rollback on drift: an alias moves back when a new version drifts, and never to and fro."""
