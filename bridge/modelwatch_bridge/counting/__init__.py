"""The totals: the sums of the lines, each event once, and their form for Prometheus."""
