"""What the bridge serves over HTTP: metrics, health, and the page for people."""
