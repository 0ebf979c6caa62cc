"""Deciding which versions serve, and in which form."""
