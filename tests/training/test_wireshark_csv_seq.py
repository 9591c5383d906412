"""Sequence numbers against those expected, by what the rows of an export show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapwatch.training import wireshark_csv
from tapwatch.training.wireshark_csv import open_table
from tapwatch.training.wireshark_csv_seq import Expected, Line
from tests.training.test_wireshark_csv import HEADER, SCHEMA, line

A, B = ("10.0.0.1", "10.0.0.2", 50000, 443), ("10.0.0.2", "10.0.0.1", 443, 50000)


def segment(seq, length=0, way=A, **more) -> Line:
    """A row that shows its number."""
    return Line(*way, seq, seq + length, **({"is_start": False, "is_probe": False} | more))


def mute(way=A) -> Line:
    """A row of another protocol."""
    return Line(*way[:2], -1, -1, -1, -1, is_start=False, is_probe=False)


def info(seq, length, flags="ACK", ports="50000 → 443", mark="") -> str:
    """What Wireshark writes of a segment."""
    return line(info=f"{mark}{ports} [{flags}] Seq={seq} Ack=1 Win=9 Len={length}")


TLS = line(protocol="TLSv1.3", info="Application Data")


def advances(path, *lines: str) -> list[float]:
    """The column, of an export of these lines."""
    path.write_text(HEADER + "".join(lines))
    values = np.concatenate([part.values for part in open_table(path).parts()])
    return values[:, SCHEMA.names.index("tcp_seq_advance")].tolist()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([segment(1, 7), segment(8, 11), segment(19)], [0, 0, 0]),
        ([segment(1, 7), segment(31, 5), segment(8, 23), segment(36)], [0, 23, -28, 0]),
        ([segment(1, 7), segment(1, 7, B), segment(8, 3), segment(9, way=B)], [0, 0, 0, 1]),
        ([segment(1, 7), segment(8, 1, is_probe=True), segment(8, 3)], [0, 0, 0]),
        ([segment(5000), segment(0, 1, is_start=True), segment(9, way=B)], [0, 0, 0]),
        ([segment(5000, way=B), segment(0, 1, is_start=True), segment(0, 1, B)], [0, 0, 0]),
        ([segment(2**32 - 3, 5), segment(2, 4), segment(3)], [0, 0, -3]),
    ],
)
def test_a_number_is_held_against_the_highest_of_its_way(lines, expected):
    """In order, gaps, ways apart, probes, another conversation, and around the wrap."""
    assert Expected().advances(lines) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # 300 bytes of TLS; then a true gap.
        ([segment(1, 7), mute(), segment(308, 2), segment(350)], [0, 0, 0, 40]),
        # What is below stays below, and does not account for the bytes of TLS.
        ([segment(1, 7), mute(), segment(3, 5), segment(308), segment(309)], [0, 0, -5, 0, 1]),
        # A row the other way tells nothing of this one.
        ([segment(1, 7), mute(B), segment(308)], [0, 0, 300]),
        # Neither does one before the first segment.
        ([mute(), segment(1, 7), segment(308)], [0, 0, 300]),
    ],
)
def test_behind_a_row_without_a_number_a_higher_one_follows_on_it(lines, expected):
    """Once, and in that direction alone."""
    assert Expected().advances(lines) == expected


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.sampled_from([A, B]))))
def test_without_mute_rows_it_is_the_highest_end_before(parts):
    """The definition, written down."""
    ends: dict[object, int] = {}
    wanted = []
    for seq, length, way in parts:
        wanted.append(seq - ends.get(way, seq))
        ends[way] = max(ends.get(way, 0), seq + length)

    assert Expected().advances([segment(*part) for part in parts]) == wanted


def test_what_is_remembered_is_bounded():
    """Of two ways the one that was silent longest gives way, and begins anew."""
    ways = [("a", "b", port, 1) for port in range(3)]
    told = Expected(capacity=2)

    found = told.advances([segment(1, 5, ways[k]) for k in (0, 1, 0, 2, 0, 1)])

    assert found == [0, 0, -5, 0, -5, 0]
    assert Expected(capacity=1).advances(
        [segment(1), mute(), mute(B), segment(9)]  # the row of this way is forgotten
    ) == [0, 0, 0, 8]


def test_info_tells_numbers_lengths_and_flags(tmp_path):
    """SYN and FIN count one; a first fragment has no length, a port by name is not read."""
    lines = [
        info(0, 0, "SYN"),
        info(1, 7),
        info(8, 0, "FIN, ACK"),
        info(8, 0),
        line(info="50000 → 443 [ACK] Seq=99 Ack=1 Win=9"),
        info(99, 0, ports="50000 → https"),
        info(9, 0),
        info(0, 0, "SYN", mark="[TCP Retransmission] "),
        info(0, 0, "SYN", mark="[TCP Port numbers reused] "),
        info(1, 9),
    ]
    assert advances(tmp_path / "x.csv", *lines) == [0, 0, 0, -1, 0, 0, 0, -9, 0, 0]


def test_other_protocols_may_be_over_tcp_and_udp_is_not(tmp_path):
    """A row of UDP between two segments hides no bytes, one of TLS does."""
    udp = line(protocol="UDP", info="53 → 50000 Len=100")

    assert advances(tmp_path / "x.csv", info(1, 7), udp, info(308, 0)) == [0, 0, 300]
    assert advances(tmp_path / "x.csv", info(1, 7), TLS, info(308, 0)) == [0, 0, 0]
    assert advances(tmp_path / "x.csv", TLS, udp) == [0, 0]


def test_a_probe_is_sent_again(tmp_path):
    """Its byte is not counted."""
    lines = [info(1, 7), info(8, 1, mark="[TCP ZeroWindowProbe] "), info(8, 5)]

    assert advances(tmp_path / "x.csv", *lines) == [0, 0, 0]


def test_parts_do_not_show(tmp_path, monkeypatch):
    """What is expected goes on from part to part."""
    lines = [info(1, 7), TLS, info(308, 2), info(350, 1), info(310, 40), TLS, info(10, 3)]
    whole = advances(tmp_path / "x.csv", *lines)
    monkeypatch.setattr(wireshark_csv, "PART_ROWS", 1)

    assert advances(tmp_path / "x.csv", *lines) == whole == [0, 0, 0, 40, -41, 0, -341]
