"""Quick checks of what is deployed: the whole way of a prediction, and every metric and query."""
