"""The metrics bridge: reads the functions' logs, and serves Prometheus metrics.

The path of one event through the packages::

    sources/            lines/            counting/             serving/
    CloudWatch Logs --. (a line ->        ledger (one      .--> collector's page --> Prometheus
    Firehose on S3 ---+
    files of EMF -----+- readings) -----> transaction) ----+
    EMF over TCP -----+                   -> totals        '--> history/ --> site --> people
    CloudWatch metric '                   (the numbers)

`lines` imports none of the others, `counting` imports `lines`; `sources` and `history` import
these two, and `serving` imports `history`. `service.py` is the loop, `main.py` the process;
`sources/follower.py` (of logs) and `sources/deliveries.py` (of Firehose) explain why no event is
counted twice and none is missed.
"""
