"""Real captures, against what tshark says of every frame of them."""

import shutil
import subprocess
from collections import defaultdict

import pyarrow.parquet as pq
import pytest

from tapwatch.capture import open_captures
from tapwatch.errors import CaptureError
from tests.shared_data import shared_data, shared_oracle

#: Link types that tshark 4.0 does not know, so that it prints nothing; tcpdump reads these files.
UNKNOWN_TO_TSHARK = {
    f"pcaps/tcpdump/{name}.pcap"
    for name in [
        *("brcm-tag", "brcm-tag-prepend", "dsa", "dsa-high-vid", "edsa", "edsa-high-vid"),
        *("frf16_magic_ie-oobr", "hoobr_juniper3", "juniper_es_oobr", "kday6", "vtp_asan"),
        *("juniper_monitor_invalid_cookie_length", "vtp_asan-2", "vtp_asan-3"),
        "bgp-lu-multiple-labels",  # tshark knows it, but was not asked
    ]
}
#: What tshark makes of time stamps that its own types cannot hold, and of other oddities.
OTHER_TIMES = {
    # fractions that overflow the 32 bits, with sign, of tshark's nanoseconds
    "pcaps/tcpdump/timestamp_invalid_micro.pcap",
    "pcaps/tcpdump/timestamp_invalid_nano.pcap",
    "pcaps/nDPI/fuzz-2021-06-07-c6c72a0a56.pcap",
    "pcaps/tcpdump/rx_serviceid_oobr.pcap",
    # negative microseconds as 64 unsigned bits: ours go to the border, in 2116
    "pcaps/PcapPlusPlus/PcapExamples_pcapng-example.pcapng",
    # wire lengths that make tshark take it for a variant of Nokia's
    "pcaps/tcpdump/atm-oam-loopback-print-overrun.pcap",
}
#: tshark takes the pseudo-header of 4 bytes off SunATM frames.
OTHER_LENGTHS = {
    "pcaps/tcpdump/atm-heapoverflow.pcap",
    "pcaps/tcpdump/atm-oam-heapoverflow.pcap",
    "pcaps/tcpdump/atm-oam-loopback-print-overrun.pcap",
}
FIELDS = ["frame_time_epoch", "frame_len", "frame_cap_len", "frame_protocols", "tshark_exit"]


def answers():
    """tshark's frames by capture; blocks of pcapng that it shows as frames of `data` left out."""
    table = pq.read_table(
        shared_oracle() / "tshark-4.0.17.parquet", columns=["capture", *FIELDS]
    ).to_pydict()
    found = defaultdict(list)
    for capture, *row in zip(*(table[name] for name in ["capture", *FIELDS]), strict=True):
        time, _, _, protocols, _ = row
        if time is not None or protocols != "data":
            found[capture].append(tuple(row))
    return found


def nanoseconds(text):
    """tshark prints a fraction of more than a second behind the point as it is."""
    seconds, fraction = text.split(".")
    return int(seconds) * 10**9 + int(fraction)


def frames_of(path):
    """(ts_ns, wire, captured) of each frame; None where the file is refused."""
    try:
        source = open_captures([str(path)])
    except CaptureError:
        return None
    rows = []
    while (batch := source.read()) is not None:
        rows += batch.frames[["ts_ns", "wire_bytes", "captured_bytes"]].tolist()
    source.close()
    return rows


def test_agrees_with_tshark_on_every_frame_of_the_corpus():
    """Count, time and both lengths; nothing but CaptureError is raised, whatever the file."""
    data, expected = shared_data(), answers()
    suffixes = (".pcap", ".pcapng", ".cap", ".snoop", ".gz")
    found = [p for folder in ("pcaps", "kitsune_mirai") for p in (data / folder).rglob("*")]
    paths = [p for p in sorted(found) if p.suffix in suffixes]
    n_frames, wrong = 0, []
    for path in paths:
        name = str(path.relative_to(data))
        rows, wanted = frames_of(path), expected.get(name, [])
        if name in UNKNOWN_TO_TSHARK:
            assert rows
            continue
        if not wanted:
            assert not rows, name
            continue
        if rows is None or len(rows) != len(wanted):
            wrong.append(f"{name}: {len(rows or [])} frames, tshark {len(wanted)}")
            continue
        n_frames += len(rows)
        for row, (time, wire, captured, _, _) in zip(rows, wanted, strict=True):
            # A simple packet has no time, where tshark prints none.
            if time is not None and name not in OTHER_TIMES and nanoseconds(time) != row[0]:
                wrong.append(f"{name}: {row[0]} ns, tshark {time}")
            # More captured than was on the wire: we believe the larger, tshark prints both.
            lengths = (max(int(wire), int(captured)), int(captured))
            if name not in OTHER_LENGTHS and row[1:] != lengths:
                wrong.append(f"{name}: {row[1:]} bytes, tshark {wire} {captured}")

    assert wrong == []
    assert n_frames > 450_000


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")
def test_reads_all_that_tcpdump_reads(tmp_path):
    """Of no file fewer packets; more of those that it refuses, or leaves at a second interface."""
    out, n_theirs = tmp_path / "theirs", 0
    for path in sorted((shared_data() / "pcaps").rglob("*.pcap*")):
        command = ["tcpdump", "--time-stamp-precision=nano", "-r", path, "-w", out]
        out.unlink(missing_ok=True)
        is_whole = subprocess.run(command, capture_output=True, check=False).returncode == 0
        theirs, ours = frames_of(out) or [], frames_of(path) or []
        assert len(ours) == len(theirs) if is_whole else len(ours) >= len(theirs), path
        n_theirs += len(theirs)

    assert n_theirs > 250_000


def test_the_whole_corpus_is_one_source_in_order_of_time():
    """Hundreds of files that overlap: every frame once, running maxima never fall."""
    folder = shared_data() / "pcaps" / "nDPI"
    paths = sorted(str(p) for p in folder.iterdir())
    one_by_one = sum(len(frames_of(p) or []) for p in paths)

    source = open_captures([str(folder)])
    numbers, until = 0, None
    while (batch := source.read()) is not None:
        assert batch.frames["number"].tolist() == [*range(numbers + 1, numbers + 1 + len(batch))]
        assert until is None or batch.until_ns >= until
        numbers, until = numbers + len(batch), batch.until_ns

    assert numbers == one_by_one
