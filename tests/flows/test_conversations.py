"""The conversation table: its twin, its bounds, and what must not change its output."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tapwatch.config import Config, ConversationsConfig, FlowConfig
from tapwatch.errors import ConfigError
from tapwatch.flows import FlowTable
from tapwatch.flows.conversation_kernel import analyse
from tapwatch.flows.conversation_table import Conversations
from tapwatch.flows.layout import KEY, TASK
from tapwatch.tables import LINK, PACKET, TcpAnalysis
from tests.flows import naive_conversations as naive
from tests.flows.agreement import as_dicts
from tests.flows.segment_cases import CASES
from tests.flows.segments import ACK, FIN, MS, PSH, RST, SYN, Segment, mirrored, rows_of, shifted
from tests.flows.test_captures import decoded
from tests.shared_data import shared_data

DEFAULT = ConversationsConfig()
TINY = ConversationsConfig(capacity=64)  # one conversation a bucket


def analysed(
    rows: NDArray[Any],
    config: ConversationsConfig = DEFAULT,
    *,
    batch: int = 8192,
    workers: int = 1,
    suspend: bool = False,
) -> tuple[list[tuple[int, int, int]], dict[str, float]]:
    """Analysis, gap and advance of each packet, and the counts at the end."""
    table = FlowTable(FlowConfig(), workers=workers, conversations=config)
    found: list[tuple[int, int, int]] = []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        links = table.update(part, int(part["clock_ns"][-1])).links
        assert links.dtype == LINK
        told = (links[name].tolist() for name in ("tcp_analysis", "tcp_gap_ns", "tcp_seq_advance"))
        found += zip(*told, strict=True)
        if suspend:
            state = table.suspend()
            table = FlowTable(FlowConfig(), workers=workers, conversations=config)
            table.resume(state)
    counts = {tally.name: tally.values[()] for tally in table.tallies() if not tally.labels}
    return found, counts


def assert_agree(rows: NDArray[Any], config: ConversationsConfig = DEFAULT) -> None:
    """Kernel and twin say the same of every packet."""
    assert rows.dtype == PACKET
    assert analysed(rows, config)[0] == naive.analyse(as_dicts(rows), config.capacity)


@pytest.mark.kernel
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("seq", [0, 2**32 - 1050, 2**31 - 1050, 2**32 - 5050])
def test_says_what_is_written(name, is_mirrored, seq):
    """Each condition, begun by either side, also where sequence numbers wrap or change sign."""
    segments = mirrored(CASES[name]) if is_mirrored else CASES[name]

    found = analysed(rows_of(shifted(segments, seq)))[0]

    assert [bits for bits, *_ in found] == [int(segment.says) for segment in segments]


@pytest.mark.kernel
def test_versions_ports_tunnels_make_conversations_and_vlans_do_not():
    """The same numbers in another conversation say nothing of this one."""
    first = Segment(0, 0, ACK, 1000, 5000, 100)
    again = Segment(50, 0, ACK, 1000, 5000, 100)
    rows = rows_of([first, again, again, again, again])
    rows[1]["ip_version"] = 6
    rows[2]["src_port"] += 1
    rows[3]["tunnel_id"] = 7
    rows[4]["n_vlan_tags"], rows[4]["vlan_tci"] = 1, 5

    assert [bits for bits, *_ in analysed(rows)[0]] == [0, 0, 0, 0, 1]
    assert_agree(rows)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("name", "shifts"),
    [
        ("window_full_scaled", [0, 0, 3, 3, 2, 3, 3, 2, 2]),
        ("window_full_unscaled", [0, 0, 0, 0, 0, 0, 0]),
        ("window_full_unknown", [0, 0, 0, 0]),
    ],
)
def test_the_shift_of_a_window_is_what_its_sender_has_said(name, shifts):
    """None in a SYN, none where one side does not scale or no SYN was seen."""
    rows = rows_of(CASES[name])
    table = FlowTable(FlowConfig(), conversations=DEFAULT)

    assert table.update(rows, 0).links["tcp_window_shift"].tolist() == shifts


@pytest.mark.kernel
@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("seq", [0, 2**32 - 1050, 2**31 - 1050, 2**32 - 5050])
def test_a_segment_is_held_against_the_next_number_expected(is_mirrored, seq):
    """In order, after a gap, overtaken, sent again; SYN and FIN count one, a probe nothing."""
    written = [
        (Segment(0, 0, SYN, 1000), 0),
        (Segment(1, 0, SYN, 1000), -1),
        (Segment(5, 1, SYN | ACK, 5000, 1001), 0),
        (Segment(10, 0, ACK, 1001, 5001), 0),
        (Segment(11, 0, ACK, 1001, 5001, 7), 0),
        (Segment(12, 0, ACK, 1031, 5001, 11), 23),
        (Segment(13, 0, ACK, 1008, 5001, 13), -34),
        (Segment(14, 0, ACK, 1042, 5001, 5, more_fragments=1), 0),
        (Segment(15, 0, ACK, 1041, 5001), -1),
        (Segment(16, 1, ACK, 5001, 1042, window=0), 0),
        (Segment(300, 0, ACK, 1042, 5001, 1), 0),
        (Segment(400, 0, ACK, 1042, 5001, 3), 0),
        (Segment(500, 0, FIN | ACK, 1045, 5001), 0),
        (Segment(501, 0, ACK, 1046, 5001), 0),
        (Segment(502, 0, RST, 1045, 0), -1),
        (Segment(503, 1, RST, 5101, 0), 100),
        (Segment(504, 1, ACK, 5100 + 2**31, 1046), 2**31 - 1),
        (Segment(505, 1, ACK, 5100 + 2**32, 1046), -(2**31)),
        (Segment(600, 0, SYN, 9000), 0),
        (Segment(605, 1, SYN | ACK, 7000, 9001), 0),
    ]
    segments = [segment for segment, _ in written]
    rows = rows_of(shifted(mirrored(segments) if is_mirrored else segments, seq))

    assert [advance for *_, advance in analysed(rows)[0]] == [advance for _, advance in written]
    assert_agree(rows)


@pytest.mark.kernel
def test_a_hash_alone_makes_no_conversation():
    """Where all hashes are equal, addresses, ports, version and tunnel still tell them apart."""
    first = Segment(0, 0, ACK, 1000, 5000, 100)
    back = Segment(10, 1, ACK, 5000, 1100, 100)
    rows = rows_of([first, *[Segment(50, 0, ACK, 1000, 5000, 100)] * 8, back])
    for k, name in enumerate(("src_hi", "src_lo", "dst_hi", "dst_lo", "src_port", "dst_port"), 1):
        rows[k][name] += 1
    rows[7]["tunnel_id"] += 1
    rows[8]["ip_version"] = 6
    keys, links, task = np.zeros(10, KEY), np.zeros(10, LINK), np.zeros(1, TASK)
    keys["ts_ns"], keys["hash"], keys["vlan"] = rows["ts_ns"], 7, -1
    task["workers"] = 1

    analyse(rows, keys, links, Conversations(DEFAULT, 0).table, task)

    assert links["tcp_analysis"].tolist() == [0] * 10
    assert links["tcp_gap_ns"].tolist() == [0] * 9 + [10 * MS]
    assert not links["tcp_seq_advance"].any()


SEGMENTS = st.builds(
    Segment,
    at_ms=st.sampled_from([0, 0.5, 1, 2.999999, 3, 19.999999, 20, 25, 70, 5000]),
    sender=st.integers(0, 1),
    flags=st.sampled_from(
        [ACK] * 5 + [PSH | ACK, SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, 0, SYN | FIN]
    ),
    seq=st.integers(0, 6),
    ack=st.integers(0, 6),
    length=st.sampled_from([0, 0, 0, 1, 1, 2, 3]),
    window=st.integers(0, 4),
    scale=st.sampled_from([255] * 4 + [0, 1, 14]),
    conversation=st.sampled_from([0, 0, 0, 1]),
    vlan=st.sampled_from([-1, -1, 5]),
    ip_version=st.sampled_from([4, 4, 4, 6]),
    more_fragments=st.sampled_from([0] * 9 + [1]),
)
BASES = st.sampled_from([0, 1, 1000, 2**31 - 3, 2**32 - 3])


@pytest.mark.kernel
@settings(deadline=None, max_examples=300)
@given(st.lists(SEGMENTS, max_size=40), BASES)
@example([Segment(0, 0, SYN, 6, window=4), Segment(0, 0, ACK, 7, length=3, window=4)], 2**32 - 3)
def test_agrees_with_the_twin(segments: Sequence[Segment], base: int):
    """Few sequence numbers, both directions, around the wrap, times in any order."""
    assert_agree(rows_of(shifted(segments, base)))


@pytest.mark.kernel
def test_agrees_with_the_twin_when_it_forgets():
    """With one or two conversations a bucket, the one that was silent longest makes room."""
    rng = np.random.default_rng(3)
    which = np.minimum(rng.geometric(0.01, 3000), 400)
    segments = [
        Segment(k, int(rng.integers(2)), ACK, int(rng.integers(1, 9)), 1, 1, conversation=int(c))
        for k, c in enumerate(which)
    ]
    rows = rows_of(segments)
    rows["n_vlan_tags"] = rng.integers(0, 2, len(rows))

    for capacity in (64, 128):
        config = ConversationsConfig(capacity=capacity)
        assert_agree(rows, config)
        counts = analysed(rows, config)[1]
        assert counts["conversations_evicted_total"] > 300
        assert counts["conversations_held"] <= counts["conversations_capacity"] == capacity
    assert analysed(rows)[0] != analysed(rows, TINY)[0]


@pytest.mark.parametrize(
    "name",
    ["nDPI/1kxun.pcap", "nDPI/weibo.pcap", "nDPI/reasm_crash_anon.pcapng"],
)
def test_agrees_with_the_twin_on_real_traffic(name):
    """Whatever the batch and the workers, over suspension, and with room for few conversations."""
    path = shared_data() / "pcaps" / name
    if not path.exists():
        pytest.fail(f"{path}: want the capture that the corpus has")
    rows = decoded(path)

    expected = naive.analyse(as_dicts(rows))

    assert analysed(rows)[0] == expected
    assert analysed(rows, batch=7, workers=2)[0] == expected
    assert analysed(rows, batch=100, suspend=True)[0] == expected
    assert_agree(rows, TINY)


@pytest.mark.kernel
def test_batches_workers_and_suspension_change_nothing():
    """One frame at a time as well as all at once, while conversations are being forgotten."""
    cases = [mirrored(case) if k % 2 else case for k, case in enumerate(CASES.values())]
    segments = [
        Segment(**{**vars_of(segment), "conversation": k})
        for k, case in enumerate(cases * 5)
        for segment in case
    ]
    rows = rows_of(sorted(segments, key=lambda segment: segment.at_ms))
    rows["n_vlan_tags"] = rows["src_port"] % 2

    expected = analysed(rows, TINY)

    assert expected[1]["conversations_evicted_total"] > 10
    for how in ({"batch": 1}, {"batch": 7, "workers": 3}, {"batch": 50, "suspend": True}):
        found, counts = analysed(rows, TINY, **how)
        assert found == expected[0]
        for name in ("held", "capacity", "evicted_total"):
            assert counts[f"conversations_{name}"] == expected[1][f"conversations_{name}"]


@pytest.mark.kernel
def test_what_is_forgotten_next_is_known_after_suspension():
    """Four conversations a bucket: lists, tags and rows given back are part of the state."""
    rng = np.random.default_rng(11)
    which = np.minimum(rng.geometric(0.005, 2000), 600)
    segments = [
        Segment(k, int(rng.integers(2)), ACK, int(rng.integers(1, 9)), 1, 1, conversation=int(c))
        for k, c in enumerate(which)
    ]
    rows, config = rows_of(segments), ConversationsConfig(capacity=256)

    expected = analysed(rows, config)

    assert expected[0] == naive.analyse(as_dicts(rows), 256)
    assert expected[1]["conversations_evicted_total"] > 200
    for batch in (90, 700):
        assert analysed(rows, config, batch=batch, suspend=True) == expected


@pytest.mark.kernel
def test_a_round_trip_of_no_time_is_not_known():
    """After a handshake within one time stamp, 3 ms are taken; the next ACK with a time tells."""
    segments = [
        Segment(0, 0, SYN, 1000),
        Segment(0, 1, SYN | ACK, 5000, 1001),
        Segment(0, 0, ACK, 1001, 5001),
        Segment(0, 0, ACK, 1001, 5001, 100),
        Segment(0, 0, ACK, 1101, 5001, 100),
        Segment(2, 0, ACK, 1101, 5001, 50, says=TcpAnalysis.OUT_OF_ORDER),
        Segment(2.5, 0, ACK, 1101, 5001, 50, says=TcpAnalysis.RETRANSMISSION),
    ]
    rows = rows_of(segments)

    assert_agree(rows)
    assert [bits for bits, *_ in analysed(rows)[0]] == [int(segment.says) for segment in segments]


def vars_of(segment: Segment) -> dict[str, Any]:
    """Fields of a segment by name."""
    return {name: getattr(segment, name) for name in Segment.__dataclass_fields__}


def test_outlives_flows():
    """A keep-alive after an hour is one, though the flow has ended many times over."""
    name = "keep_alive_and_its_ack"
    rows = rows_of(CASES[name])
    table = FlowTable(FlowConfig(), conversations=DEFAULT)

    links = table.update(rows, int(rows["clock_ns"][-1])).links

    assert len(set(links["connection_id"].tolist())) == 2
    assert links["tcp_analysis"].tolist() == [int(segment.says) for segment in CASES[name]]


def test_nobody_asks_and_nothing_is_done():
    """Without a view that wants it, links stay 0 and no kernel of it is imported."""
    program = (
        "import sys; from tapwatch.config import Config; from tapwatch.pipeline import Corridor;"
        "Corridor(Config(), ['flow']); print('tapwatch.flows.conversation_kernel' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout == "False\n", told.stderr

    rows = rows_of(CASES["keep_alive_and_its_ack"])
    table = FlowTable(FlowConfig())
    links = table.update(rows, 0).links
    assert not links["tcp_analysis"].any()
    assert not links["tcp_gap_ns"].any()
    assert not links["tcp_seq_advance"].any()
    assert table.suspend().conversations is None
    assert not [tally for tally in table.tallies() if "conversation" in tally.name]


@pytest.mark.parametrize(
    ("mine", "others"),
    [(None, TINY), (TINY, None), (TINY, ConversationsConfig(capacity=128))],
)
def test_refuses_the_state_of_another_table(mine, others):
    """The message names the key, what both have, and why it matters."""
    state = FlowTable(FlowConfig(), conversations=others).suspend()
    table = FlowTable(FlowConfig(), conversations=mine)
    held = others and others.capacity

    with pytest.raises(ConfigError, match=f"conversations.capacity = .*want {held}, as in the"):
        table.resume(state)


def test_memory_of_the_table_is_bounded():
    """What the default capacity can take at most."""
    state = FlowTable(FlowConfig(), conversations=TINY).suspend().conversations
    assert state is not None
    row_bytes = state.rows.itemsize + state.nodes.itemsize + 2 * state.slots.itemsize

    assert Config().conversations.capacity * row_bytes <= 130e6
