"""Content columns of the kdd view: crafted sessions of every protocol, and a twin of strings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.config import Config
from tapwatch.features import VIEWS
from tapwatch.features.kdd.rules import CONTENT_COLUMNS, PORTS, RULES, Protocol
from tapwatch.flows import FlowTable
from tapwatch.tables import FLOW, LINK, PACKET, EndReason, Traffic
from tests.features.naive_kdd_content import Session

pytestmark = pytest.mark.kernel

SECOND = 10**9
PORT_OF = {protocol: port for port, protocol in reversed(PORTS.items())}

#: Name -> protocol, what each side sends in turn, and the columns that are not 0.
SESSIONS: dict[str, tuple[Protocol, list[tuple[int, bytes]], dict[str, int]]] = {
    "a guest fetches by ftp": (
        Protocol.FTP,
        [
            (1, b"220 ready\r\n"), (0, b"USER anonymous\r\n"), (1, b"331 your address\r\n"),
            (0, b"PASS x@y.z\r\n"), (1, b"230-Welcome\r\n230 go on\r\n"), (0, b"CWD pub\r\n"),
            (1, b"250 ok\r\n"), (0, b"CDUP\r\n"), (1, b"250 ok\r\n"), (0, b"RETR no\r\n"),
            (1, b"550 no: No such file or directory\r\n"), (0, b"QUIT\r\n"), (1, b"221 bye\r\n"),
        ],
        {"hot": 2, "logged_in": 1, "is_guest_login": 1, "num_compromised": 1},
    ),
    "ftp refuses a login and stores for the next": (
        Protocol.FTP,
        [
            (0, b"user root\r\n"), (1, b"331 password\r\n"), (0, b"pass a\r\n"),
            (1, b"530 Login incorrect.\r\n"), (0, b"USER root\r\n"), (1, b"331 password\r\n"),
            (0, b"PASS b\r\n"), (1, b"230 in\r\n"), (0, b"STOR /etc/passwd.rhosts\r\n"),
            (1, b"226 ok\r\n"),
            (0, b"MKD new\r\n"), (1, b"257 made\r\n"), (0, b"SITE EXEC outbound\r\n"),
        ],
        {
            "num_failed_logins": 1, "logged_in": 1, "is_host_login": 1, "num_root": 1, "hot": 1,
            "num_file_creations": 2, "num_access_files": 1, "num_outbound_cmds": 1,
        },
    ),
    "ftp goes over to encryption": (
        Protocol.FTP,
        [(0, b"AUTH TLS\r\n"), (1, b"234 go\r\n"), (0, b"CWD x\r\nUSER a\r\n"), (1, b"230 x\r\n")],
        {},
    ),
    "a user becomes root by telnet": (
        Protocol.TELNET,
        [
            (1, b"\xff\xfd\x18\xff\xfb\x01"),
            (0, b"\xff\xfc\x18\xff\xfa\x18\0vt\xff\xffsu\r\xff\xf0"),
            (1, b"Debian\r\nhost login: "), (0, b"alx\x7fice\r\0"), (1, b"alice\r\nPassword: "),
            (0, b"secret\r\0"), (1, b"\r\nLogin incorrect\r\nhost login: "), (0, b"alice\r\0"),
            (1, b"alice\r\nPassword: "), (0, b"su\r\0"),
            (1, b"\r\nLast login: Mon\r\n\x1b]0;alice\x07\x1b[32malice@host\x1b[0m:~$ "),
            (0, b"cd /etc\r\0"), (1, b"cd /etc\r\n$ "), (0, b"gcc x.c\r\0"), (1, b"gcc x.c\r\n$ "),
            (0, b"su -\r\0"), (1, b"su -\r\nPassword: "), (0, b"root\r\0"), (1, b"\r\n# "),
            (0, b"cat > /etc/passwd\r\0"), (1, b"\r\n# "), (0, b"vi .rhosts\r\0"),
            (1, b"\r\nvi: not found\r\n# "), (0, b"exit\r\0"), (1, b"\r\n$ "), (0, b"ls\r\0"),
        ],
        {
            "num_failed_logins": 1, "logged_in": 1, "num_shells": 1, "hot": 2, "su_attempted": 1,
            "root_shell": 1, "num_root": 3, "num_file_creations": 2, "num_access_files": 2,
            "num_compromised": 1,
        },
    ),
    "root logs in by telnet": (
        Protocol.TELNET,
        [(1, b"login: "), (0, b"root\r\n"), (1, b"\r\n# "), (0, b"id\r\n"),
         (1, b"uid=0(root)\r\n# ")],
        {"logged_in": 1, "root_shell": 1, "num_root": 2, "is_host_login": 1},
    ),
    "a password is no command": (
        Protocol.TELNET,
        [(1, b"Password: "), (0, b"gcc\r\n"), (1, b"\r\n> "), (0, b"./run\r\n")],
        {"logged_in": 1, "hot": 1},
    ),
    "rlogin trusts the client": (
        Protocol.RLOGIN,
        [
            (0, b"\0gcc\0guest\0vt100/9600\0"), (1, b"\0Last login: Mon\r\n% "),
            (0, b"cp a b\r"), (1, b"cp a b\r\n% "), (0, b"su root\r"), (1, b"Password:"),
            (0, b"x\r"), (1, b"\r\nsu: incorrect password\r\n% "), (0, b"/tmp/x\r"),
        ],
        {
            "logged_in": 1, "is_guest_login": 1, "num_shells": 1, "num_file_creations": 1,
            "su_attempted": 1, "hot": 1, "num_failed_logins": 1,
        },
    ),
    "a mail is accepted": (
        Protocol.SMTP,
        [
            (1, b"220 mx\r\n"), (0, b"EHLO a\r\n"), (1, b"250-mx\r\n250 HELP\r\n"),
            (0, b"VRFY root\r\n"), (1, b"252 maybe\r\n"), (0, b"MAIL FROM:<a@b>\r\n"),
            (1, b"250 ok\r\n"), (0, b"RCPT TO:<root@b>\r\n"), (1, b"250 ok\r\n"), (0, b"DATA\r\n"),
            (1, b"354 go\r\n"), (0, b"debug\r\nexpn root\r\n/etc/passwd\r\n.\r\n"),
            (1, b"250 ok\r\n"), (0, b"BDAT 7 LAST\r\nwiz\r\n\r\n"), (0, b"wiz\r\n"),
        ],
        {"logged_in": 1, "hot": 2, "num_root": 2},
    ),
    "smtp refuses a login": (
        Protocol.SMTP,
        [
            (0, b"AUTH LOGIN\r\n"), (1, b"334 VXNlcg==\r\n"), (0, b"wiz\r\n"), (1, b"334 eA==\r\n"),
            (0, b"eA==\r\n"), (1, b"535 no\r\n"), (0, b"AUTH PLAIN eA==\r\n"), (1, b"235 yes\r\n"),
            (0, b"STARTTLS\r\n"), (1, b"220 go\r\n"), (0, b"wiz\r\n"),
        ],
        {"num_failed_logins": 1, "logged_in": 1, "hot": 1},
    ),
    "pop3 refuses one password and takes the next": (
        Protocol.POP3,
        [
            (1, b"+OK\r\n"), (0, b"USER root\r\n"), (1, b"+OK\r\n"), (0, b"PASS a\r\n"),
            (1, b"-ERR no\r\n"), (0, b"USER guest\r\n"), (1, b"+OK\r\n"), (0, b"PASS b\r\n"),
            (1, b"+OK in\r\n"), (0, b"RETR 1\r\n"), (1, b"+OK\r\n-ERR\r\n.\r\n"),
        ],
        {"num_failed_logins": 1, "logged_in": 1, "is_guest_login": 1},
    ),
    "imap refuses one login and takes the next": (
        Protocol.IMAP,
        [
            (1, b"* OK\r\n"), (0, b'a1 LOGIN "adm" x\r\n'), (1, b"* OK hm\r\n+ OK\r\na1 NO no\r\n"),
            (0, b'a2 login "adm" y\r\n'), (1, b"+ OK\r\na2 OK in\r\n"), (0, b"a3 STARTTLS\r\n"),
            (1, b"a3 OK\r\n"), (0, b"a4 LOGIN x y\r\n"), (1, b"a4 OK\r\n"),
        ],
        {"num_failed_logins": 1, "logged_in": 1, "is_host_login": 1},
    ),
    "http is asked for what it should not give": (
        Protocol.HTTP,
        [
            (0, b"GET /cgi-bin/phf?/bin/cat%20/etc/passwd HTTP/1.0\r\nHost: ../\r\n\r\n"),
            (1, b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n12345678\n"),
            (1, b"HTTP/1.1 304 x\r\nContent-Length: 60\r\n\r\n"),
            (1, b"HTTP/1.1 204 x\r\nContent-Length: 60\r\n\r\n"),
            (0, b"HEAD /a/../b HTTP/1.1\r\nAuthorization: Basic eA==\r\n\r\n"),
            (1, b"HTTP/1.1 401 No\r\nContent-Length: 50\r\n\r\n"),
            (0, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n"),
            (1, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            (0, b"GET //////// HTTP/1.1\r\n\r\n"),
        ],
        {"hot": 3, "num_access_files": 1, "logged_in": 1, "num_failed_logins": 1},
    ),
}  # fmt: skip


def small_config(**keys) -> Config:
    """Tables as small as they can be."""
    small = {"content_connections": 16, "hosts": 16, "window_connections": 16}
    return Config.model_validate({"kdd": small | keys})


def kernel_columns(protocol, sent, *, limit=65_536, batch=10_000, seq=(0xFFFF_FFF0, 7), **flow):
    """The columns that the view gives of a session; `sent` is (way, bytes) or (way, bytes, seq)."""
    view = VIEWS["kdd"](np.float64, small_config(content_bytes=limit))
    packets, links, data = segments(PORT_OF[protocol], sent, seq)
    for lo in range(0, len(packets), batch):
        part = slice(lo, lo + batch)
        view.update(Traffic(data, packets[part], links[part], np.zeros(0, FLOW), 0))
    values = view.finish(ended(PORT_OF[protocol], **flow)).values[0, 9:22].tolist()
    return {name: int(v) for name, v in zip(CONTENT_COLUMNS, values, strict=True)}, view


def ended(port: int, connection: int = 5, order_ns: int = 99 * SECOND):
    """The end of a connection to a port."""
    flows = np.zeros(1, FLOW)
    flows["proto"], flows["dst_port"], flows["end_reason"] = 6, port, EndReason.FIN
    flows["connection_id"] = flows["flow_id"] = connection
    flows["order_ns"] = order_ns
    return flows


def segments(port: int, sent, seq=(0, 0), connection=5):
    """TCP segments that carry what was sent; a filler stands between payloads."""
    packets, links = np.zeros(len(sent), PACKET), np.zeros(len(sent), LINK)
    next_seq, data = list(seq), b"\n"
    for packet, link, (way, text, *at) in zip(packets, links, sent, strict=True):
        start = (at[0] if at else next_seq[way]) & 0xFFFF_FFFF
        packet["proto"], packet["tcp_seq"] = 6, start
        packet["src_port"], packet["dst_port"] = (port, 40_000) if way else (40_000, port)
        packet["payload_start"] = len(data)
        packet["payload_bytes"] = packet["payload_captured_bytes"] = len(text)
        link["connection_id"], link["is_flow"], link["direction"] = connection, 1, way
        next_seq[way] = (start + len(text)) & 0xFFFF_FFFF
        data += text + b"\n"
    return packets, links, np.frombuffer(data, np.uint8)


def twin_columns(protocol, sent, limit=65_536) -> dict[str, int]:
    """The same by the twin."""
    session = Session(protocol, limit)
    for way, text in sent:
        session.send(way, text)
    return session.columns


def nonzero(columns: dict[str, int]) -> dict[str, int]:
    """What is not 0."""
    return {name: value for name, value in columns.items() if value}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_gives_its_columns(name):
    """By hand, by the twin and by the kernel."""
    protocol, sent, wanted = SESSIONS[name]

    assert nonzero(twin_columns(protocol, sent)) == wanted
    assert nonzero(kernel_columns(protocol, sent)[0]) == wanted


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(SESSIONS)), st.randoms(use_true_random=False))
def test_where_segments_end_does_not_show(name, random):
    """Every text is cut into segments anywhere; some come twice, some with what went before."""
    protocol, sent, wanted = SESSIONS[name]
    cut, at = [], [0xFFFF_FFF0, 7]
    for way, text in sent:
        ends = sorted({*(random.randrange(len(text) + 1) for _ in range(4)), len(text)} - {0})
        for lo, hi in zip([0, *ends], ends, strict=False):
            again = random.choice([0, 0, lo])
            cut.append((way, text[again:hi], at[way] + again))
            if random.random() < 0.3:
                cut.append((way, text[lo:hi], at[way] + lo))
        at[way] += len(text)

    found, _ = kernel_columns(protocol, cut, batch=random.choice([1, 7, 8192]))

    assert nonzero(found) == wanted


ALPHABET = [
    *(b"login: ", b"Password: ", b"# ", b"$ ", b"root", b"guest", b"su", b"gcc x", b"/etc/passwd"),
    *(b"Login incorrect", b"Last login: x", b"not found", b"USER ", b"PASS ", b"230 x", b"530 x"),
    *(b"CWD x", b"STOR x", b"MAIL x", b"250 x", b"DATA", b"354 x", b".", b"AUTH x", b"235", b"535"),
    *(b"+OK", b"-ERR", b"a LOGIN ", b"a OK", b"a NO", b"STLS", b"STARTTLS", b"220", b"234", b"*"),
    *(b"GET /../ HTTP/1.1", b"HTTP/1.1 200 OK", b"HTTP/1.1 401 no", b"Content-Length: 5"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding:", b"identity", b"Authorization: x"),
    *(b"5", b"0", b"BDAT 3"),
    b"HEAD / HTTP/1.1",
    *(b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\0", b"\0", b" ", b"\t", b'"', b"\x7f"),
    b"\x15",
    *(b"\xff\xfb\x01", b"\xff\xff", b"\xff\xfa\x18x\xff\xf0", b"\xff", b"\x1b[1m", b"\x1b]0;t\x07"),
    *(b"x" * 255, b"/tmp/", b"\x1b", b"uid=0(", b"[New File]", b"VRFY root", b"HTTP/1.1 101 x"),
]  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(Protocol),
    st.lists(
        st.tuples(st.integers(0, 1), st.lists(st.sampled_from(ALPHABET), max_size=5).map(b"".join)),
        max_size=25,
    ),
    st.sampled_from([1024, 65_536]),
)
def test_any_session_is_that_of_the_twin(protocol, sent, limit):
    """Sessions drawn from words, ends of lines and control sequences, in any order."""
    found, _ = kernel_columns(protocol, sent, limit=limit)

    assert found == twin_columns(protocol, sent, limit)


def made_line(rule, literal: str) -> bytes:
    """A line that a rule matches."""
    around = {"SECOND": f"tag {literal}", "CONTAINS": f"x{literal}x", "ENDS": f"x {literal} "}
    return (around.get(rule.match.name, literal) or "x").encode()


@pytest.mark.parametrize("protocol", list(Protocol))
def test_every_literal_of_every_rule_is_matched_as_the_twin_does(protocol):
    """Each literal as it is, one byte short, one byte more, and with another first byte."""
    sent = []
    for rule in RULES:
        if protocol in rule.protocols:
            for literal in rule.literals:
                line = made_line(rule, literal)
                for variant in (line, line[:-1], line + b"x", b"q" + line[1:], line + b" z"):
                    sent.append([(rule.side % 2, variant + b"\r\n"), (0, b"pass x\r\n")])

    for one in sent:
        assert kernel_columns(protocol, one)[0] == twin_columns(protocol, one)


def test_a_gap_breaks_only_the_line_it_falls_into():
    """What the capture lacks is no part of a line; the line after it is read."""
    sent = [(0, b"CWD a\r\nCW", 0), (0, b"D b\r\nCWD c\r\n", 20), (0, b"CWD d\r\n", 32)]

    found, view = kernel_columns(Protocol.FTP, sent)

    assert nonzero(found) == {"hot": 3}
    assert unread(view)["gap"] == 1


@pytest.mark.parametrize(
    ("head", "body", "n_logins"),
    [
        (b"Content-Length:\t2", b"a\n", 2),
        (b"Content-Length: \t 2", b"a\n", 2),
        (b"Transfer-Encoding: chunked", b"2\r\na\n\r\n0\r\n\r\n", 2),
        (b"Transfer-Encoding:chunked", b"2\r\na\n\r\n0\r\n\r\n", 2),
        (b"Transfer-Encoding: gzip,\tchunked ", b"2\r\na\n\r\n0\r\n\r\n", 2),
        (b"Transfer-Encoding: identity\r\nContent-Length: 2", b"a\n", 2),
        (b"Transfer-Encoding: unchunked\r\nContent-Length: 2", b"a\n", 2),
        (b"Content-Length: 2\r\nTransfer-Encoding:", b"a\n", 2),
        (b"Transfer-Encoding: chunked, gzip", b"2\r\na\n\r\n0\r\n\r\n", 1),
        (b"Transfer-Encoding: identity", b"2\r\na\n\r\n0\r\n\r\n", 1),
    ],
)
def test_bodies_of_http_end_where_their_headers_say(head, body, n_logins):
    """RFC 9112 5, 6: blanks before a value are SP and HTAB; a last coding of chunked parts it."""
    request = b"GET / HTTP/1.1\r\nAuthorization: x\r\n\r\n"
    sent = [
        (0, request),
        (1, b"HTTP/1.1 401 x\r\n" + head + b"\r\n\r\n" + body),
        (0, request),
        (1, b"HTTP/1.1 401 x\r\n" + head + b"\r\n\r\n" + body),
    ]

    assert nonzero(twin_columns(Protocol.HTTP, sent)) == {"num_failed_logins": n_logins}
    assert nonzero(kernel_columns(Protocol.HTTP, sent)[0]) == {"num_failed_logins": n_logins}


def test_a_provisional_answer_has_no_body():
    """Behind 100 Continue the answer comes (RFC 9110 15.2)."""
    sent = [
        (0, b"GET / HTTP/1.1\r\n\r\n"),
        (1, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ]

    assert nonzero(twin_columns(Protocol.HTTP, sent)) == {"logged_in": 1}
    assert nonzero(kernel_columns(Protocol.HTTP, sent)[0]) == {"logged_in": 1}


@pytest.mark.parametrize(("at", "n_lost", "n_failed"), [(3, 4, 2), (0, 10, 2), (8, 3, 1)])
def test_what_is_lost_of_a_body_is_stepped_over(at, n_lost, n_failed):
    """The next answer is read, unless its own first line is broken."""
    request = b"GET / HTTP/1.1\r\nAuthorization: x\r\n\r\n"
    head = b"HTTP/1.1 401 x\r\nContent-Length: 10\r\n\r\n"
    answers = head + b"0123456789" + head
    first = len(head) + at
    behind = first + n_lost
    sent = [(0, request, 0), (1, answers[:first], 0), (1, answers[behind:], behind)]

    columns, view = kernel_columns(Protocol.HTTP, sent)

    assert columns["num_failed_logins"] == n_failed
    assert unread(view)["gap"] == 1


def test_256_bytes_of_a_line_count():
    """A literal that ends with byte 256 is seen, one that ends with the next is not."""
    for n_before, wanted in ((245, {"num_access_files": 1}), (246, {}), (247, {})):
        sent = [(0, b"x" * n_before + b" etc/passwd\r\n")]
        assert nonzero(twin_columns(Protocol.FTP, sent)) == wanted
        assert nonzero(kernel_columns(Protocol.FTP, sent)[0]) == wanted


def test_a_snapped_segment_is_a_gap():
    """Bytes that were not captured are not read, nor those that follow of their line."""
    view = VIEWS["kdd"](np.float64)
    packets, links, data = segments(21, [(0, b"CWD a\r\nCWD b"), (0, b"\r\nCWD c\r\n")])
    packets["payload_bytes"][0] += 100
    packets["tcp_seq"][1] += 100

    view.update(Traffic(data, packets, links, np.zeros(0, FLOW), 0))

    assert view.finish(ended(21)).values[0, 9] == 2
    assert unread(view)["gap"] == 1


def unread(view) -> dict[str, float]:
    """Reason -> connections that were not read to their end."""
    [tally] = [t for t in view.tallies() if t.name == "kdd_content_unread_total"]
    return {reason: count for (reason,), count in tally.values.items()}


def read(view) -> dict[str, float]:
    """Protocol -> connections that were read."""
    [tally] = [t for t in view.tallies() if t.name == "kdd_content_read_total"]
    return {protocol: count for (protocol,), count in tally.values.items() if count}


def test_no_more_is_read_of_a_side_than_the_limit():
    """1024 bytes of each side; the connection is counted."""
    lines = [(0, b"CWD x\r\n")] * 200

    found, view = kernel_columns(Protocol.FTP, lines, limit=1024)

    assert found["hot"] == 1024 // 7
    assert unread(view)["bytes"] == 1
    assert read(view) == {"ftp": 1}


def test_other_ports_udp_and_fragments_are_not_read():
    """Only TCP to a port of the list, from whichever side it comes."""
    view = VIEWS["kdd"](np.float64)
    packets, links, data = segments(21, [(0, b"CWD a\r\n")] * 5)
    packets["tcp_seq"] = np.arange(5) * 7
    packets["proto"][1] = 17
    packets["dst_port"][2] = 22
    packets["frag_offset_bytes"][3] = 8
    links["is_flow"][4] = 0

    view.update(Traffic(data, packets, links, np.zeros(0, FLOW), 0))

    assert view.finish(ended(21)).values[0, 9] == 1


def test_the_session_silent_longest_gives_way():
    """16 sessions are held; the 17th takes the place of the one that was not heard of since."""
    view = VIEWS["kdd"](np.float64, small_config())
    for connection in [*range(1, 17), 1, 17]:
        packets, links, data = segments(21, [(0, b"CWD a\r\n")], connection=connection)
        packets["tcp_seq"] = 7 if connection == 1 and unread(view)["evicted"] == 0 else 0
        view.update(Traffic(data, packets, links, np.zeros(0, FLOW), 0))

    hot = {c: view.finish(ended(21, c)).values[0, 9] for c in (1, 2, 3, 17)}

    assert (hot[2], hot[3], hot[17]) == (0, 1, 1)
    assert hot[1] >= 1
    assert unread(view)["evicted"] == 1


@pytest.mark.parametrize("batch", [1, 7, 8192])
def test_who_makes_room_does_not_depend_on_batches(batch):
    """Connections that end make room before packets of a later second come, however batched."""
    view = VIEWS["kdd"](np.float64, small_config())
    parts = [segments(21, [(0, b"CWD a\r\n")], connection=c) for c in range(1, 41)]
    data = parts[0][2]
    packets, links = (np.concatenate([p[k] for p in parts]) for k in (0, 1))
    packets["clock_ns"] = np.arange(40) * SECOND // 4
    ends = np.concatenate([ended(21, c, (c // 4 + 3) * SECOND) for c in range(1, 41)])
    hot, lo = {}, 0
    while lo < 40:
        hi = min(lo + batch, 40)
        clock = packets["clock_ns"][hi - 1] // SECOND * SECOND
        due = ends[ends["order_ns"] <= clock]
        ends = ends[ends["order_ns"] > clock]
        made = view.update(Traffic(data, packets[lo:hi], links[lo:hi], due, 0))
        hot |= dict(zip(made.rows["flow_id"].tolist(), made.values[:, 9].tolist(), strict=True))
        lo = hi
    made = view.finish(ends)
    hot |= dict(zip(made.rows["flow_id"].tolist(), made.values[:, 9].tolist(), strict=True))

    assert hot == dict.fromkeys(range(1, 41), 1.0)
    assert unread(view)["evicted"] == 0


def test_a_row_makes_room_before_the_packets_of_its_own_time():
    """A connection that ended just then is not evicted by one that begins."""
    view = VIEWS["kdd"](np.float64, small_config())
    parts = [segments(21, [(0, b"CWD a\r\n")], connection=c) for c in range(1, 18)]
    packets, links = (np.concatenate([p[k] for p in parts]) for k in (0, 1))
    packets["clock_ns"] = 3 * SECOND
    packets["clock_ns"][:-1] -= 1

    made = view.update(Traffic(parts[0][2], packets, links, ended(21, 1, 3 * SECOND), 0))

    assert made.values[:, 9].tolist() == [1]
    assert unread(view)["evicted"] == 0


def flooded(batch: int, **keys):
    """Values of the view, itself, and its early rows, of a flood at one and the same time."""
    n = 1600
    config = Config.model_validate({"flows": {"capacity": 1024}, "kdd": {"hosts": 16} | keys})
    flows, view = FlowTable(config.flows), VIEWS["kdd"](np.float64, config)
    packets, _, data = segments(21, [(0, b"CWD a\r\n")] * n)
    packets["is_flow"], packets["ip_version"], packets["transport_header_bytes"] = 1, 4, 20
    packets["src_lo"] = 0xFFFF_0A00_0000 + np.arange(n)
    packets["ts_ns"] = packets["clock_ns"] = 7 * SECOND
    made, n_early = [], 0
    for lo in range(0, n, batch):
        part = packets[lo : lo + batch]
        told = flows.update(part, 0)
        n_early += np.count_nonzero(told.released >= 0)
        traffic = Traffic(data, part, told.links, told.ended, 0, released=told.released)
        made.append(view.update(traffic).values)
    made += [view.finish(rows).values for rows in flows.finish()]
    return np.vstack(made), view, n_early


@pytest.mark.parametrize("connections", [64, 4096])
def test_rows_that_come_out_early_do_not_depend_on_batches(connections, monkeypatch):
    """A flood's rows come out while packet time stands still, each behind its own packets."""
    monkeypatch.setattr("tapwatch.flows.flow_table.CHECK_PACKETS", 64)
    monkeypatch.setattr("tapwatch.flows.release.WAITING_MAX", 64)
    values, view, n_early = flooded(4096, content_connections=connections)

    assert n_early > 128
    assert not view._sessions.keys.slots.any()
    assert (values[:, 9].sum() == 1600) == (connections == 4096)
    for batch in (1, 61):
        others, view, _ = flooded(batch, content_connections=connections)
        assert np.array_equal(others, values)
        assert not view._sessions.keys.slots.any()


def test_an_active_cut_does_not_end_a_session():
    """The columns come with the row that ends the connection, and with no other."""
    view = VIEWS["kdd"](np.float64)
    packets, links, data = segments(21, [(0, b"CWD a\r\n")])
    cut = ended(21)
    cut["end_reason"] = EndReason.ACTIVE

    assert len(view.update(Traffic(data, packets, links, cut, 0))) == 0
    assert view.finish(ended(21)).values[0, 9] == 1
    assert view.finish(ended(21)).values[0, 9] == 0
