"""`modelwatch backfill`: hourly profiles and results of a past that no run saw.

`hours` makes the profiles, here or with Spark. `windows` evaluates what has no result.
"""
