"""The page of `GET /docs` in a real browser, served as `chalice local` and API Gateway serve it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from apps import served
from in_memory import ConstantModel
from predict_app import predict_app, service_with

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Page:
    return chromium.new_page()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with predict_app(service_with(ConstantModel(prediction=1.5))) as app, served(app) as url:
        yield url


@pytest.fixture(scope="module")
def stage_address(address: str) -> Iterator[str]:
    """Serve the same below a stage's name, as API Gateway does; return that address."""

    class Gateway(BaseHTTPRequestHandler):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.removeprefix("/_aws/execute-api/a1/api")
            known = path != self.path
            response = httpx.request(
                self.command,
                f"{address}{path}" if known else f"{address}/no-such-stage",
                content=body,
                headers={"Content-Type": self.headers.get("Content-Type", "application/json")},
                timeout=60,
            )
            self.send_response(response.status_code)
            self.send_header("Content-Type", response.headers["Content-Type"])
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = do_POST = forward  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/_aws/execute-api/a1/api"
    server.shutdown()


@pytest.mark.parametrize("where", ["address", "stage_address"])
def test_a_prediction_can_be_tried_out(page, where, request):
    url = request.getfixturevalue(where)
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{url}/docs")
    operation = page.locator("#operations-predictions-predict")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    assert '"alcohol": 1' in operation.locator("textarea").input_value()
    operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table")
    expect(live.locator(".response-col_status").nth(1)).to_have_text(re.compile("200"))
    expect(live).to_contain_text('"prediction": 1.5')
    assert f"{url}/predict" in asked
    outside = [each for each in asked if not each.startswith((f"{url}/", "data:", "blob:"))]
    assert outside == []
    assert errors == []
