"""Any table of predictions, brought into the bucket: CSV, Parquet or JSON lines.

`reading` yields rows from a file, `columns` says what the columns mean and which type each has, and
`importing` checks all rows, keeps them in a temporary folder by hour, and stores an hour at a time.
"""
