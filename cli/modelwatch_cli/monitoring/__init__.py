"""Commands for results: analyses on demand, results and reports."""
