"""Quick checks of a deployment: every step of a prediction, and every metric and query."""
