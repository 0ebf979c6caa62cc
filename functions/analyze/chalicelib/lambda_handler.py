"""Lambda's entry point of the API: the app, and the analyses that it asks this function to run."""

from typing import Any

from app import app
from chalicelib import wiring


def handler(event: dict[str, Any], context: Any) -> Any:
    """Run an asked analysis, or respond to a request."""
    if "asked" in event:
        return wiring.asking().run(event["asked"], context.get_remaining_time_in_millis() / 1000)
    return app(event, context)
