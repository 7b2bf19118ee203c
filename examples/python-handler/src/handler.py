"""A handler and a task of Nimbus in Python: a web server that takes events, checks who sent them, and answers them.

    NIMBUS_HANDLERS_HTTP_SECRET=whsec_... python3 handler.py [port]

It needs the standard library alone. The signature is that of Standard Webhooks: HMAC-SHA256 of
`<webhook-id>.<webhook-timestamp>.<body>` with the secret, in base64.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

# Beyond, a call may be one that somebody has recorded and sends again.
TOLERANCE_SEC = 5 * 60
# The largest body that is read.
MAX_BODY_BYTES = 16 * 1024 * 1024
# The results that are remembered, for calls that are repeated. A real service keeps them in its database.
REMEMBERED = 10_000


class Refused(Exception):
    """An answer that is final: a status of 4xx, and a message for the client."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def verify(secret, headers, body):
    """Raises unless the headers have a signature of this body that was made with the secret, a short time ago."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    sent_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isascii() or not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_SEC:
        raise Refused(401, "the time of the signature is wrong")
    signed = f"{sent_id}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    # While a secret is replaced, there is one signature by each.
    signatures = headers.get("webhook-signature", "").split(" ")
    if not any(hmac.compare_digest(expected, signature.encode()) for signature in signatures):
        raise Refused(401, "the signature is wrong")


def subject_of(event):
    """Who asks. With locks Nimbus says whose token it has verified; without them a client's name is all that there is."""
    caller = event.get("caller")
    return event["client"] if caller is None else caller["subject"]


def handle(event):
    """What the application does."""
    data = event["data"]
    count = data.get("count") if isinstance(data, dict) else None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise Refused(400, "count must be a whole number of 1 or more")
    if count > 100:
        raise Refused(409, f"there are not {count} of them")
    return {"receipt": f"{count} for {subject_of(event)}, order {event['id']}"}


def tell(event):
    """The parts of a task: words, each as soon as it is there. The parts that are published are left out."""
    data = event["data"]
    hero = data.get("hero") if isinstance(data, dict) else None
    if not isinstance(hero, str) or hero == "":
        raise Refused(400, "hero must be a name")
    words = [f"{word} " for word in f"once upon a time {hero} went out to sea".split(" ")]
    return slow(words[event["published"] :])


def slow(words):
    """As a model is, or a search."""
    for word in words:
        time.sleep(0.05)
        yield word


class Results:
    """The results of the last events, so that a call that is repeated does nothing twice."""

    def __init__(self):
        self.lock = Lock()
        self.by_id = OrderedDict()

    def of(self, webhook_id, event):
        # One at a time: a repeat that comes while its event is handled waits for it.
        with self.lock:
            if webhook_id not in self.by_id:
                self.by_id[webhook_id] = handle(event)
                if len(self.by_id) > REMEMBERED:
                    self.by_id.popitem(last=False)
            return self.by_id[webhook_id]


def make_server(secret, port):
    results = Results()

    class Handler(BaseHTTPRequestHandler):
        # Keeps the connection for the next event.
        protocol_version = "HTTP/1.1"
        # What is silent for so long is closed.
        timeout = 75

        def do_POST(self):
            try:
                length = self.headers.get("content-length", "")
                if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY_BYTES:
                    self.close_connection = True
                    raise Refused(413, "the event has no length, or is too large")
                body = self.rfile.read(int(length))
                verify(secret, self.headers, body)
                event = json.loads(body)
                if self.path == "/tell":
                    self.answer_parts(tell(event))
                else:
                    self.answer(200, results.of(self.headers["webhook-id"], event))
            except Refused as refused:
                self.answer(refused.status, {"message": str(refused)})
            except (BrokenPipeError, ConnectionResetError):
                # Nobody waits any more: the task was cancelled, or another process calls for it.
                self.close_connection = True

        def answer(self, status, value):
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def answer_parts(self, parts):
            """A line for each part, in a chunk of its own. The empty chunk says that nothing was cut off."""
            self.send_response(200)
            self.send_header("content-type", "application/x-ndjson")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for part in parts:
                self.write_chunk(json.dumps(part).encode() + b"\n")
            self.write_chunk(b"")

        def write_chunk(self, data):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        def log_message(self, format, *args):
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    server = make_server(os.environ["NIMBUS_HANDLERS_HTTP_SECRET"], int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
    print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
