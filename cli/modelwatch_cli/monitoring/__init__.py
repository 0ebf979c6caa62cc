"""Looking at what was monitored: analyses on demand, results and reports."""
