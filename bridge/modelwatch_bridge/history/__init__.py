"""The last hour and the newest analyses, kept for the page."""
