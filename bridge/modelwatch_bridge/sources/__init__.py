"""Where lines come from: CloudWatch Logs, files, TCP; and CloudWatch's own metrics."""
