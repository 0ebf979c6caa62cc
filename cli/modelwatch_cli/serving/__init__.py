"""Commands that set which versions serve, and in which form."""
