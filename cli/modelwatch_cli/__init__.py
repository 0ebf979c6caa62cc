"""The operator's hands: the `modelwatch` command."""
