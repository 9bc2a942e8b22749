"""A service that asks another one, as Python programs do it: http.server with urllib or requests.

PORT, UPSTREAM (a URL) and CLIENT (urllib or requests) come from the environment. COPY names the headers
that its author copies from what comes in to what goes out; nothing here traces.
"""

import os
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UPSTREAM = os.environ["UPSTREAM"]
COPY = [name for name in os.environ.get("COPY", "").split(",") if name]

if os.environ["CLIENT"] == "requests":
    import requests

    session = requests.Session()

    def ask(url, headers):
        return session.get(url, headers=headers, timeout=20).content

else:

    def ask(url, headers):
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.read()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        headers = {name: self.headers[name] for name in COPY if name in self.headers}
        body = ask(UPSTREAM + self.path, headers)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print("copier listens on", server.server_port, flush=True)
server.serve_forever()
