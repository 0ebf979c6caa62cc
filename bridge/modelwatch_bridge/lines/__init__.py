"""What a line of a function's log says."""
