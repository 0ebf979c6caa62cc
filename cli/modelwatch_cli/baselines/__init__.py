"""Named baselines: what windows are compared with, and the constraints that they are held to."""
