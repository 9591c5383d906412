"""The ring that the kernel fills: every frame once, tags put back, lies counted."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.capture.ring import Ring
from tapwatch.tables import FRAME
from tests.capture.ring_images import ALIGN, HEADERS_BYTES, OUTGOING, TAGGED, TPID_GIVEN, walk
from tests.capture.ring_images import Block as B
from tests.capture.ring_images import Frame as F
from tests.capture.ring_images import ring as image_of

pytestmark = pytest.mark.kernel

BLOCK_BYTES = 4096
DISTINCT = bytes(range(1, 128))


def opened(blocks, link_type=1, **more):
    """A Ring over the image of some blocks, and its memory."""
    memory = np.frombuffer(image_of(blocks, BLOCK_BYTES), np.uint8)
    return Ring(memory, BLOCK_BYTES, link_type, 5, **more), memory


def told(ring, rows):
    """Rows as the slow reader says them."""
    return [
        (
            int(row["ts_ns"]),
            ring.data[row["start"] : row["start"] + row["captured_bytes"]].tobytes(),
            int(row["wire_bytes"]),
            int(row["vlan_tci"]),
            int(row["direction"]),
        )
        for row in rows
    ]


def read_all(ring, room=1000):
    """Rows of all that is ready, `room` at a time; blocks go back in between."""
    found = []
    while True:
        frames = np.full(room, 0x55, np.dtype((np.void, FRAME.itemsize))).view(FRAME)
        ring.release()
        n = ring.fill(frames)
        if n == 0:
            return found
        assert set(frames["interface"][:n].tolist()) == {5}
        found += told(ring, frames[:n])


def agrees(block, **options):
    """One block: the kernel finds what the slow reader finds, however large its batches."""
    image = block.image(BLOCK_BYTES)
    wanted = walk(image, **options)
    for room in (1, 2, 1000):
        ring, memory = opened([block, B(status=0)], **options)
        before = memory.copy()

        assert read_all(ring, room) == wanted.rows
        assert (ring.loopback_copies, ring.unreadable) == (wanted.copies, wanted.unreadable)
        assert np.array_equal(memory[BLOCK_BYTES:], before[BLOCK_BYTES:])
    return wanted


FRAMES = {
    "plain": F(DISTINCT),
    "empty": F(b""),
    "cut": F(DISTINCT, wire=1500),
    "longer than the wire": F(DISTINCT, wire=3),
    "wire that is a lie": F(DISTINCT, wire=0xFFFFFFFF),
    "latest time": F(DISTINCT, ts_ns=0xFFFFFFFF * 10**9 + 999_999_999),
    "tag": F(DISTINCT, tci=0x2064, tpid=0x8100, status=TAGGED | TPID_GIVEN),
    "service tag": F(DISTINCT, tci=0xFFFF, tpid=0x88A8, status=TAGGED | TPID_GIVEN),
    "tag without a protocol": F(DISTINCT, tci=100, status=TAGGED),
    "tag of an old kernel": F(DISTINCT, tci=100),
    "priority tag 0": F(DISTINCT, tci=0, tpid=0x8100, status=TAGGED | TPID_GIVEN),
    "protocol 0, given": F(DISTINCT, tci=1, tpid=0, status=TAGGED | TPID_GIVEN),
    "tag, twelve bytes": F(DISTINCT[:12], tci=100, status=TAGGED),
    "tag, eleven bytes": F(DISTINCT[:11], tci=100, status=TAGGED),
    "tag, no room": F(DISTINCT, tci=100, status=TAGGED, room=0),
    "tag, little room": F(DISTINCT, tci=100, status=TAGGED, room=3),
    "tag, much room": F(DISTINCT, tci=100, status=TAGGED, room=9),
    "going out": F(DISTINCT, packet_type=OUTGOING),
    **{f"packet type {k}": F(DISTINCT, packet_type=k) for k in (0, 1, 2, 3, 5, 6, 7, 255)},
}


@pytest.mark.parametrize("skips_outgoing", [False, True])
@pytest.mark.parametrize("link_type", [1, 101])
@pytest.mark.parametrize("name", FRAMES)
def test_each_kind_of_frame_becomes_the_row_of_the_slow_reader(name, link_type, skips_outgoing):
    """Alone, and between others that must stay as they are."""
    other = F(DISTINCT[::-1], ts_ns=5)
    for frames in ([FRAMES[name]], [other, FRAMES[name], other]):
        agrees(B(frames), link_type=link_type, skips_outgoing=skips_outgoing)


def test_a_tag_is_where_a_recording_has_it():
    """Behind the two addresses, four bytes more captured and on the wire, as libpcap puts it."""
    ring, _ = opened([B([FRAMES["tag"]])])

    [(_, data, wire, beside, _)] = read_all(ring)

    assert data == DISTINCT[:12] + bytes.fromhex("81002064") + DISTINCT[12:]
    assert (wire, beside) == (len(DISTINCT) + 4, -1)


LIES = {
    "first header before the block's own ends": B([F(DISTINCT)], first=40),
    "first header not aligned": B([F(DISTINCT)], first=52),
    "first header at the end": B([F(DISTINCT)], first=BLOCK_BYTES - HEADERS_BYTES + 4),
    "last place that a header fits": B([F(DISTINCT)], first=BLOCK_BYTES - HEADERS_BYTES - 4),
    "first header in the last eight bytes": B([F(DISTINCT)], first=BLOCK_BYTES - 8),
    "first header far away": B([F(DISTINCT)], first=0xFFFFFFF8),
    "more packets than there are": B([F(DISTINCT)], n_packets=2),
    "four billion packets": B([F(DISTINCT)] * 3, n_packets=0xFFFFFFFF),
    "no packets": B([F(DISTINCT)], n_packets=0),
    "frame in its own header": B([F(DISTINCT, mac=HEADERS_BYTES - 1), F(DISTINCT)]),
    "frame beyond the block": B([F(DISTINCT), F(DISTINCT, captured=BLOCK_BYTES)]),
    "captured length of all ones": B([F(DISTINCT, captured=0xFFFFFFFF), F(DISTINCT)]),
    "frame far from its header": B([F(DISTINCT, mac=0xFFFF), F(DISTINCT)]),
    "step to itself": B([F(DISTINCT, step=0), F(DISTINCT)]),
    "step into its own header": B([F(DISTINCT, step=HEADERS_BYTES - 4), F(DISTINCT)]),
    "step not aligned": B([F(DISTINCT, step=HEADERS_BYTES + 1), F(DISTINCT)]),
    "step out of the block": B([F(DISTINCT, step=BLOCK_BYTES), F(DISTINCT)]),
    "step of all ones": B([F(DISTINCT, step=-1), F(DISTINCT)]),
}


@pytest.mark.parametrize("name", LIES)
def test_nothing_is_read_beyond_the_last_block(name):
    """The block that lies is the end of the memory: with bounds checks a read past it fails."""
    ring, _ = opened([LIES[name]])

    found = read_all(ring)

    assert found == walk(LIES[name].image(BLOCK_BYTES)).rows


@pytest.mark.parametrize("name", LIES)
def test_headers_that_cannot_be_end_their_block_and_are_counted(name):
    """What came before is handed over; every frame that the block claims is a row or counted."""
    block = LIES[name]

    found = agrees(block)

    claimed = len(block.frames) if block.n_packets is None else block.n_packets
    assert len(found.rows) + found.unreadable == claimed


def test_a_frame_may_end_where_its_block_ends_and_not_a_byte_later():
    """The border itself, from both sides."""
    room = BLOCK_BYTES - 48 - HEADERS_BYTES - 4
    fits, is_longer = (agrees(B([F(bytes(room), captured=room + more)])) for more in (0, 1))

    assert [len(fits.rows), fits.unreadable] == [1, 0]
    assert [len(is_longer.rows), is_longer.unreadable] == [0, 1]


@pytest.mark.parametrize(
    ("offset", "value"),
    list(itertools.product(range(8, 48 + HEADERS_BYTES, 2), (0, 1, 0x7F, 0xFFFF))),
)
def test_any_half_word_of_the_headers_may_lie(offset, value):
    """Each 16 bits of the block header and the first frame header in turn."""
    block = B([F(DISTINCT, tci=100, status=TAGGED), F(DISTINCT, ts_ns=9)])
    image = bytearray(block.image(BLOCK_BYTES))
    image[offset : offset + 2] = value.to_bytes(2, "little")
    is_ours = image[8] & 1

    wanted = walk(bytes(image))
    memory = np.frombuffer(image + B(status=0).image(BLOCK_BYTES), np.uint8)
    ring = Ring(memory, BLOCK_BYTES, 1, 5)
    after = memory[BLOCK_BYTES:].copy()

    assert read_all(ring) == (wanted.rows if is_ours else [])
    assert ring.unreadable == (wanted.unreadable if is_ours else 0)
    assert np.array_equal(memory[BLOCK_BYTES:], after)


@st.composite
def lying_blocks(draw):
    """Blocks with frames of all sizes, some of them with a lie."""
    number = st.integers(0, 0xFFFFFFFF)
    frames = draw(
        st.lists(
            st.builds(
                F,
                data=st.binary(max_size=120),
                ts_ns=st.integers(0, (1 << 32) * 10**9 - 1),
                wire=st.none() | number,
                captured=st.none() | st.none() | st.integers(0, BLOCK_BYTES) | number,
                tci=st.sampled_from([0, 0, 1, 0xFFFF, 0x10000]),
                tpid=st.integers(0, 0xFFFF),
                status=st.sampled_from([0, TAGGED, TAGGED | TPID_GIVEN]),
                packet_type=st.integers(0, 8),
                room=st.integers(0, 12),
                mac=st.none() | st.none() | st.integers(0, 0xFFFF),
                step=st.none() | st.none() | st.integers(0, 40).map(lambda k: k * ALIGN),
            ),
            max_size=12,
        )
    )
    n_packets = draw(st.none() | st.none() | st.integers(0, 14))
    return B(frames, n_packets=n_packets)


@settings(max_examples=150, deadline=None)
@given(lying_blocks(), st.booleans())
def test_blocks_that_lie_are_read_as_the_slow_reader_reads_them(block, skips_outgoing):
    """All lies together."""
    wanted = walk(block.image(BLOCK_BYTES), skips_outgoing=skips_outgoing)
    ring, _ = opened([block, B(status=0)], skips_outgoing=skips_outgoing)

    assert read_all(ring) == wanted.rows
    assert (ring.loopback_copies, ring.unreadable) == (wanted.copies, wanted.unreadable)


def numbered(first, n):
    """A block of n frames whose times are first, first + 1, ..."""
    return B([F(DISTINCT[:20], ts_ns=first + i) for i in range(n)])


def times(frames):
    """Times of rows."""
    return frames["ts_ns"].tolist()


def test_one_batch_spans_blocks_and_a_block_spans_batches():
    """Five blocks of four frames in batches of seven: every frame once, in order."""
    ring, _ = opened([numbered(10 * k, 4) for k in range(5)])
    frames, seen = np.zeros(7, FRAME), []

    while n := (ring.release(), ring.fill(frames))[1]:
        seen.append(times(frames[:n]))
    in_all = [ts_ns for part in seen for ts_ns in part]

    assert [len(part) for part in seen] == [7, 7, 6]
    assert in_all == [10 * k + i for k in range(5) for i in range(4)]


def test_blocks_stay_ours_until_their_rows_are_done_with():
    """A block is the kernel's again at the release after its last frame was handed over."""
    ring, memory = opened([numbered(0, 4), numbered(10, 4), numbered(20, 4)])
    status = memory.reshape(3, BLOCK_BYTES)[:, 8]

    ring.fill(np.zeros(6, FRAME))
    during = status.tolist(), ring.fill_ratio
    ring.release()
    after = status.tolist(), ring.fill_ratio

    assert during == ([1, 1, 1], 1.0)
    assert after == ([0, 1, 1], pytest.approx(2 / 3))


def test_a_full_ring_is_read_once_and_not_again():
    """Blocks that are done, but not given back yet, are not taken for filled ones."""
    ring, _ = opened([numbered(0, 2), numbered(10, 2)])

    found = [ring.fill(np.zeros(9, FRAME)) for _ in range(3)]

    assert found == [4, 0, 0]


def test_reading_waits_for_the_block_whose_turn_it_is():
    """Blocks are read in the order of the ring, also where a later one is filled already."""
    ring, memory = opened([B(status=0), numbered(10, 2)])
    frames = np.zeros(9, FRAME)
    waiting = ring.fill(frames), ring.is_ready

    memory[:BLOCK_BYTES] = np.frombuffer(numbered(0, 2).image(BLOCK_BYTES), np.uint8)
    n = ring.fill(frames)

    assert waiting == (0, False)
    assert times(frames[:n]) == [0, 1, 10, 11]


def test_what_was_not_read_can_be_counted():
    """The rest of the block in hand, and all of those behind it."""
    ring, _ = opened([numbered(0, 4), numbered(10, 5), B(status=0)])
    counts = [ring.unread()]

    ring.fill(np.zeros(3, FRAME))
    counts.append(ring.unread())
    ring.release()
    ring.fill(np.zeros(3, FRAME))
    counts.append(ring.unread())

    assert counts == [9, 6, 3]


def test_rows_are_written_whole():
    """Every field, whatever was in the memory before."""
    ring, _ = opened([numbered(7, 1)])
    frames = np.full(1, 0x55, np.dtype((np.void, FRAME.itemsize))).view(FRAME)

    ring.fill(frames)

    assert frames[0].item() == (7, 48 + HEADERS_BYTES + 4, 0, 20, 20, -1, 1, 5, 1)
