"""The metrics server, and clients that mean no good."""

import contextlib
import gzip
import socket
import time
import urllib.error
import urllib.request

import pytest

from tapwatch.config import TelemetryConfig
from tapwatch.errors import ConfigError
from tapwatch.tables import Tally
from tapwatch.telemetry.collector import TallyCollector
from tapwatch.telemetry.http import serve
from tests.telemetry import made


@pytest.fixture
def server():
    """A server on a free port that gives a client half a second."""
    config = TelemetryConfig(request_timeout_s=0.5, max_connections=4)
    with serve("127.0.0.1:0", TallyCollector([made.tallies]), config) as server:
        yield server


def ask(server, path, method="GET", **headers):
    """Status, headers and body of one request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(server.url + path, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def connect(server):
    """A bare connection."""
    return socket.create_connection(server.server_address[:2], timeout=10)


def said(connection) -> bytes:
    """Everything until the server hangs up."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def test_serves_metrics_as_text(server):
    """Without a wish for another format it is the old text format."""
    status, headers, body = ask(server, "/metrics")

    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b'tapwatch_decode_packets_total{status="ok"} 1.2345678901e+10\n' in body


def test_serves_openmetrics_and_gzip_when_asked(server):
    """What Prometheus asks for is what it gets."""
    status, headers, body = ask(
        server,
        "/metrics?x=1",
        Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
        Accept_Encoding="gzip",
    )

    assert status == 200
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).endswith(b"# EOF\n")


def test_is_ready_when_told(server):
    """503 until then; healthy from the start."""
    assert ask(server, "/-/healthy")[0] == 200
    assert ask(server, "/-/ready")[::2] == (503, b"not ready\n")

    server.is_ready = True

    assert ask(server, "/-/ready")[::2] == (200, b"ready\n")


def test_head_has_no_body(server):
    """The headers are those of GET, and nothing follows them."""
    with connect(server) as connection:
        connection.sendall(b"HEAD /-/healthy HTTP/1.1\r\n\r\n")
        answer = said(connection)

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 8\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_refuses_other_methods(server, method):
    """405, and what would be allowed."""
    status, headers, _ = ask(server, "/metrics", method)

    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path", ["/metrics/", "/x", "/../etc/passwd", "/%00", "/-/", "//metrics/x"]
)
def test_anything_else_is_not_found(server, path):
    """No path reaches a file."""
    assert ask(server, path)[0] == 404


def test_silent_clients_block_nobody(server):
    """Three of four places are held by silence; a scrape is answered, and they are hung up on."""
    silent = [connect(server) for _ in range(3)]
    began = time.monotonic()

    assert ask(server, "/metrics")[0] == 200
    assert time.monotonic() - began < 0.4
    assert [said(connection) for connection in silent] == [b""] * 3
    for connection in silent:
        connection.close()


def test_a_client_that_drips_is_hung_up_on(server):
    """The time limit is for the request, not for each byte of it."""
    with connect(server) as connection:
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011  (a reset or a broken pipe)
            _drip(connection)
        assert time.monotonic() - began < 2


def _drip(connection):
    for _ in range(100):
        connection.sendall(b"G")
        time.sleep(0.05)


def test_a_client_that_does_not_read_is_hung_up_on():
    """A page that does not fit into the socket's buffers costs one thread for the time limit."""
    labels = {(f"{i:0200}",): 1 for i in range(30_000)}
    collector = TallyCollector([lambda: [Tally("big", "gauge", "Big.", ("x",), labels)]])
    config = TelemetryConfig(request_timeout_s=2, max_connections=1)
    with serve("127.0.0.1:0", collector, config) as server, connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        deadline = time.monotonic() + 10

        while not (answer := _try(server)) and time.monotonic() < deadline:
            time.sleep(0.1)

        assert answer == 200


def _try(server):
    try:
        return ask(server, "/-/healthy")[0]
    except OSError:
        return None


def test_more_connections_than_places_are_closed_and_counted(server):
    """The fifth of four is closed at once; when a place is free there is an answer again."""
    silent = [connect(server) for _ in range(4)]
    time.sleep(0.1)
    with connect(server) as fifth:
        began = time.monotonic()
        assert said(fifth) == b""
        assert time.monotonic() - began < 0.3
    assert server.tallies()[0].values[()] == 1

    for connection in silent:
        said(connection)
        connection.close()

    server.collector.publish()
    body = ask(server, "/metrics")[2]
    assert b"tapwatch_telemetry_refused_connections_total 1.0\n" in body


@pytest.mark.parametrize(
    ("request_text", "answer"),
    [
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", b"431 "),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n", b"431 "),
        (b"GET / HTTP/1.1\r\n" + b"X:y\r\n" * 200 + b"\r\n", b"431 "),
        (b"GET / HTTP/9.9.9\r\n\r\n", b"400 "),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400 "),
        (b"<script>alert(1)</script> / HTTP/1.1\r\n\r\n", b"501 "),
        (b"\r\n\r\n", b""),
    ],
)
def test_malformed_requests_get_an_answer_or_a_closed_door(server, request_text, answer):
    """Line and headers are bounded; the server lives on."""
    with connect(server) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(request_text)
        first_line = said(connection).partition(b"\r\n")[0]

    # A door that is closed on unread bytes may take the answer with it.
    assert not first_line or answer in first_line.removeprefix(b"HTTP/1.1 ")
    assert b"200 OK" not in first_line
    assert ask(server, "/-/healthy")[0] == 200


def test_closing_does_not_wait_for_clients():
    """A client in the middle of its request does not hold up the end."""
    server = serve("127.0.0.1:0", TallyCollector([]), TelemetryConfig(request_timeout_s=60))
    with connect(server) as connection:
        connection.sendall(b"GET /met")
        began = time.monotonic()

        server.close()

        assert time.monotonic() - began < 2
    with pytest.raises(OSError):  # noqa: PT011  (refused)
        connect(server)


def test_an_address_in_use_is_named():
    """Key, value and reason; exit code 2."""
    with serve("127.0.0.1:0", TallyCollector([])) as server:
        taken = server.url.removeprefix("http://")

        with pytest.raises(ConfigError) as caught:
            serve(taken, TallyCollector([]), key="--listen")

    assert str(caught.value) == (
        f"--listen = '{taken}': want an address of this machine and a free port "
        "(Address already in use)"
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "listen",
    ["", "9477", ":9477", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "::1:9477",
     "[::1]", "[]:1", "127.0.0.1:-1", "127.0.0.1:٣", "192.0.2.1:0", "[127.0.0.1:1"],
)  # fmt: skip
def test_a_bad_address_is_refused(listen):
    """The message has the key and the value."""
    with pytest.raises(ConfigError, match=r"--listen = "):
        serve(listen, TallyCollector([]))


def test_listens_on_ipv6():
    """An address in brackets."""
    try:
        server = serve("[::1]:0", TallyCollector([]))
    except ConfigError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with server:
        assert ask(server, "/-/healthy")[0] == 200
        assert server.url.startswith("http://[::1]:")


def test_the_status_page_shows_the_ledger_and_escapes():
    """What comes from outside is text, and an unbalanced ledger is said loudly."""
    hostile = "<script>alert(1)</script>"
    info = Tally("model_info", "gauge", "Model.", ("bundle",), {(hostile,): 1})
    status = {"capture": {"packets": 1_234_567, "file": hostile}, "ledger_balanced": False}
    collector = TallyCollector([made.tallies, lambda: [info]], lambda: status)
    with serve("127.0.0.1:0", collector) as server:
        _, headers, body = ask(server, "/")

    text = body.decode()
    assert hostile not in text
    assert text.count("&lt;script&gt;") == 2
    assert "<td>capture.packets</td><td>1,234,567</td>" in text
    assert "The packet ledger does not balance." in text
    assert "tapwatch_flow_active</td><td>17</td>" in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
