"""The verbs: predict, capture and analyze, over the roles in `modelwatch.ports`."""
