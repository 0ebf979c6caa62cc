"""What analyses leave and use: results, reports, baselines and sums of performance on S3."""
