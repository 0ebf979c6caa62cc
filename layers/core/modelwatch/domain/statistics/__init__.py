"""Statistics of drift: distances between two distributions, and what chance makes of them.

`Distribution` is a column on one side, and `METHODS` are the distances by Evidently's names,
each with how likely such a distance is when nothing changed. Pure functions of counts and sketches:
no row is read, and numpy is all they import.
"""
