"""A list of packets that Wireshark exported, read as rows of the packet view."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.detect.export import as_export
from tapwatch.errors import CaptureError, ConfigError
from tapwatch.features import SCHEMAS
from tapwatch.training import wireshark_csv
from tapwatch.training.wireshark_csv import open_table, recognise
from tapwatch.training.wireshark_csv_lines import LINE_CHARS
from tapwatch.training.wireshark_csv_pairs import LastMet
from tests.shared_data import shared_data

SCHEMA = SCHEMAS["packet"]
LABELS = next(c for c in SCHEMA.columns if c.name == "protocol").categories
HEADER = '"No.","Time","Source","Destination","Protocol","Length","Info"\n'
ACK = "443 → 50000 [ACK] Seq=1 Ack=2 Win=501 Len=0"


def line(time="0.5", protocol="TCP", info=ACK, src="10.0.0.1", dst="10.0.0.2", length="66") -> str:
    """One line as Wireshark writes it."""
    fields = ("1", time, src, dst, protocol, length, info.replace('"', '""'))
    return ",".join(f'"{field}"' for field in fields) + "\n"


DAMAGED = (
    line("0.1", info="[TCP Retransmission] 1 → 2 [SYN] Seq=0 Win=9 Len=0 MSS=1460 WS=128"),
    line("0.2", protocol="UDP", info="53 → 50000 Len=100"),
    line("0.3", protocol="ARP", info="Who has 10.0.0.1? Tell 10.0.0.2", dst="Broadcast"),
    line("0.4", protocol="ICMP", info="Destination unreachable (Unknown code: 17)"),
    line("0.5", protocol="ICMPv6", info="Router Advertisement from 02:00:00:00:00:01"),
    line("0.6", protocol="IPv4", info="Fragmented IP protocol (proto=UDP 17, off=1480, ID=0d1e)"),
    line(
        "0.7", protocol="SSH", info="Client: [TCP Out-Of-Order] , Encrypted packet", src="fe80::1"
    ),
)
LEFT_OUT = (
    "line_too_long",
    "wrong_number_of_fields",
    "repeated_header",
    "time_unreadable",
    "length_unreadable",
)


def read(path: Path) -> tuple[list[dict[str, float]], dict[str, int]]:
    """Rows by name, and what was counted (where it was at all)."""
    table = open_table(path)
    parts = list(table.parts())
    for part in parts:
        assert part.values.dtype == np.float32
        assert np.isfinite(part.values).all()
        assert part.values.shape == (len(part.time_ns), len(SCHEMA.columns))
        assert part.labels == ()
        # What is read is nothing but what the schema says that an export gives.
        assert np.array_equal(as_export(SCHEMA, part.values), part.values)
    rows = [row for part in parts for row in part.values.tolist()]
    named = [dict(zip(SCHEMA.names, row, strict=True)) for row in rows]
    return named, {reason: n for reason, n in table.counts.items() if n}


@pytest.fixture
def rows_of(tmp_path):
    """Rows of an export of these lines."""

    def rows(*lines: str, header: str = HEADER, encoding: str = "utf-8") -> list[dict[str, float]]:
        path = tmp_path / "export.csv"
        path.write_bytes((header + "".join(lines)).encode(encoding))
        rows.counts = {}
        made, rows.counts = read(path)
        return made

    return rows


def told(row: dict[str, float]) -> dict[str, float]:
    """What of a row is not 0, beside what every row has."""
    everywhere = {"frame_len", "protocol", "ip"}
    return {name: value for name, value in row.items() if value and name not in everywhere}


def test_a_segment_is_read_in_full(rows_of):
    """Ports, flags, scaled window, length and options of a TCP row."""
    options = "MSS=1460 SACK_PERM TSval=3 TSecr=0 WS=128"
    info = f"50000 → 443 [SYN, ECE, CWR] Seq=0 Win=64240 Len=0 {options}"
    [row] = rows_of(line(info=info))

    assert row["protocol"] == LABELS.index("TCP")
    assert (row["frame_len"], row["ip"]) == (66, 1)
    assert told(row) == {
        "tcp": 1,
        "tcp_window_size": 64240,
        "tcp_flags_syn": 1,
        "tcp_flags_ece": 1,
        "tcp_flags_cwr": 1,
        "tcp_options_mss": 1,
        "tcp_options_wscale": 1,
        "tcp_options_sack_perm": 1,
        "tcp_options_timestamp": 1,
        "tcp_options_mss_val": 1460,
        "tcp_options_wscale_shift": 7,
        "src_port_dynamic": 1,
        "dst_port_system": 1,
    }
    assert rows_of.counts == {}


def test_of_an_option_that_is_there_twice_the_last_one_counts(rows_of):
    """As of a capture."""
    [row] = rows_of(line(info="1 → 2 [SYN] Seq=0 Win=9 Len=0 MSS=1 WS=128 MSS=1400 WS=4"))

    assert (row["tcp_options_mss_val"], row["tcp_options_wscale_shift"]) == (1400, 2)


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        ("FIN", {"fin"}),
        ("SYN", {"syn"}),
        ("RST", {"reset"}),
        ("PSH", {"push"}),
        ("ACK", {"ack"}),
        ("URG", {"urg"}),
        ("ECE", {"ece"}),
        ("ECN", {"ece"}),
        ("CWR", {"cwr"}),
        ("AE", {"ae"}),
        ("NS", {"ae"}),
        ("<None>", set()),
        ("Reserved", set()),
        ("FIN, PSH, ACK", {"fin", "push", "ack"}),
    ],
)
def test_every_flag_has_its_word(rows_of, words, columns):
    """Old and new spelling; a segment without flags is one too."""
    [row] = rows_of(line(info=f"1 → 2 [{words}] Seq=1 Win=5 Len=7 SLE=1 SRE=2"))

    flags = {name.removeprefix("tcp_flags_") for name in told(row) if name.startswith("tcp_flags_")}
    assert flags == columns
    assert (row["tcp_len"], row["payload_len_bytes"], row["tcp_options_sack"]) == (7, 7, 1)


@pytest.mark.parametrize(
    ("mark", "columns"),
    [
        ("[TCP Retransmission]", {"retransmission"}),
        ("[TCP Fast Retransmission]", {"retransmission", "fast_retransmission"}),
        ("[TCP Spurious Retransmission]", {"retransmission", "spurious_retransmission"}),
        ("[TCP Out-Of-Order]", {"out_of_order"}),
        ("[TCP Previous segment not captured]", {"lost_segment"}),
        ("[TCP ACKed unseen segment]", {"ack_lost_segment"}),
        ("[TCP Dup ACK 5530#3]", {"duplicate_ack"}),
        ("[TCP Keep-Alive]", {"keep_alive"}),
        ("[TCP Keep-Alive ACK]", {"keep_alive_ack"}),
        ("[TCP Window Update]", {"window_update"}),
        ("[TCP Window Full]", {"window_full"}),
        ("[TCP ZeroWindow]", {"zero_window"}),
        ("[TCP ZeroWindowProbe]", {"zero_window_probe"}),
        ("[TCP ZeroWindowProbeAck]", {"zero_window_probe_ack"}),
        ("[TCP Port numbers reused]", {"reused_ports"}),
        ("[TCP Window Full] [TCP Out-Of-Order]", {"window_full", "out_of_order"}),
        ("[Continuation to #64] [TCP ACKed unseen segment]", {"ack_lost_segment"}),
    ],
)
@pytest.mark.parametrize(
    ("protocol", "text"), [("TCP", f" {ACK}"), ("TLSv1.2", " , Application Data"), ("HTTP", " GET")]
)
def test_marks_of_the_analysis_stand_in_front_for_any_protocol(
    rows_of, mark, columns, protocol, text
):
    """All 15 conditions, alone and together, whatever dissector wrote the rest."""
    [row] = rows_of(line(protocol=protocol, info=mark + text))

    found = {name.removeprefix("tcp_analysis_") for name in row if name[:13] == "tcp_analysis_"}
    assert len(found) == 15
    assert {name for name in found if row[f"tcp_analysis_{name}"]} == columns
    assert row["tcp"] == (protocol == "TCP")


def test_ssh_names_the_side_before_the_marks(rows_of):
    """Wireshark puts them between "Client:" and what the client says."""
    rows = rows_of(
        line(protocol="SSHv2", info="Client: [TCP Fast Retransmission] , Key Exchange Init"),
        line(protocol="SSHv2", info="Server: [TCP Out-Of-Order] , Encrypted packet (len=4)"),
        line(protocol="SSHv2", info="Client: Key Exchange Init [TCP Out-Of-Order]"),
    )

    assert [row["tcp_analysis_fast_retransmission"] for row in rows] == [1, 0, 0]
    assert [row["tcp_analysis_out_of_order"] for row in rows] == [0, 1, 0]


def test_a_host_cannot_write_a_mark(rows_of):
    """In the text of a request it is no mark; in front it would stand before the request's word."""
    rows = rows_of(
        line(protocol="HTTP", info="GET /[TCP Out-Of-Order] HTTP/1.1 "),
        line(protocol="HTTP", info="Continuation [TCP Retransmission]"),
    )

    assert [row["tcp_analysis_out_of_order"] for row in rows] == [0, 0]
    assert [row["tcp_analysis_retransmission"] for row in rows] == [0, 0]


@pytest.mark.parametrize("arrow", ["→", ">", " > ", "->", "\u00e2\u2020\u2019", "\ufffd"])
@pytest.mark.parametrize("port", ["443", "https(443)"])
def test_the_arrow_may_be_of_any_version_and_encoding(rows_of, arrow, port):
    """Old versions write >; a file that was saved in another encoding has something else."""
    [row] = rows_of(line(info=f"{port} {arrow} 50000 [ACK] Seq=1 Ack=2 Win=501 Len=9"))

    assert (row["src_port_system"], row["dst_port_dynamic"], row["tcp_len"]) == (1, 1, 9)


@pytest.mark.parametrize(
    ("port", "kind"),
    [
        (0, "system"),
        (1023, "system"),
        (1024, "registered"),
        (49151, "registered"),
        (49152, "dynamic"),
        (65535, "dynamic"),
        (65536, None),
        ("domain", None),
    ],
)
def test_ports_have_classes(rows_of, port, kind):
    """At every border; what is no port number has no class."""
    [row] = rows_of(line(protocol="UDP", info=f"{port} → {port} Len=100"))

    classes = {name for name in told(row) if "_port_" in name}
    assert classes == ({f"src_port_{kind}", f"dst_port_{kind}"} if kind else set())
    assert (row["udp"], row["udp_length"], row["payload_len_bytes"]) == (1, 108, 0)
    assert rows_of.counts == ({} if kind else {"info_unread": 1})


def test_the_length_field_of_a_jumbogram_is_0(rows_of):
    """Info has the length that the frame itself tells."""
    [row] = rows_of(line(protocol="UDP", info="20000 → 40001 Len=20 [Jumbogram]"))

    assert (row["udp"], row["udp_length"]) == (1, 0)
    assert rows_of.counts == {}


@pytest.mark.parametrize("ports", ["https → 50000", "50000 → https", "a → b"])
def test_ports_by_name_are_counted(rows_of, ports):
    """What the rest of Info says is read; the ports have no class."""
    [row] = rows_of(line(info=f"{ports} [ACK] Seq=1 Ack=2 Win=501 Len=9"))

    assert (row["tcp"], row["tcp_window_size"], row["tcp_flags_ack"]) == (1, 501, 1)
    assert rows_of.counts == {"info_unread": 1}


@pytest.mark.parametrize(
    ("info", "columns"),
    [
        ("Who has 10.0.0.1? Tell 10.0.0.2", {"request"}),
        ("Who has 10.0.0.1? (ARP Probe)", {"request"}),
        ("10.0.0.1 is at 02:00:00:00:00:01", {"reply"}),
        ("Gratuitous ARP for 10.0.0.1 (Request)", {"request", "gratuitous"}),
        ("Gratuitous ARP for 10.0.0.1 (Reply)", {"reply", "gratuitous"}),
        ("ARP Announcement for 10.0.0.1", {"request", "gratuitous"}),
        ("Unknown ARP opcode 0x0019", {"other"}),
        ("ARP NAK", {"other"}),
    ],
)
def test_arp_tells_its_operation(rows_of, info, columns):
    """The texts of ARP, to everybody and to one station."""
    everybody, one = rows_of(
        line(protocol="ARP", info=info, src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff"),
        line(protocol="ARP", info=info, src="Vendor_12:34:56", dst="02:00:00:00:00:02"),
    )

    names = {"arp_isgratuitous" if c == "gratuitous" else f"arp_opcode_{c}" for c in columns}
    assert set(told(everybody)) == {"arp", "eth_dst_broadcast", *names}
    assert set(told(one)) == {"arp", *names}
    assert everybody["ip"] == one["ip"] == 0


@pytest.mark.parametrize(
    ("protocol", "info", "kind"),
    [
        ("ICMP", "Echo (ping) request  id=0x0001, seq=1/256, ttl=64 (reply in 2)", 8),
        ("ICMP", "Echo (ping) reply    id=0x0001, seq=1/256, ttl=64", 0),
        ("ICMP", "Destination unreachable (Communication administratively filtered)", 3),
        ("ICMP", "Destination unreachable (Unknown code: 17)", 3),
        ("ICMP", "Redirect             (Redirect for host)", 5),
        ("ICMP", "Time-to-live exceeded (Fragment reassembly time exceeded)", 11),
        ("ICMP", "Router solicitation ", 10),
        ("ICMP", "Source quench (flow control)[Packet size limited during capture]", 4),
        ("ICMPv6", "Echo (ping) request id=0x0a0b, seq=2, hop limit=64", 128),
        ("ICMPv6", "Neighbor Solicitation for fe80::1 from 02:00:00:00:00:01", 135),
        (
            "ICMPv6",
            "Neighbor Advertisement fe80::1 (rtr, sol, ovr) is at 02:00:00:00:00:01",
            136,
        ),
        ("ICMPv6", "Router Advertisement from 02:00:00:00:00:01", 134),
        ("ICMPv6", "Destination Unreachable (Port unreachable)", 1),
        ("ICMPv6", "Node Information Reply (Unknown (25))", 140),
        ("ICMPv6", "Multicast Listener Report Message v2", 143),
        ("ICMPv6", "Unknown (162)", 162),
        ("ICMPv6", "Reserved for expansion of ICMPv6 error messages", 127),
        ("ICMPv6", "Reserved for expansion of ICMPv6 informational messages (Unknown)", 255),
    ],
)
def test_icmp_tells_its_type(rows_of, protocol, info, kind):
    """From Wireshark's words; of the code most types say nothing, so that it is never given."""
    [row] = rows_of(line(protocol=protocol, info=info))

    assert (row["icmp_type"], row["icmp_code"]) == (kind, 0)
    assert (row["icmp"], row["icmpv6"]) == (protocol == "ICMP", protocol == "ICMPv6")
    assert rows_of.counts == {}


@pytest.mark.parametrize(
    "info",
    [
        "Reserved",
        "Reserved (for security)",
        "Private experimentation",
        "Unknown ICMP (obsolete or malformed?)",
    ],
)
@pytest.mark.parametrize("protocol", ["ICMP", "ICMPv6"])
def test_icmp_is_icmp_whatever_its_words(rows_of, protocol, info):
    """The label says so; that the type is not known is counted."""
    [row] = rows_of(line(protocol=protocol, info=info))

    assert told(row) == {protocol.lower(): 1}
    assert rows_of.counts == {"info_unread": 1}


@pytest.mark.parametrize(
    ("protocol", "info"),
    [
        ("IPv4", "Fragmented IP protocol (proto=UDP 17, off=1480, ID=0d1e)"),
        ("IPv6", "IPv6 fragment (off=1480 more=y ident=0x28403c0b nxt=17)"),
    ],
)
def test_fragments_tell_their_offset(rows_of, protocol, info):
    """Of a later fragment the export has nothing else."""
    [row] = rows_of(line(protocol=protocol, info=info))

    assert told(row) == {"ip_frag_offset": 1480}


def test_of_a_tls_record_only_what_every_row_has_is_known(rows_of):
    """No ports, flags or window: they are as absent as the schema says."""
    [row] = rows_of(line(protocol="TLSv1.2", info="Application Data", length="1484"))

    assert told(row) == {}
    assert row["protocol"] == LABELS.index("TLSv1.2")
    assert row["frame_len"] == 1484


@pytest.mark.parametrize(
    ("src", "dst", "kind", "to_group"),
    [
        ("10.0.0.1", "224.0.0.251", "ip", 1),
        ("10.0.0.1", "239.255.255.250", "ip", 1),
        ("10.0.0.1", "223.255.255.255", "ip", 0),
        ("10.0.0.1", "240.0.0.1", "ip", 0),
        ("fe80::1", "ff02::fb", "ipv6", 1),
        ("2001:db8:1:2:3:4:5:6", "fe80::ff02", "ipv6", 0),
        ("::ffff:10.0.0.1", "::1", "ipv6", 0),
        ("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", None, 0),
        ("Vendor_12:34:56", "Broadcast", None, 0),
        ("host.example", "10.0.0.1", None, 0),
        ("", "", None, 0),
    ],
)
def test_addresses_tell_the_kind_of_packet(rows_of, src, dst, kind, to_group):
    """IPv4, IPv6, or neither; whether a group is addressed."""
    [row] = rows_of(line(src=src, dst=dst, protocol="OSPF", info="Hello Packet"))

    assert [name for name in ("ip", "ipv6") if row[name]] == ([kind] if kind else [])
    assert row["ip_dst_multicast"] == to_group
    assert row["eth_dst_broadcast"] == 0


def test_time_counts_from_the_frame_before_and_by_pairs(rows_of):
    """The same deltas as of a capture: of all frames, of two addresses, of one way."""
    rows = rows_of(
        line("0.000000"),
        line("1.500000", src="10.0.0.2", dst="10.0.0.1"),
        line("1.750000", dst="10.0.0.9"),
        line("3.000000", src="10.0.0.2", dst="10.0.0.1"),
        line("4.000000"),
    )

    assert [row["frame_time_delta"] for row in rows] == [0, 1.5, 0.25, 1.25, 1]
    assert [row["pair_time_delta_s"] for row in rows] == [0, 1.5, 0, 1.5, 1]
    assert [row["pair_direction_time_delta_s"] for row in rows] == [0, 0, 0, 1.5, 4]


def test_a_clock_that_goes_back_gives_no_delta_and_is_counted(rows_of):
    """As of a capture: the next frame counts from the latest time that was seen."""
    rows = rows_of(line("5"), line("-3.5"), line("6"))

    assert [row["frame_time_delta"] for row in rows] == [0, 0, 1]
    assert [row["pair_time_delta_s"] for row in rows] == [0, 0, 1]
    assert rows_of.counts == {"clock_back": 1}


@pytest.mark.parametrize(
    ("times", "header"),
    [
        (("1700000000.123456789", "1700000000.123457789"), "Time"),
        (("1700000000,123456789", "1700000000,123457789"), "Time"),
        (("2023-11-14 22:13:20.123456789", "2023-11-14 22:13:20.123457789"), "Time"),
        (("2023-11-14T22:13:20.123456789Z", "2023-11-14T22:13:20.123457789Z"), "Time"),
        (
            ("Nov 14, 2023 22:13:20.123456789 UTC", "Nov 14, 2023 22:13:20.123457789 UTC"),
            "frame.time",
        ),
        (("1700000000.123456789", "1700000000.123457789"), "frame.time_epoch"),
    ],
)
def test_times_are_exact_in_any_form(tmp_path, times, header):
    """Seconds since 1970 and dates keep their nanoseconds."""
    path = tmp_path / "export.csv"
    path.write_text(HEADER.replace("Time", header) + line(times[0]) + line(times[1]))

    [part] = open_table(path).parts()

    assert part.time_ns.tolist() == [1700000000123456789, 1700000000123457789]
    delta = part.values[:, SCHEMA.names.index("frame_time_delta")]
    assert delta.tolist() == [0, pytest.approx(1e-6, rel=1e-6)]


EXTREME = (
    "0",
    "1700000000.5",
    "-4611686017",
    "4611686017",
    "4611686018",
    "-4611686018",
    "9000000000",
    "-9000000000",
    "9999999999",
    "1700-01-01 00:00:00",
    "2024-01-01 00:00:00",
    "2300-01-01 00:00:00",
    "9999-12-31 23:59:59",
)


@pytest.mark.parametrize("first", EXTREME)
@pytest.mark.parametrize("second", EXTREME)
def test_no_time_makes_a_delta_negative(rows_of, first, second):
    """At both ends of int64 and beyond: what is beyond 2^62 ns cannot be read, and is counted."""
    rows = rows_of(line("0"), line(first), line(second), line(first), line("1"))

    assert all(row[name] >= 0 for row in rows for name in SCHEMA.names if "delta" in name)
    assert len(rows) + rows_of.counts.get("time_unreadable", 0) == 5
    if "9999999999" in (first, second):
        assert rows_of.counts["time_unreadable"] >= 1


def test_a_length_may_have_any_blanks_about_it(rows_of):
    """Tab and form feed as well as a blank."""
    rows = rows_of(line(length=" 60 "), line(length="\t60"), line(length="60\x0c"))

    assert [row["frame_len"] for row in rows] == [60, 60, 60]
    assert rows_of.counts == {}


@pytest.mark.parametrize("digit", ["\u00b2", "\u0663", "\u2460"])
@pytest.mark.parametrize("protocol", ["ICMP", "ICMPv6"])
def test_only_ascii_digits_are_a_type_of_icmp(rows_of, protocol, digit):
    """A superscript two is a digit to Unicode, and no number."""
    [row] = rows_of(line(protocol=protocol, info=f"Unknown ({digit})"))

    assert row["icmp_type"] == 0
    assert rows_of.counts == {"info_unread": 1}


@pytest.mark.parametrize(
    ("header", "row", "encoding"),
    [
        (HEADER, line(), "utf-8-sig"),
        (HEADER, line(), "utf-16"),
        (HEADER.replace("\n", "\r\n"), line().replace("\n", "\r\n"), "utf-8"),
        (
            "_ws.col.No.,_ws.col.Time,_ws.col.Source,_ws.col.Destination,_ws.col.Protocol,"
            "_ws.col.Length,_ws.col.Info\n",
            line(),
            "utf-8",
        ),
        (
            "frame.time_relative,_ws.col.Source,_ws.col.Destination,_ws.col.protocol,frame.len,"
            "_ws.col.info\n",
            f"0.5,10.0.0.1,10.0.0.2,TCP,66,{ACK.replace('[ACK]', '[PSH, ACK]')}\n",
            "utf-8",
        ),
        (
            "Info,Length,Protocol,Delta,Destination,Source,Time\n",
            f'"{ACK}",66,TCP,9,10.0.0.2,10.0.0.1,0.5\n',
            "utf-8",
        ),
        (
            "Time\tSource\tDestination\tProtocol\tLength\tInfo\n",
            f"0.5\t10.0.0.1\t10.0.0.2\tTCP\t66\t{ACK}\n",
            "utf-8",
        ),
    ],
    ids=["BOM", "UTF-16", "CRLF", "tshark", "unquoted", "order", "tabs"],
)
def test_the_form_of_the_file_does_not_matter(rows_of, header, row, encoding):
    """Byte order marks, line ends, tshark's names, any order, columns of no use, no quotes."""
    [read_row] = rows_of(row, header=header, encoding=encoding)

    assert (read_row["tcp"], read_row["tcp_window_size"], read_row["frame_len"]) == (1, 501, 66)
    assert read_row["tcp_flags_ack"] == 1


def test_quotes_inside_info_cut_nothing_off(rows_of):
    """Doubled as Wireshark writes them, or bare as tshark does."""
    bare = '"1","1","a","b","HTTP","9","GET "x","y" HTTP"\n'

    rows = rows_of(line(protocol="HTTP", info='GET "a","b" HTTP'), bare)

    assert len(rows) == 2
    assert rows_of.counts == {}


def test_lines_that_cannot_be_read_are_left_out_and_counted(rows_of):
    """Each by its reason; the lines around them are read."""
    rows = rows_of(
        line("1"),
        '"2","1.5","10.0.0.1"\n',
        "\n",
        HEADER,
        line("NaN"),
        line("inf"),
        line("1e3"),
        line(""),
        line("2", length="-66"),
        line("2", length="99999999999"),
        line("2", length="NaN"),
        line("2", info="x" * LINE_CHARS),
        line("2", info="y" * 3 * LINE_CHARS),
        '"unclosed\n',
        line("3"),
    )

    assert [row["frame_time_delta"] for row in rows] == [0, 2]
    assert rows_of.counts == {
        "wrong_number_of_fields": 2,
        "repeated_header": 1,
        "time_unreadable": 4,
        "length_unreadable": 3,
        "line_too_long": 2,
    }


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "ARP", "ICMP", "ICMPv6"])
@pytest.mark.parametrize("info", ["", "[Malformed Packet]", "\x00" * 9, "(((" * 600, "→ " * 999])
def test_info_that_says_nothing_leaves_its_part_empty_and_is_counted(rows_of, protocol, info):
    """The row is there, with what its other columns and its label give."""
    [row] = rows_of(line(protocol=protocol, info=info))

    assert told(row) == ({protocol.lower(): 1} if protocol in ("ICMP", "ICMPv6") else {})
    assert row["protocol"] == LABELS.index(protocol)
    assert rows_of.counts == {"info_unread": 1}


def test_a_protocol_that_is_no_label_is_of_the_first_class(rows_of):
    """And is counted."""
    [row] = rows_of(line(protocol="Spoken Word", info="..."))

    assert row["protocol"] == 0
    assert rows_of.counts == {"label_unknown": 1}


def test_parts_do_not_show(rows_of, monkeypatch):
    """Deltas and pairs go on from part to part."""
    times = [(k - 5 * (k % 7 == 0)) / 8 for k in range(40)]  # back at the border of each part
    lines = [
        line(str(time), src=f"10.0.0.{k % 3}", dst=f"10.0.0.{k % 2}")
        for k, time in enumerate(times)
    ]
    whole = rows_of(*lines)

    monkeypatch.setattr(wireshark_csv, "PART_ROWS", 7)

    assert rows_of(*lines) == whole
    assert rows_of.counts == {"clock_back": 5}


def test_a_part_holds_a_bounded_amount_of_text(rows_of, monkeypatch, tmp_path):
    """It ends where that is reached, however few lines it has; rows are the same."""
    lines = [line(str(k), info="x" * 2000, protocol="HTTP") for k in range(40)]
    whole = rows_of(*lines)

    monkeypatch.setattr(wireshark_csv, "_PART_CHARS", 10_000)

    assert rows_of(*lines) == whole
    parts = open_table(tmp_path / "export.csv").parts()
    assert [len(part.values) for part in parts] == [5] * 8


def test_counts_begin_anew_when_a_table_is_read_again(tmp_path):
    """Training reads its inputs, and may read them again."""
    path = tmp_path / "export.csv"
    path.write_text(HEADER + line("5") + line("1") + line("x") + "1,2\n")
    table = open_table(path)

    list(table.parts())
    once = dict(table.counts)
    list(table.parts())

    assert once["clock_back"] == once["time_unreadable"] == once["wrong_number_of_fields"] == 1
    assert table.counts == once


def test_fields_are_cut_and_counted(rows_of):
    """What is remembered of a line is bounded; what counts stands at the beginning of Info."""
    long = "b" * 60_000
    rows = rows_of(
        line("1", info=f"[TCP Out-Of-Order] {ACK} {long}"),
        line("2", src=f"a{long}"),
        line("3", src=f"a{long}c"),
        line("4", info=f"{ACK} {'x' * 1900}"),
    )

    assert [row["tcp_analysis_out_of_order"] for row in rows] == [1, 0, 0, 0]
    assert [row["tcp_window_size"] for row in rows] == [501] * 4
    # Texts that are alike in front are one address.
    assert [row["pair_time_delta_s"] for row in rows] == [0, 0, 1, 3]
    assert rows_of.counts == {"field_too_long": 3}


def test_pairs_that_are_remembered_are_bounded():
    """Those that were silent longest give way, and are counted."""
    met = LastMet(capacity=2)
    for k, name in enumerate("cbca"):
        met.gaps(pa.array([name]), pa.array(["z"]), np.array([k]))

    either, this_way = met.gaps(pa.array(["c", "b"]), pa.array(["z", "z"]), np.array([10, 10]))

    assert met.forgotten == 2
    assert either.tolist() == this_way.tolist() == [8, 0]


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from([1, 5, 60]))
def test_no_damage_makes_it_fail_otherwise_than_by_name(seed, n_changes):
    """Bytes changed, cut out and doubled: rows with finite values and counts, or a CaptureError."""
    rng = np.random.default_rng(seed)
    raw = bytearray((HEADER + "".join(DAMAGED)).encode())
    for _ in range(n_changes):
        at, length = int(rng.integers(len(raw))), int(rng.integers(1, 30))
        change = rng.integers(3)
        if change == 0:
            raw[at] = rng.choice(np.frombuffer(b'",\r\n\x00\xff[]()9-.\xe2', np.uint8))
        elif change == 1:
            del raw[at : at + length]
        else:
            raw[at:at] = raw[at : at + length]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "export.csv"
        path.write_bytes(raw)

        try:
            rows, counts = read(path)
        except CaptureError:
            return

    n_left_out = sum(counts.get(reason, 0) for reason in LEFT_OUT)
    assert len(rows) + n_left_out <= raw.count(b"\n") + raw.count(b"\r")
    assert all(value >= 0 for row in rows for value in row.values())


def test_what_is_no_export_is_not_recognised(tmp_path):
    """Another table, a capture, an empty file."""
    for k, content in enumerate(
        (b"", b"\xd4\xc3\xb2\xa1" * 9, b"a,b,c\n1,2,3\n", b"Time,Source\n")
    ):
        path = tmp_path / f"{k}.csv"
        path.write_bytes(content)

        assert not recognise(path)
        with pytest.raises(CaptureError, match="want a header with Time, Source"):
            open_table(path)


@pytest.mark.parametrize(
    ("lacking", "names"),
    [({"Length"}, "Length"), ({"Time", "Info"}, "Time, Info"), ({"Protocol"}, "Protocol")],
)
def test_an_export_without_a_column_is_told_so(tmp_path, lacking, names):
    """It is recognised by the others, and what is missing has its name."""
    path = tmp_path / "export.csv"
    wanted = ("No.", "Time", "Source", "Destination", "Protocol", "Length", "Info")
    path.write_text(",".join(name for name in wanted if name not in lacking) + "\n")

    assert recognise(path)
    with pytest.raises(CaptureError, match=f"Wireshark without column {names}: want all six"):
        open_table(path)


def test_a_time_that_has_no_date_is_refused(tmp_path):
    """The first lines decide: better no table than one whose days are lost."""
    path = tmp_path / "export.csv"
    path.write_text(HEADER + line("12:30:00.5"))

    with pytest.raises(CaptureError, match=r"Time = '12:30:00.5': want seconds, or a date"):
        list(open_table(path).parts())


def test_an_export_fills_the_packet_view_alone(tmp_path):
    """Asked for another view, it says which one it can fill."""
    path = tmp_path / "export.csv"
    path.write_text(HEADER + line())

    with pytest.raises(ConfigError, match="--view = 'flow': want packet"):
        open_table(path, SCHEMAS["flow"])
    assert open_table(path, SCHEMA).is_live
    assert recognise(path)


def test_what_the_export_lacks_is_withheld_with_its_reason(tmp_path):
    """Given and withheld columns are all there are."""
    path = tmp_path / "export.csv"
    path.write_text(HEADER)
    table = open_table(path)

    assert {*table.given, *table.withheld} == set(SCHEMA.names)
    assert "ip_ttl" in table.withheld
    assert "tcp_analysis_out_of_order" in table.given
    assert list(table.parts()) == []


def test_the_capture_of_the_seed_is_read():
    """5,955 packets of one device; 43 of them out of order, as its notebook counts them."""
    path = shared_data() / "wireshark_csv" / "DeviceTraffic.csv"

    rows, counts = read(path)

    assert len(rows) == 5955
    assert sum(row["tcp_analysis_out_of_order"] for row in rows) == 43
    assert sum(row["tcp_analysis_duplicate_ack"] for row in rows) == 154
    assert sum(row["tcp"] for row in rows) == 3703
    assert set(counts) <= {"clock_back", "label_unknown"}
