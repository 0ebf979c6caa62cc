"""The last step of a dashboard: each panel gets its place and number; only known keys stay."""

from __future__ import annotations

from typing import Any

COLUMNS = 24

# The SDK is newer than Grafana 12.1 and gives these keys to each variable and link.
_UNKNOWN_OF_VARIABLES = ("auto", "auto_count", "auto_min")
_UNKNOWN_OF_LINKS = ("placement",)
_OF_DATA_LINKS = ("title", "url", "targetBlank")


def finished(board: dict[str, Any]) -> dict[str, Any]:
    """Return a dashboard as it is stored, from what the SDK builds.

    Panels stand side by side in their order, in lines as wide as the grid; none hangs over its
    right edge. Their ids are their numbers in that order.
    """
    for panel in placed(board)["panels"]:
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        if "links" in defaults:
            links = defaults["links"]
            defaults["links"] = [{key: link[key] for key in _OF_DATA_LINKS} for link in links]
    for variable in board["templating"]["list"]:
        _drop(variable, _UNKNOWN_OF_VARIABLES)
    for link in board["links"]:
        _drop(link, _UNKNOWN_OF_LINKS)
    return board


def placed(board: dict[str, Any]) -> dict[str, Any]:
    """Return the board, whose panels got their places and numbers."""
    x = y = height = 0
    for number, panel in enumerate(board["panels"], start=1):
        place = panel["gridPos"]
        if x + place["w"] > COLUMNS:
            x, y, height = 0, y + height, 0
        place["x"], place["y"] = x, y
        x, height = x + place["w"], max(height, place["h"])
        panel["id"] = number
    return board


def _drop(thing: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        thing.pop(key, None)
