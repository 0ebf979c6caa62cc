"""Web applications behind real servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stand_in import serving


@contextmanager
def asgi_served(app: Any) -> Iterator[str]:
    """Serve an ASGI application with uvicorn; give its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "uvicorn ended"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def wsgi_served(app: Any) -> Iterator[str]:
    """Serve a WSGI application with werkzeug's server; give its address."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    # the end waits for what follows a response, too
    server.daemon_threads = False  # type: ignore[attr-defined]
    with serving(server) as address:
        yield address
