"""Random packet sequences over a small space of keys, at times around every threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.config import FlowConfig
from tests.flows import craft
from tests.flows.agreement import assert_agree, assert_equal_bytes
from tests.flows.craft import ACK, FIN, GRE, ICMP, ICMPV6, PSH, RST, SCTP, SYN, TCP, UDP, S

EDGES = [1, 5, 10, 30, 60, 120]
STEPS = st.one_of(
    st.sampled_from([0, 1, 1000, S // 3, -1, -2 * S]),
    st.builds(lambda edge, off: edge * S + off, st.sampled_from(EDGES), st.integers(-1, 1)),
    st.sampled_from([20 * S, 25 * S, 40 * S, 59 * S]),
)
FLAGS = st.sampled_from([ACK, ACK, PSH | ACK, SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, 0xFFF, 0])
HEADS = st.fixed_dictionaries(
    {
        "proto": st.sampled_from([TCP, TCP, TCP, UDP, ICMP, ICMPV6, GRE, SCTP]),
        "src": st.integers(1, 2),
        "dst": st.integers(1, 2),
        "payload_bytes": st.sampled_from([0, 0, 1, 100, 1448, 65_000]),
    }
)
TCP_PART = st.fixed_dictionaries(
    {"tcp_flags": FLAGS, "tcp_seq": st.sampled_from([0, 1, 2, 2**32 - 1])}
)
ICMP_PART = st.fixed_dictionaries(
    {"icmp_type": st.sampled_from([0, 3, 8, 11, 128, 129]), "icmp_code": st.integers(0, 3)}
)
FRAGMENT_PART = st.fixed_dictionaries(
    {
        "frag_offset_bytes": st.sampled_from([0, 0, 8, 16, 24, 1480, 65_528]),
        "ip_id": st.integers(0, 1),
        "ip_bytes": st.sampled_from([20, 27, 28, 29, 36, 44, 65_535]),
        "ip_flags": st.integers(0, 1),
        "ip_header_bytes": st.just(20),
    }
)


@st.composite
def oddities(draw, proto):
    """Fields of a packet that is not plain: mostly none."""
    oddity = draw(st.integers(0, 15))
    if oddity == 0:
        return {"n_vlan_tags": 1, "vlan_tci": draw(st.sampled_from([0, 5, 0xF005]))}
    if oddity == 1:
        return {"tunnel_id": 9}
    if oddity == 2:
        return {"is_flow": 0, "status": draw(st.integers(0, 1))}
    if oddity == 3:
        return {"ip_version": 6, "src_hi": 1, "dst_hi": draw(st.integers(1, 2))}
    if oddity > 8:
        return {}
    fields = draw(FRAGMENT_PART) | {"is_fragment": 1, "ip_version": 4 if oddity < 7 else 6}
    if fields["frag_offset_bytes"]:
        fields |= {"transport_header_bytes": 0, "src_port": 0, "dst_port": 0}
        fields |= {"tcp_flags": 0, "icmp_type": 0, "icmp_code": 0}
        # An extension header may stand behind a fragment header; IPv4 has none, whoever says so.
        fields |= {"proto": draw(st.sampled_from([proto, proto, 60]))}
    return fields


@st.composite
def sequences(draw, max_size=40):
    """PACKET rows: mostly one or two conversations, seldom with tags, fragments or no flow."""
    now, packets = 0, []
    for head, step in draw(st.lists(st.tuples(HEADS, STEPS), max_size=max_size)):
        now += step
        fields = dict(head)
        proto = fields["proto"]
        if proto == TCP:
            fields |= draw(TCP_PART) | {"tcp_window": draw(st.sampled_from([0, 7, 65_535]))}
        if proto in (ICMP, ICMPV6):
            fields |= draw(ICMP_PART) | {"src_port": 0, "dst_port": 0}
        fields |= draw(oddities(proto))
        packets.append(craft.packet(**fields) | {"ts_ns": craft.T0 + now})
    return craft.table_of(packets)


@pytest.mark.kernel
@given(sequences())
@settings(deadline=None)
def test_agrees_with_the_twin(packets):
    """Rows, their order and the links are those of the slow program."""
    assert_agree(packets)


@pytest.mark.kernel
@given(sequences(), st.lists(st.integers(0, 40), max_size=5), st.integers(1, 2), st.booleans())
@settings(deadline=None)
def test_batch_borders_workers_and_suspension_do_not_show(packets, borders, workers, suspend):
    """Not a byte of any row, link or count depends on how the packets came."""
    whole = craft.file_all(packets)

    pieces = craft.file_all(packets, borders=tuple(borders), workers=workers, suspend=suspend)

    assert_equal_bytes(pieces, whole)


@pytest.mark.kernel
@pytest.mark.parametrize("seed", [1, (1 << 63) - 1])
def test_the_hash_seed_does_not_show(seed):
    """Another seed moves flows to other buckets; ids and rows stay."""
    packets = craft.table_of(
        [craft.packet(k / 10, src=k % 7, dst=k % 5, tcp_seq=k) for k in range(200)]
    )

    seeded = craft.file_all(packets, config=FlowConfig(hash_seed=seed))

    assert_equal_bytes(seeded, craft.file_all(packets))


@pytest.mark.kernel
def test_a_long_conversation_agrees_with_the_twin():
    """Thousands of packets of few flows: cuts, bulks both ways, late packets, idle gaps."""
    random = np.random.default_rng(7)
    steps = random.choice(
        [0, 10**6, 2 * 10**8, -(10**7), 12 * 10**8, 6 * S], 600, p=[0.1, 0.5, 0.2, 0.1, 0.08, 0.02]
    )
    times = np.cumsum(steps)
    packets = craft.table_of(
        [
            craft.packet(
                src=1 + turn,
                dst=2 - turn,
                proto=int(random.choice([TCP, UDP])),
                tcp_flags=int(random.choice([ACK, PSH | ACK | 0xC0, 0x120])),
                payload_bytes=int(random.choice([0, 1, 512, 1448])),
            )
            | {"ts_ns": craft.T0 + int(t)}
            for t, turn in zip(times, random.integers(0, 6, 600) // 5, strict=True)
        ]
    )

    assert_agree(packets, borders=(100, 101, 350))
