"""The last hour and the newest analyses, for the page."""
