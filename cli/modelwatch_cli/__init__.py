"""The `modelwatch` command, for operators."""
