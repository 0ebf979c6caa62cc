"""The bridge's HTTP side: metrics, health, and the live page."""
