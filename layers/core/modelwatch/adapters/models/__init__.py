"""Model versions: their artifacts, loading and running them, and their training data."""
