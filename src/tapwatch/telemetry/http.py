"""The metrics server: /metrics, /-/healthy, /-/ready and a status page.

It shares a process with the capture, so what a client can cost is bounded: connections at once,
bytes of a request, and the time from accept to the last byte. One request a connection; a client
that is silent, slow or greedy holds only its own thread, and that not for long.
"""

import contextlib
import gzip
import io
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted

from tapwatch.config import TelemetryConfig
from tapwatch.errors import ConfigError
from tapwatch.tables import Tally
from tapwatch.telemetry.collector import TallyCollector, registry_of
from tapwatch.telemetry.status_page import page

_MAX_REQUEST_BYTES: Final = 16_384
_WANT: Final = "ADDRESS:PORT, an IPv6 address in brackets"


class RequestTooLarge(Exception):
    """A client sent more than a request line and headers need."""


class _BoundedReader(io.RawIOBase):
    """Reads a socket up to a deadline and a number of bytes, both for the whole request.

    A timeout for each read alone would let a client keep its thread forever, a byte at a time.
    """

    def __init__(self, connection: socket.socket, deadline_s: float) -> None:
        self._connection = connection
        self._deadline_s = deadline_s
        self._room = _MAX_REQUEST_BYTES

    def readable(self) -> bool:
        """True: that is all it can do."""
        return True

    def readinto(self, buffer: Any) -> int:
        """One read from the socket."""
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        if self._room <= 0:
            raise RequestTooLarge
        self._connection.settimeout(left_s)
        n = self._connection.recv_into(memoryview(buffer)[: self._room])
        self._room -= n
        return n


class _Handler(BaseHTTPRequestHandler):
    server: "MetricsServer"
    protocol_version = "HTTP/1.1"
    server_version = "tapwatch"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def setup(self) -> None:
        self._deadline_s = time.monotonic() + self.server.request_timeout_s
        super().setup()
        self.rfile = io.BufferedReader(_BoundedReader(self.connection, self._deadline_s))

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client has gone, or its time is over
            try:
                self.handle_one_request()
            except RequestTooLarge:
                self.request_version, self.requestline, self.command = "HTTP/1.1", "", "GET"
                self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        answer = _PAGES.get(path)
        if answer is None:
            self._send(HTTPStatus.NOT_FOUND, b"404 not found\n")
        else:
            answer(self)

    do_HEAD = do_GET  # `_send` leaves the body out

    def _refuse(self) -> None:
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, b"405 want GET or HEAD\n", allow="GET, HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse

    def _metrics(self) -> None:
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        body = encode(self.server.registry)
        if gzip_accepted(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, compresslevel=1)
            self._send(HTTPStatus.OK, body, content_type, content_encoding="gzip")
        else:
            self._send(HTTPStatus.OK, body, content_type)

    def _healthy(self) -> None:
        self._send(HTTPStatus.OK, b"healthy\n")

    def _ready(self) -> None:
        if self.server.is_ready:
            self._send(HTTPStatus.OK, b"ready\n")
        else:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, b"not ready\n")

    def _status(self) -> None:
        up_s = time.monotonic() - self.server.started_s
        html = page(self.server.collector.snapshot, up_s, is_ready=self.server.is_ready)
        self._send(
            HTTPStatus.OK,
            html.encode("utf-8", "backslashreplace"),
            "text/html; charset=utf-8",
            # Nothing on the page may run or load anything, whatever got into it.
            content_security_policy="default-src 'none'; style-src 'unsafe-inline'",
        )

    def _send(
        self,
        status: HTTPStatus,
        body: bytes,
        content_type: str = "text/plain; charset=utf-8",
        **headers: str,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-").title(), value)
        # What is left of the request's time is also what the client has to read the answer.
        self.connection.settimeout(max(self._deadline_s - time.monotonic(), 0.001))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a scrape every few seconds is not news, and a client writes the text."""


_PAGES: Final[dict[str, Callable[[_Handler], None]]] = {
    "/": _Handler._status,
    "/metrics": _Handler._metrics,
    "/-/healthy": _Handler._healthy,
    "/-/ready": _Handler._ready,
}


class MetricsServer(ThreadingHTTPServer):
    """Serves one collector until it is closed; made by `serve`."""

    daemon_threads = True
    block_on_close = False  # a slow client cannot hold up the end of the process
    request_queue_size = 64

    def __init__(
        self,
        family: socket.AddressFamily,
        address: Any,
        collector: TallyCollector,
        config: TelemetryConfig,
    ) -> None:
        self.address_family = family
        self.collector = collector
        self.registry: CollectorRegistry = registry_of(collector)
        self.request_timeout_s = config.request_timeout_s
        self.started_s = time.monotonic()
        self.is_ready = False
        self._places = threading.BoundedSemaphore(config.max_connections)
        self._refused = 0
        super().__init__(address, _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), name="metrics", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, as a browser wants it."""
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if self.address_family == socket.AF_INET6 else str(host)
        return f"http://{shown}:{port}"

    def tallies(self) -> list[Tally]:
        """Connections closed unanswered because too many were open."""
        return [
            Tally(
                "telemetry_refused_connections_total",
                "counter",
                "Connections closed because too many were open.",
                (),
                {(): self._refused},
            )
        ]

    def close(self) -> None:
        """Stop listening; requests that are being answered end with their connections."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def server_bind(self) -> None:
        """Bind, without the reverse lookup of the standard library, which may hang."""
        socketserver.TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; where that fails (no descriptors left) do not spin."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.05)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread, or close it where too many are open."""
        if not self._places.acquire(blocking=False):
            self._refused += 1
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection and free its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what a client breaks is its own connection."""


def serve(
    listen: str,
    collector: TallyCollector,
    config: TelemetryConfig | None = None,
    *,
    key: str = "--listen",
) -> MetricsServer:
    """Start serving in threads of its own.

    Parameters
    ----------
    listen : str
        ADDRESS:PORT; port 0 takes any free one, which `url` tells.
    collector : TallyCollector
    config : TelemetryConfig or None
        Its `listen` is not used; None means the defaults.
    key : str
        What the operator calls this value, for the message.

    Returns
    -------
    MetricsServer
        Not ready until `is_ready` is set; a context manager that closes it.

    Raises
    ------
    ConfigError
        The address is malformed, not ours, or in use.
    """
    host, port = _split(listen, key)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        server = MetricsServer(family, address, collector, config or TelemetryConfig())
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            key, listen, "an address of this machine and a free port", reason
        ) from error
    collector.add(server.tallies)
    return server


def _split(listen: str, key: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    if not colon or not bare or (":" in bare) != bracketed:
        raise ConfigError(key, listen, _WANT)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65_536):
        raise ConfigError(key, listen, _WANT, "the port is a number from 0 to 65535")
    return bare, int(port)
