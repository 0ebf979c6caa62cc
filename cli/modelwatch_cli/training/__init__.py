"""The commands that register: the example model, and versions of plain MLflow."""
