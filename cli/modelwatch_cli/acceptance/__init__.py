"""`modelwatch acceptance`: a stage of its own, what it measures, and its end."""
