"""Registering any fitted model so that it can be served and watched.

Beside the core, not in it: no function carries what only training needs.
"""
