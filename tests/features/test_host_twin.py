"""The host view against its slow twin: random traffic, tiny tables, real captures, all batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.capture import open_captures
from tapwatch.config import WindowsConfig
from tapwatch.decode import Decoder
from tests.features.host_craft import assert_agrees, dns_message, made
from tests.flows.craft import packet, table_of
from tests.shared_data import shared_data

pytestmark = pytest.mark.kernel

MESSAGES = [
    dns_message(b"www.example.org"),
    dns_message(b"WWW.Example.ORG"),
    dns_message(b"q7xk2.t.example"),
    dns_message(b""),
    dns_message(b"no", flags=0x8183),
    dns_message(b"other.opcode", flags=0x2900),
    dns_message(b"none", questions=0),
    dns_message(b"pointer")[:12] + b"\xc0\x0c\0\1\0\1",
    dns_message(b"cut.off.name")[:20],
    dns_message(b"cut")[:11],
    dns_message(b".".join([b"a" * 63] * 3 + [b"b" * 61])),
    dns_message(b".".join([b"a" * 63] * 3 + [b"b" * 62])),
]
DATA = b"".join(MESSAGES)
STARTS = np.cumsum([0, *map(len, MESSAGES)]).tolist()


def random_traffic(seed: int, n_packets: int, n_hosts: int, longest_gap_s: float) -> np.ndarray:
    """Packets of everything that the view looks at, some late, some to groups."""
    rng = np.random.default_rng(seed)
    packets, at_s = [], 0.0
    for _ in range(n_packets):
        at_s += float(rng.choice([0, 0.001, 0.3, longest_gap_s]))
        proto = int(rng.choice([1, 6, 6, 6, 17, 17, 58, 47, 132]))
        src, dst = rng.integers(0, n_hosts, 2).tolist()
        which = int(rng.integers(len(MESSAGES)))
        fields = {
            "proto": proto,
            "src_port": int(rng.choice([53, 80, 1000, 1001])),
            "dst_port": int(rng.choice([22, 53, 80])),
            "tcp_flags": int(rng.choice([2, 18, 20, 16, 4, 17, 0])) if proto == 6 else 0,
            "icmp_type": int(rng.choice([0, 1, 3, 8, 128])),
            "payload_bytes": int(rng.choice([-1, 0, 5, 1400])),
            "wire_bytes": int(rng.choice([0, 60, 99, 100, 1499, 1500, 9000])),
            "interface": int(rng.integers(3)),
            "payload_start": STARTS[which],
            "payload_captured_bytes": len(MESSAGES[which]),
            "frag_offset_bytes": int(rng.choice([0, 0, 0, 1480])),
        }
        # All packets of a flow, both ways, go to a group or none: the view meets the other host at
        # the first packet of a flow in a window.
        flow = src + dst + proto + fields["src_port"] + fields["dst_port"]
        fields["eth_dst"] = 2 if flow % 4 else 0x0100_5E00_0001
        late_s = float(rng.choice([0, 0, 0, 0, 7.5]))
        p = packet(at_s - late_s, src, dst, **fields)
        p |= {"dst_lo": p["dst_lo"] | int(rng.choice([0, 0, 0, 0, 0xE0, 0xF0])) << 24}
        if rng.random() < 0.1:
            p |= {"ether_type": 0x0806, "is_flow": 0, "arp_opcode": int(rng.choice([0, 1, 2]))}
            p |= {"proto": 0}
        elif rng.random() < 0.2:
            p |= {"ip_version": 6, "dst_hi": int(rng.choice([0, 0xFF02 << 48, 0xFE80 << 48]))}
        packets.append(p)
    return table_of(packets)


WINDOWS = {
    "plain": WindowsConfig(),
    "sliding": WindowsConfig(host_s=6.0, hop_s=2.0),
    "short": WindowsConfig(host_s=0.5, hop_s=0.1),
    "forgetful": WindowsConfig(horizon_s=3.0),
}


@pytest.mark.parametrize("batch", [1, 7, 8192])
@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS)
def test_agrees_with_the_twin(windows, batch):
    """Every row, its place in the order, and every column."""
    if windows.horizon_s == 3.0:
        # The view notes a meeting at the first packet of a flow in a window, the twin at each one.
        packets = random_traffic(3, 150, 60, 3.5)
    else:
        packets = random_traffic(1, 400, 9, 4.9)

    assert len(assert_agrees(packets, DATA, windows=windows, batch=batch)) > 50


@pytest.mark.parametrize("batch", [1, 7, 8192])
@pytest.mark.parametrize("hop_s", [5.0, 2.5, 0.5])
def test_agrees_in_a_table_that_is_too_small(hop_s, batch):
    """Hosts that had to make room give their rows when and as the twin says."""
    windows = WindowsConfig(hosts=64, host_s=5.0, hop_s=hop_s)
    packets = random_traffic(2, 700, 300, 0.01)

    rows = assert_agrees(packets, DATA, windows=windows, batch=batch)

    assert np.count_nonzero(rows["end_reason"] == 5) > 20


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 60),
    st.integers(2, 12),
    st.sampled_from([0.01, 2.5, 61.0]),
    st.sampled_from(sorted(WINDOWS)[1:]),
)
def test_agrees_on_any_traffic(seed, n_packets, n_hosts, longest_gap_s, windows):
    """Few hosts that meet often, at any pace."""
    packets = random_traffic(seed, n_packets, n_hosts, longest_gap_s)

    assert assert_agrees(packets, DATA, windows=WINDOWS[windows]) is not None


def test_batches_do_not_show():
    """Values and rows are the same, bit by bit, for batches of 1, 7 and all, and for 2 threads."""
    packets = random_traffic(4, 500, 200, 0.3)
    windows = WindowsConfig(hosts=64, host_s=4.0, hop_s=2.0)
    whole = made(packets, DATA, windows=windows)

    for how in ({"batch": 1}, {"batch": 7}, {"workers": 2}):
        cut = made(packets, DATA, windows=windows, **how)
        assert cut[1].tobytes() == whole[1].tobytes()
        assert (cut[2] == whole[2]).all()


def test_float32_rounds_what_float64_says():
    """Models get the same numbers in less."""
    packets = random_traffic(5, 100, 9, 0.3)
    exact, rounded = (made(packets, DATA, dtype=dtype)[1] for dtype in (np.float64, np.float32))

    assert rounded.dtype == np.float32
    assert (exact.astype(np.float32) == rounded).all()


@pytest.mark.parametrize(
    "name",
    [
        "pcaps/nDPI/1kxun.pcap",
        "pcaps/nDPI/dns_fragmented.pcap",
        "pcaps/nDPI/dns-tunnel-iodine.pcap",
        "pcaps/nDPI/bad-dns-traffic.pcap",
        "pcaps/zeek/arp-who-has.pcap",
    ],
)
def test_agrees_on_real_traffic(name):
    """Real captures, decoded: the twin reads the same names out of the same bytes."""
    path = shared_data() / name
    if not path.exists():
        pytest.fail(f"{path}: want the capture that the corpus has")
    source, decoder, batches, data = open_captures([path]), Decoder(), [], b""
    while (frames := source.read()) is not None:
        packets = decoder.decode(frames).copy()
        packets["payload_start"] += len(data)
        batches.append(packets)
        data += frames.data.tobytes()

    assert len(assert_agrees(np.concatenate(batches)[:1500], data)) > 0
