"""Who calls: what a request shows of its sender."""
