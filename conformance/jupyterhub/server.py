"""Stands in for jupyterhub-singleuser: there at once, and whatever is asked it answers the same.

What it does besides is in the server's or the owner's name: `slow` answers late, `broken` ends at once,
`stubborn` takes its time to end.
"""

import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

LATE = 20
"""Seconds; longer than a hub waits before it answers that a start or stop goes on."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"version": "1"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    name = f"{os.environ['JUPYTERHUB_USER']} {os.environ.get('JUPYTERHUB_SERVER_NAME', '')}"
    if "broken" in name:
        sys.exit("broken by its name")
    stop = threading.Event()
    late = threading.Event()

    def end(*_):
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    if "slow" in name and stop.wait(LATE):
        return
    url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    server = ThreadingHTTPServer((url.hostname, url.port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop.wait()
    if "stubborn" in name:
        late.wait(LATE)


main()
