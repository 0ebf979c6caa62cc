"""`chalice local`'s own server, with responses over a real connection."""

import socket
import threading

from chalice import Chalice
from chalice.config import Config
from chalice.local import LocalDevServer

from modelwatch.adapters.aws.chalice_local import send_in_one_segment


def test_headers_and_body_leave_together():
    send_in_one_segment()
    app = Chalice(app_name="one")

    @app.route("/")
    def index():
        return {"answer": 42}

    server = LocalDevServer(app, Config(), "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.create_connection(server.server.server_address) as client:
        for _ in range(3):  # on one connection
            client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            received = client.recv(65536)
            assert received.startswith(b"HTTP/1.1 200")
            assert received.endswith(b'{"answer":42}')
    server.shutdown()
