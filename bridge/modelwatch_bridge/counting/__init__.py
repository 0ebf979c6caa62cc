"""The numbers: what the lines add up to, each event once, and how Prometheus sees them."""
