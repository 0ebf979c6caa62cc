"""The metrics bridge: what the functions log goes in, Prometheus metrics come out.

One event's way through the modules::

    CloudWatch Logs --- cloudwatch.py --.                        .-- collector.py -- server.py
                                        +-- follower.py          |   (what is shown)   (HTTP)
    files of EMF lines --- files.py ----'       |                |
                                            ledger.py ----- totals.py
                                        (one transaction)  (the numbers)
                                                |
                                        interpretation.py -- emf.py, runtime_lines.py
                                        (a line -> readings)

`follower.py` tells why nothing is counted twice and nothing is left out.
"""
