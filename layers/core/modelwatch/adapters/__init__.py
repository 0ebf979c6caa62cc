"""The roles of `modelwatch.ports` played by real technology: one heavy library a module."""
