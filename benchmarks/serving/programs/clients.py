"""Clients with a kept connection each: ``clients.py PORT PATH COUNT SECONDS``, the body on stdin.

Prints requests a second, after a second that does not count.
"""

import http.client
import sys
import threading
import time

port, path, count, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
body = sys.stdin.read()
counts = [0] * count
began = time.perf_counter() + 1


def run(client: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while (now := time.perf_counter()) < began + seconds:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        assert response.status == 200, content
        counts[client] += now >= began


threads = [threading.Thread(target=run, args=(client,)) for client in range(count)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(counts) / seconds)
