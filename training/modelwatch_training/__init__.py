"""Registering any fitted model so that it can be served and watched.

It is not part of the core: no function contains what only training needs.
"""
