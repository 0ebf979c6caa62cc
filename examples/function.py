"""A price as a function gives it: `python function.py`. The decorator captures it."""

import os

from modelwatch import Client
from modelwatch.sdk.functions import logs_calls

client = Client(capture=os.environ["CAPTURE_URL"], model_name="price", model_version="7")


@logs_calls(client, id="offer")
def price(offer: str, area: float, rooms: int = 1) -> float:  # noqa: ARG001 - the id
    """Return the price of a flat."""
    return 2000 * area + 10_000 * rooms


if __name__ == "__main__":
    for number in range(100):
        price(f"offer {number}", 40.0 + number, rooms=1 + number // 30)
    client.close()
    print(client.log_counts().predictions)  # noqa: T201 - an example
