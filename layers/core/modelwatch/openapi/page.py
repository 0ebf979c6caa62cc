"""The page behind ``GET /docs``: its files lie in `swagger_ui` and are read when asked for."""

from pathlib import Path

from modelwatch.errors import NotFoundError
from modelwatch.http import HttpResponse

FOLDER = Path(__file__).parent / "swagger_ui"

ASSETS = {
    "page.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}

# nothing from another host; Swagger UI sets styles on elements and has its icons as data
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


def page() -> HttpResponse:
    """Return the page."""
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    return _text("page.html", "text/html; charset=utf-8", headers)


def asset(name: str) -> HttpResponse:
    """Return a script or style of the page.

    Raises NotFoundError when the page has no such file.
    """
    if name not in ASSETS:
        raise NotFoundError("the page has no such file")
    headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return _text(name, ASSETS[name], headers)


def _text(name: str, media_type: str, headers: dict[str, str]) -> HttpResponse:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return HttpResponse(text, headers=headers, media_type=media_type)
