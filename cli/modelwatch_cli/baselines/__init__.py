"""Named baselines: references for windows, and the constraints that windows must keep."""
