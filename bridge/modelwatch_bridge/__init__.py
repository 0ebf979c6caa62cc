"""The metrics bridge: what the functions log goes in, Prometheus metrics come out.

One event's way through the modules::

    CloudWatch Logs --- cloudwatch.py, follower.py --.      .-- collector.py --.  (for Prometheus)
    files of EMF lines --------------- files.py -----+      |                  +-- server.py (HTTP)
    EMF lines over TCP --------------- tcp.py -------+      |-- history.py ----'
    CloudWatch's metric -------------- throttles.py -'      |   hour.py, analyses.py, overview.py,
                                               |            |   reports.py, site.py, page/
                                           ledger.py --- totals.py              (for people)
                                       (one transaction)  (the numbers)
                                               |
                                       interpretation.py -- emf.py, runtime_lines.py
                                       (a line -> readings)

`follower.py` tells why nothing is counted twice and nothing is left out.
"""
