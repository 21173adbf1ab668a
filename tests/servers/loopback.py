"""An HTTP/1.1 server on 127.0.0.1 that remembers every request: the base of the protocol servers.

A subclass implements `handle(request, reply)`. Each connection has a thread of its own, so a handler may
block, but only through `pause()`, which `stop()` ends at once: no handler outlives its server.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

MAX_BODY = 64 * 1024 * 1024


class BodyError(Exception):
    """The request's body could not be read: bad length, bad chunk, or over MAX_BODY."""


@dataclass
class Request:
    """One request as it came. Header names are in lower case; `at` is monotonic seconds; `notes` are the server's:
    `status` of the answer, `cut` if the connection broke, and what a subclass adds."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)
    notes: dict[str, Any] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON; ValueError if it is none. NaN and Infinity are not JSON."""
        return json.loads(self.body.decode("utf-8"), parse_constant=_no_constant)

    def as_dict(self) -> dict[str, Any]:
        """For a log: the body parsed where it is JSON."""
        try:
            body: Any = self.json()
        except ValueError:
            body = self.body.decode("utf-8", "replace")
        return {
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": body,
            "notes": self.notes,
        }


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class Reply:
    """The answer to one request: exactly one of `json`, `send`, `stream` or `abort`."""

    def __init__(self, handler: BaseHTTPRequestHandler, notes: dict[str, Any]) -> None:
        self._handler = handler
        self._notes = notes

    def json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self.send(status, json.dumps(value).encode(), "application/json", headers)

    def send(
        self,
        status: int,
        body: bytes,
        content_type: str = "text/plain; charset=utf-8",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._begin(status, content_type, {**(headers or {}), "Content-Length": str(len(body))})
        if self._handler.command != "HEAD":
            self._handler.wfile.write(body)

    def stream(self, status: int, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        """Begins a chunked body: then `chunk` any number of times, then `end`."""
        self._begin(status, content_type, {**(headers or {}), "Transfer-Encoding": "chunked"})

    def chunk(self, data: bytes) -> None:
        self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self._handler.wfile.flush()

    def end(self) -> None:
        self._handler.wfile.write(b"0\r\n\r\n")

    def abort(self) -> None:
        """Resets the connection: the client sees neither a status nor a proper end."""
        self._handler.close_connection = True
        connection = self._handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def _begin(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        self._notes["status"] = status
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def _serve(self) -> None:
        owner = self.server.owner
        try:
            body = self._body()
        except BodyError as error:
            self.close_connection = True
            Reply(self, {}).send(400, str(error).encode())
            return
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qs(parts.query, keep_blank_values=True)
        request = Request(self.command, parts.path, query, headers, body)
        owner.remember(request)
        try:
            owner.handle(request, Reply(self, request.notes))
        except ConnectionError:
            request.notes["cut"] = True
            self.close_connection = True
        finally:
            owner.stir()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunked_body()
        text = self.headers.get("Content-Length", "0")
        if not text.isdigit() or int(text) > MAX_BODY:
            raise BodyError(f"bad Content-Length {text!r}")
        return self._exactly(int(text))

    def _chunked_body(self) -> bytes:
        body = bytearray()
        while True:
            try:
                size = int(self.rfile.readline(64).split(b";")[0], 16)
            except ValueError as error:
                raise BodyError("bad chunk size") from error
            if size < 0 or len(body) + size > MAX_BODY:
                raise BodyError("body too large")
            body += self._exactly(size)
            self.rfile.readline(1024)
            if size == 0:
                return bytes(body)

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) != size:
            raise BodyError("body cut short")
        return data

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: what was asked is in the server's `requests`."""


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, owner: LoopbackServer, port: int) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.owner.failures.append(repr(error))


class LoopbackServer:
    """Life: `start()` … `stop()`, or a `with` block. `requests` are in the order of arrival; whoever has read an
    answer finds its request there, with the answer's status in its notes."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._http: _Http | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.changed = threading.Condition()
        self.requests: list[Request] = []
        self.failures: list[str] = []  # exceptions inside handlers: a bug of the server itself

    def handle(self, request: Request, reply: Reply) -> None:
        raise NotImplementedError

    @property
    def port(self) -> int:
        assert self._http is not None, "not started"
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        assert self._http is None, "already started"
        self._stopping.clear()
        self._http = _Http(self, self._port)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the listener and every pause. Calling it twice is harmless."""
        if self._http is None or self._thread is None:
            return
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._http = self._thread = None

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def pause(self, seconds: float) -> None:
        """Waits, or raises ConnectionAbortedError as soon as the server stops."""
        if seconds > 0 and self._stopping.wait(seconds):
            raise ConnectionAbortedError("server stopped")

    def remember(self, request: Request) -> None:
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    def stir(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], timeout: float = 10.0) -> bool:
        """Waits until `condition()` holds, testing it whenever a request has come or was answered."""
        with self.changed:
            return self.changed.wait_for(condition, timeout)


def serve_as_program(server: LoopbackServer, log: str | None = None) -> None:
    """Prints `{"url": …, "port": …}` as one line, serves until SIGTERM or SIGINT, then writes the log."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with server:
        print(json.dumps({"url": server.url, "port": server.port}), flush=True)
        ended.wait()
    if log is not None:
        with open(log, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(request.as_dict()) + "\n" for request in server.requests)
