"""The routes by which an app describes itself: the same in every app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chalice.app import Chalice, Response

from modelwatch.http import HttpResponse, handle_request
from modelwatch.openapi import page
from modelwatch.ports.metrics import MetricSink
from modelwatch.settings.access import AccessSettings


def add_docs(
    app: Chalice, metrics: Callable[[], MetricSink], document: Callable[[], dict[str, Any]]
) -> None:
    """Give ``app`` the routes ``/openapi.json`` and ``/docs``.

    Parameters
    ----------
    metrics
        Gives where the requests' metrics go.
    document
        Makes the OpenAPI document; called at each request for it.
    """

    @app.route("/openapi.json", methods=["GET"])
    def openapi() -> Response:
        """Describe all of this."""
        from modelwatch.openapi.access import secured  # no cold start needs it

        return handle_request(
            app, metrics(), lambda: HttpResponse(secured(document(), AccessSettings()))
        )

    @app.route("/docs", methods=["GET"])
    def docs() -> Response:
        """Show the description as a page, to try things out."""
        return handle_request(app, metrics(), page.page)

    @app.route("/docs/{asset}", methods=["GET"])
    def docs_asset(asset: str) -> Response:
        """Give a file of that page."""
        return handle_request(app, metrics(), lambda: page.asset(asset))
