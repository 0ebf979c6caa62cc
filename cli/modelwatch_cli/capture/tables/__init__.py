"""Imports a table of predictions into the bucket: CSV, Parquet or JSON lines.

`reading` yields rows from a file. `columns` has the meaning and the type of each column.
`importing` checks all rows, keeps them in a temporary folder by hour, and stores each hour.
"""
