"""Episodes of drift: `modelwatch episodes`."""
