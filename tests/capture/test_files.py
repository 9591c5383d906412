"""Several files are one source, in an order that depends on nothing but what is in them."""

import gzip
import os
import random
import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.capture import files, open_captures
from tapwatch.errors import CaptureError
from tests.capture import makers, naive

SECOND = 10**9


def write(folder, **contents):
    """Write files, one a keyword; their paths in the order given."""
    paths = []
    for name, raw in contents.items():
        path = folder / name
        path.write_bytes(raw)
        paths.append(path)
    return paths


def merged(*captures):
    """Canonical order by its definition: (running maximum of time, place of file, frame)."""
    ranked = sorted(captures, key=lambda c: c[0].ts_ns if c else 2**63)
    keyed = []
    for place, packets in enumerate(ranked):
        clock = -(2**63)
        for k, packet in enumerate(packets):
            clock = max(clock, packet.ts_ns)
            keyed.append((clock, place, k, packet))
    return [packet for *_, packet in sorted(keyed, key=lambda row: row[:3])]


@pytest.mark.parametrize("split", ["plain", "packed", "shuffled names"])
@pytest.mark.parametrize("batch_frames", [1, 7, 8192])
def test_a_capture_split_over_five_files_is_the_same(tmp_path, split, batch_frames):
    """Numbers, times, bytes and interfaces do not show where the files begin."""
    frames = makers.frames(503)
    whole = write(tmp_path, whole=makers.pcap(frames))
    names = {"shuffled names": "dbeac"}.get(split, "abcde")
    cuts = [0, 1, 100, 101, 400, 503]
    parts = [makers.pcap(frames[lo:hi]) for lo, hi in pairwise(cuts)]
    if split == "packed":
        parts[1], parts[3] = (gzip.compress(parts[i]) for i in (1, 3))
    paths = write(tmp_path, **dict(zip(names, parts, strict=True)))
    random.Random(1).shuffle(paths)

    expected, one = makers.contents(whole, batch_frames=batch_frames)
    found, five = makers.contents(paths, batch_frames=batch_frames)

    assert found == expected
    assert five.interfaces == one.interfaces == ("",)
    assert five.progress()[0] == five.progress()[1] > 0


times = st.lists(st.integers(0, 40), min_size=1, max_size=30)


@given(st.lists(times, min_size=1, max_size=5), st.sampled_from([1, 2, 3, 8192]))
@settings(deadline=None, max_examples=120)
def test_overlapping_files_are_merged_by_time(tmp_path_factory, clocks, batch_frames):
    """Ties go by the place of the file; within a file its own order stands, whatever its clock."""
    folder = tmp_path_factory.mktemp("merge")
    captures = {
        f"{i}": makers.pcap([(t * SECOND, bytes([i, k])) for k, t in enumerate(clock)])
        for i, clock in enumerate(clocks)
    }
    paths = write(folder, **captures)

    found, source = makers.contents(reversed(paths), batch_frames=batch_frames)

    assert found == merged(*(naive.read(raw)[0] for raw in captures.values()))
    clock, late = -1, 0
    for packet in found:
        late += packet.ts_ns < clock
        clock = max(clock, packet.ts_ns)
    assert source.counts.late_frames == late


def test_many_overlapping_files_with_many_frames_are_merged(tmp_path):
    """Blocks of read-ahead and of copying end in the middle of everything."""
    rng = random.Random(2)
    captures = {}
    for i in range(7):
        clock, frames = rng.randrange(50), []
        for k in range(700):
            clock += rng.choice([0, 0, 1, 5, -3])
            frames.append((10**12 + clock, struct.pack("<HH", i, k) * rng.randrange(1, 9)))
        captures[f"f{i}"] = makers.pcap(frames, nano=True)
    paths = write(tmp_path, **captures)
    expected = merged(*(naive.read(raw)[0] for raw in captures.values()))

    for batch_frames in (3, 256, 300, 8192):
        assert makers.contents(paths, batch_frames=batch_frames)[0] == expected


def test_merging_copies_in_bounded_pieces(tmp_path, monkeypatch):
    """Long frames make the buffer of a merge no longer than its limit, or one frame."""
    monkeypatch.setattr(files, "_GATHERED_BYTES", 1000)
    a = makers.pcap([(2 * k, bytes([k]) * 300) for k in range(50)], nano=True)
    b = makers.pcap([(2 * k + 1, bytes([k]) * 400) for k in range(50)], nano=True)
    c = makers.pcap([(51, bytes(3000)), (53, bytes(3000))], nano=True)
    for captures in ({"a": a, "b": b}, {"a": a, "b": b, "c": c}):
        paths = write(tmp_path, **captures)
        source = open_captures([str(p) for p in paths])
        sizes = []
        while (batch := source.read()) is not None:
            sizes.append(len(batch.data))

        copied = set(sizes) - {len(raw) for raw in captures.values()}
        assert max(copied) == (3000 if "c" in captures else 700)
    assert makers.contents(paths)[0] == merged(*(naive.read(raw)[0] for raw in (a, b, c)))


def test_files_that_do_not_overlap_are_not_copied(tmp_path):
    """Every batch points into what was read of the file."""
    parts = {n: makers.pcap(makers.frames(50, start_ns=i * 10**12)) for i, n in enumerate("abc")}
    source = open_captures([str(p) for p in write(tmp_path, **parts)])

    sizes = []
    while (batch := source.read()) is not None and not batch.flush:
        sizes.append(len(batch.data))

    assert sizes == [len(raw) for raw in parts.values()]


@pytest.mark.parametrize("make", [makers.pcap, makers.pcapng])
def test_where_batches_end_does_not_show(tmp_path, make):
    """Any batch size gives the same frames; the last batch is empty and flushes."""
    raw = make(makers.frames(100))
    [path] = write(tmp_path, capture=raw)
    expected = naive.read(raw)[0]

    for batch_frames in (1, 2, 99, 100, 101, 8192):
        source = open_captures([str(path)], batch_frames=batch_frames)
        batches = []
        while (batch := source.read()) is not None:
            batches.append(batch)
        assert max(map(len, batches)) == min(batch_frames, 100)
        assert [b.flush for b in batches] == [False] * (len(batches) - 1) + [True]
        assert len(batches[-1]) == 0
        assert batches[-1].until_ns == expected[-1].ts_ns
        assert makers.contents([path], batch_frames=batch_frames)[0] == expected


@pytest.mark.parametrize("step", [1, 23, 64, 1000])
def test_where_blocks_end_does_not_show(tmp_path, monkeypatch, step):
    """Records may lie across the border of what was read so far."""
    monkeypatch.setattr(files, "_BLOCK_BYTES", step)
    monkeypatch.setattr(files, "_BLOCK_MIN_BYTES", step)
    monkeypatch.setattr(files, "_LOOK_BYTES", step)
    frames = makers.frames(40)
    for raw in (makers.pcap(frames), makers.rich_pcapng(), makers.snoop(frames)):
        paths = write(tmp_path, capture=raw, empty=makers.pcap([]))

        assert makers.contents(paths[:1])[0] == naive.read(raw)[0]
        assert makers.contents(paths)[0] == naive.read(raw)[0]


def test_sections_do_not_end_batches(tmp_path):
    """Many small sections, as `cat` of small captures makes them, are read in whole blocks."""
    one = makers.section() + makers.interface() + makers.enhanced(1, b"x")
    [path] = write(tmp_path, sections=one * 1000)

    source = open_captures([str(path)])
    sizes = []
    while (batch := source.read()) is not None:
        sizes.append(len(batch))

    assert sizes == [1000, 0]


def test_batches_outlive_their_source(tmp_path):
    """What was handed over stays good after the file is closed."""
    [path] = write(tmp_path, capture=makers.pcap(makers.frames(3)))
    source = open_captures([str(path)])

    batch = source.read()
    source.close()
    del source

    row = batch.frames[2]
    start, size = row["start"], row["captured_bytes"]
    assert batch.data[start : start + size].tobytes() == makers.frames(3)[2][1]


def test_a_capture_without_packets_gives_nothing(tmp_path):
    """No batch at all, and no complaint."""
    paths = write(tmp_path, a=makers.pcap([]), b=makers.pcapng([]))

    for chosen in ([paths[0]], [paths[1]], paths):
        source = open_captures([str(p) for p in chosen])
        assert source.read() is None
        assert source.problems == []


def test_interfaces_are_numbered_by_their_first_frame(tmp_path):
    """Not by the order in which they are described: so a split does not change them."""
    head = makers.section() + b"".join(makers.interface(name=n, tsresol=9) for n in "xyz")
    packets = [makers.enhanced(t, b"p", which=w) for t, w in enumerate([2, 2, 0, 2, 0])]
    whole = write(tmp_path, whole=head + b"".join(packets))
    parts = {f"p{4 - i}": head + packet for i, packet in enumerate(packets)}
    split = write(tmp_path, **parts)

    assert makers.contents(whole)[1].interfaces == ("z", "x")
    for batch_frames in (1, 100):
        found, source = makers.contents(split, batch_frames=batch_frames)
        assert source.interfaces == ("z", "x")
        assert [p.interface for p in found] == ["z", "z", "x", "z", "x"]


def test_more_interfaces_than_numbers_share_the_last(tmp_path):
    """A hostile file cannot make the table grow without bound."""
    block = makers.section() + b"".join(makers.interface(name=f"{i:04x}") for i in range(40_000))
    more = makers.section() + b"".join(makers.interface(name=f"{i:04x}b") for i in range(40_000))
    tail = makers.enhanced(1, b"x", which=39_999) + makers.enhanced(2, b"y", which=0)
    [path] = write(tmp_path, many=block + more + tail)

    found, source = makers.contents([path])

    assert len(found) == 2
    assert len(source.interfaces) == 2


def test_a_directory_gives_the_captures_in_it(tmp_path):
    """What is not a capture is passed over; what begins like one and ends at once is named."""
    write(
        tmp_path,
        b=makers.pcap(makers.frames(3)),
        a=makers.pcapng(makers.frames(3, start_ns=5)),
        readme=b"not a capture",
        empty=b"",
        rotated=makers.pcap([])[:20],
    )
    (tmp_path / "sub").mkdir()

    found, source = makers.contents([tmp_path])

    assert [p.ts_ns for p in found] == [t for t, _ in makers.frames(3, start_ns=5)] + [
        t for t, _ in makers.frames(3)
    ]
    assert len(source.problems) == 1
    assert "rotated" in source.problems[0]


def test_a_directory_may_hold_every_format_and_link_type(tmp_path):
    """One stream in order of time: each frame with the link type of its own file or interface."""
    second = 10**9
    mixed = makers.section(">") + makers.interface(">") + makers.interface(">", link_type=228)
    mixed += makers.enhanced(1_500_000, b"e", order=">", which=1)
    mixed += makers.enhanced(4_500_000, b"h", order=">")
    write(
        tmp_path,
        little=makers.pcap([(second, b"d"), (5 * second, b"i")], link_type=101),
        big=makers.pcap([(2 * second, b"f")], order=">", nano=True, link_type=113),
        patched=makers.pcap([(second // 2, b"c")], magic=makers.KUZNETZOV, link_type=0),
        solaris=makers.snoop([(3 * second, b"g")], datalink=8),
        packed=gzip.compress(makers.snoop([(second // 4, b"b")])),
        ixia=makers.pcap([(1000, b"a")], magic=makers.IXIA_HARDWARE),
        blocks=mixed,
        foreign=b"GMBU" + bytes(100),
    )

    found, source = makers.contents([tmp_path])

    assert b"".join(p.captured for p in found) == b"abcdefghi"
    assert [p.link_type for p in found] == [1, 1, 0, 101, 228, 113, 10, 1, 101]
    assert len(source.problems) == 1
    assert "foreign: found a Microsoft Network Monitor 2 capture" in source.problems[0]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("missing", "No such file"),
        ("empty", "an empty file"),
        ("text", "the bytes 68 65 6c 6c 6f"),
        ("short", "the bytes 61"),
        ("header", "a pcap file header of 10 bytes, cut short"),
        ("folder", "a directory without files"),
        ("texts", "a directory without captures"),
        ("netmon", "a Microsoft Network Monitor 2 capture"),
        ("lz4", "a file packed with lz4"),
        ("ixia", "a pcap file header of 24 bytes, cut short"),
        ("snoop", "a snoop file header of 15 bytes, cut short"),
        ("shomiti", "snoop version 3"),
        ("sonet", "a snoop capture of the unknown datalink 5"),
    ],
)
def test_what_is_not_a_capture_is_refused(tmp_path, name, found):
    """The message names the file, what was found and what is wanted; the exit code is 3."""
    write(tmp_path, empty=b"", text=b"hello", short=b"a", header=makers.pcap([])[:10])
    write(tmp_path, netmon=b"GMBU\0\2" + bytes(90), lz4=b"\x04\x22\x4d\x18" + bytes(90))
    write(tmp_path, snoop=makers.snoop([])[:15], shomiti=makers.snoop([], version=3))
    ixia = makers.pcap([], magic=makers.IXIA_SOFTWARE)[:27]
    write(tmp_path, sonet=makers.snoop([], datalink=5), ixia=ixia)
    (tmp_path / "folder").mkdir()
    (tmp_path / "texts").mkdir()
    write(tmp_path / "texts", a=b"text", b=b"")

    with pytest.raises(CaptureError) as refusal:
        open_captures([str(tmp_path / name)])

    assert refusal.value.exit_code == 3
    assert str(tmp_path / name) in str(refusal.value)
    assert found in str(refusal.value)
    assert "want" in str(refusal.value)


def test_one_bad_file_among_good_ones_is_refused_at_once(tmp_path):
    """Nothing is read before it is known that all can be."""
    good, bad = write(tmp_path, good=makers.pcap(makers.frames(2)), bad=b"hello")

    with pytest.raises(CaptureError, match="bad"):
        open_captures([str(good), str(bad)])
    with pytest.raises(CaptureError, match="at most once"):
        open_captures(["-", "-"])
    with pytest.raises(CaptureError, match="at least one"):
        open_captures([])


def test_damage_in_one_file_does_not_touch_the_others(tmp_path):
    """What each file gives is what it holds before its damage."""
    frames = makers.frames(30)
    a, b, c = (makers.pcap(frames[lo : lo + 10]) for lo in (0, 10, 20))
    paths = write(tmp_path, a=a, b=b[:-1], c=c)

    found, source = makers.contents(paths)

    assert len(found) == 29
    assert source.counts.truncated_files == 1
    assert source.problems[0].startswith(f"{paths[1]}: cut short in the middle of record 10")


def test_a_file_that_vanishes_while_others_are_read_is_named(tmp_path):
    """It was there at the start: the loss is counted, and the rest goes on."""
    paths = write(
        tmp_path, a=makers.pcap(makers.frames(3)), b=makers.pcap(makers.frames(3, start_ns=2**61))
    )
    source = open_captures([str(p) for p in paths])
    paths[1].unlink()

    n = 0
    while (batch := source.read()) is not None:
        n += len(batch)

    assert n == 3
    assert "b: cannot be opened" in source.problems[0]
    assert source.counts.damaged_files["unreadable"] == 1


MANY = [(t, struct.pack("<Q", t) + bytes(12_000)) for t in range(500)]  # several blocks


def interrupted(path, change):
    """What is read of a file that changes after the first batch, and the source."""
    source = open_captures([str(path)], batch_frames=20)
    batch = source.read()
    before, numbers = batch.data.tobytes(), []
    change(path)
    assert batch.data.tobytes() == before  # it was handed over
    while batch is not None:
        for row in batch.frames:
            numbers += struct.unpack("<Q", batch.data[row["start"] :][:8].tobytes())
        batch = source.read()
    return numbers, source


@pytest.mark.parametrize("make", [makers.pcap, makers.pcapng])
@pytest.mark.parametrize("left", [0, 10, 1000, 3_000_000])
def test_a_file_that_shrinks_while_it_is_read_is_named(tmp_path, make, left):
    """As `tcpdump -C -W` and copytruncate do it: no signal, and what was read stays good."""
    [path] = write(tmp_path, shrinks=make(MANY))

    numbers, source = interrupted(path, lambda path: os.truncate(path, left))

    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= max(20, left // 12_050)
    assert source.counts.packets == len(numbers) < len(MANY)
    assert source.counts.damaged_files == {"cut_short": 1, "corrupt": 0, "unreadable": 0}
    assert "shrinks: became shorter while it was read after byte" in source.problems[0]


def test_a_file_that_is_overwritten_while_it_is_read_is_named(tmp_path):
    """A recorder that has come round begins its oldest file again: no packet of both is shown."""
    [path] = write(tmp_path, ring=makers.pcap(MANY))
    other = makers.pcap([(t + 5, b"\xff" * 9000) for t, _ in MANY] * 2)

    numbers, source = interrupted(path, lambda path: path.write_bytes(other))

    assert numbers == list(range(len(numbers)))
    assert 20 <= len(numbers) < len(MANY)
    assert source.counts.damaged_files == {"cut_short": 0, "corrupt": 1, "unreadable": 0}
    assert "ring: was overwritten while it was read" in source.problems[0]


@pytest.mark.parametrize("change", ["grows", "moves", "header"])
def test_a_file_that_is_still_written_to_is_read_as_it_was(tmp_path, change):
    """What is appended later is not read; a new name or a header filled in late changes nothing."""
    [path] = write(tmp_path, recorded=makers.pcap(MANY))

    def changed(path):
        if change == "moves":
            path.rename(tmp_path / "elsewhere")
        else:
            with path.open("r+b") as file:
                file.seek(16 if change == "header" else 0, 0 if change == "header" else 2)
                file.write(struct.pack("<I", 96) if change == "header" else makers.pcap(MANY)[24:])

    numbers, source = interrupted(path, changed)

    assert numbers == list(range(len(MANY)))
    assert source.problems == []


def test_blocks_of_many_overlapping_files_are_bounded(tmp_path, monkeypatch):
    """The more files are open together, the smaller are their buffers."""
    monkeypatch.setattr(files, "_BLOCKS_BYTES", 1 << 18)
    clocks = [range(i, 40_000, 20) for i in range(20)]
    raws = [makers.pcap([(t, bytes(60)) for t in clock], nano=True) for clock in clocks]
    paths = write(tmp_path, **{f"f{i:02}": raw for i, raw in enumerate(raws)})

    source = open_captures([str(p) for p in paths])
    n, seen = 0, 0
    while (batch := source.read()) is not None:
        n += len(batch)
        seen = max(seen, sum(len(run._data) for run in source._runs))

    assert n == 40_000
    assert 1 << 17 < seen <= 1 << 18


def test_tallies_count_every_frame_and_loss(tmp_path):
    """All label values are there from the start, and none comes from a file."""
    raw = makers.pcap(makers.frames(5), cut=2)
    backwards = makers.pcap([(5, b"x" * 9), (3, b"y" * 9)], nano=True)
    paths = write(tmp_path, a=raw[:-1], b=backwards, c=makers.rich_pcapng())
    fresh = open_captures([str(p) for p in paths])

    before = {t.name: t.values for t in fresh.tallies()}
    _, source = makers.contents(paths)
    after = {t.name: t.values for t in source.tallies()}

    assert before["capture_received_packets_total"] == {("file", "0"): 0}
    assert before["capture_damaged_files_total"] == {
        ("cut_short",): 0,
        ("corrupt",): 0,
        ("unreadable",): 0,
    }
    assert after["capture_received_packets_total"] == {("file", "0"): 14}
    assert after["capture_received_bytes_total"][("file", "0")] == source.counts.bytes
    assert after["capture_dropped_packets_total"] == {("file", "0"): 0}
    assert after["capture_truncated_packets_total"] == {("file", "0"): 8}
    assert after["capture_damaged_files_total"][("cut_short",)] == 1
    assert after["capture_skipped_blocks_total"] == {(): 4}
    assert after["capture_recorder_dropped_packets_total"] == {(): 20}
    assert after["capture_filtered_packets_total"] == {(): 0}
    assert after["capture_late_frames_total"] == {(): source.counts.late_frames}
    assert source.counts.late_frames > 0
    assert np.isclose(
        after["capture_last_packet_timestamp_seconds"][("file",)], source.counts.last_ts_ns / 1e9
    )
