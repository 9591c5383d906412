"""A capture, and the CSV that tshark makes of it, give the same rows.

tshark writes the seven columns of Wireshark's list of packets; a column of its own says which
protocols each frame holds, so that the classes of frames that are left out can be told.
"""

import os
import re
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.csv
import pytest
import zstandard

from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.detect.export import as_export
from tapwatch.errors import CaptureError
from tapwatch.features import SCHEMAS
from tapwatch.pipeline import Corridor, extract
from tapwatch.training.wireshark_csv import open_table
from tapwatch.training.wireshark_csv_info import READERS
from tests.features.variation import captures
from tests.shared_data import ROOT, shared_data

SCHEMA = SCHEMAS["packet"]
LABEL, UNDECODED = SCHEMA.names.index("protocol"), SCHEMA.names.index("undecoded")
GIVEN = [k for k, column in enumerate(SCHEMA.columns) if column.export]
OF_PAIRS = [k for k in GIVEN if SCHEMA.names[k].startswith("pair_")]
OF_ANALYSIS = [k for k in GIVEN if SCHEMA.names[k].startswith("tcp_analysis_")]
ADVANCE = SCHEMA.names.index("tcp_seq_advance")
OTHERS = [k for k in GIVEN if k not in [*OF_PAIRS, *OF_ANALYSIS, ADVANCE]]
#: Labels of rows that are known to be no TCP, or show their sequence number.
HEARD = [SCHEMA.columns[LABEL].categories.index(word) for word in READERS]
COLUMNS = ("No.", "Time", "Source", "Destination", "Protocol", "Length", "Info")
#: Every frame speaks for itself, as in our rows: no datagram or stream is put together.
OPTIONS = ("ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams")
#: A network header behind another one, or a link header behind another one.
SECOND_HEADER = re.compile(
    r"(^|:)(ip|ipv6)(:.*)?:(ip|ipv6|arp)(:|$)|(^|:)(eth|sll|wlan)(:.*)?:(eth|wlan|eth_maybefcs)(:|$)"
)

#: Its IP packets are longer than the PPPoE frames around them: tshark believes PPPoE, we IP.
_LONGER_THAN_ITS_FRAME = "pppoe-over-qinq.pcap"


@dataclass
class Found:
    """What was compared, what was left out, and what differs."""

    rows: int = 0
    pair_rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    differs: Counter[str] = field(default_factory=Counter)
    advances: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    seen: dict[str, set[float]] = field(default_factory=dict)  # values of each column, a few


def tshark() -> str:
    """The program, or why the test is skipped."""
    found = shutil.which("tshark")
    if found is None:
        reason = "tshark is not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return found


def export(capture: Path, folder: Path) -> tuple[Path, list[str]]:
    """The CSV that tshark makes of a capture, and the protocols of each of its lines."""
    command = [tshark(), "-n", "-r", str(capture), "-T", "fields", "-E", "header=y"]
    command += ["-E", "separator=,", "-E", "quote=d", "-E", "occurrence=f"]
    for option in OPTIONS:
        command += ["-o", f"{option}:FALSE"]
    for name in ("frame.protocols", *(f"_ws.col.{column}" for column in COLUMNS)):
        command += ["-e", name]
    path = folder / f"{capture.name}.csv"
    with path.open("wb") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=False)
    lines = path.read_text(errors="replace").splitlines()[1:]
    return path, [line.split('"')[1] if '"' in line else "" for line in lines]


def live_rows(capture: Path) -> np.ndarray:
    """Rows of the packet view of the capture itself, in float64."""
    try:
        source = open_captures([str(capture)])
    except CaptureError:
        return np.zeros((0, len(SCHEMA.columns)))
    corridor = Corridor(Config(), ["packet"], dtype=np.float64)
    batches = [batch.values for batch, _ in extract(source, corridor, "packet")]
    source.close()
    return np.concatenate([np.zeros((0, len(SCHEMA.columns))), *batches])


def compare(capture: Path, folder: Path, found: Found) -> None:
    """Hold the rows of a capture against those of its export."""
    path, protocols = export(capture, folder)
    if len(protocols) == 0:
        found.left_out["captures that tshark cannot open"] += 1
        return
    theirs = np.concatenate(
        [np.zeros((0, len(SCHEMA.columns))), *(part.values for part in open_table(path).parts())]
    )
    ours = live_rows(capture)
    if not len(ours) == len(theirs) == len(protocols):
        found.left_out["frames of captures that the two cut in other ways"] += len(protocols)
        return
    inner = [SECOND_HEADER.search(re.sub(r":icmp(v6)?:.*", "", p)) is not None for p in protocols]
    is_tunnel = np.array(inner)
    is_undecoded = (ours[:, UNDECODED] == 1) & ~is_tunnel
    is_other = (ours[:, LABEL] != theirs[:, LABEL]) & ~is_tunnel & ~is_undecoded
    found.left_out["frames inside of others"] += int(is_tunnel.sum())
    found.left_out["frames that are not decoded"] += int(is_undecoded.sum())
    found.left_out["frames with another label"] += int(is_other.sum())
    is_held = ~is_tunnel & ~is_undecoded & ~is_other
    found.rows += int(is_held.sum())
    given = as_export(SCHEMA, ours)
    # float32 has 24 bits; a time of a capture in microseconds is printed with six digits.
    near = np.isclose(given, theirs, rtol=2e-7, atol=1.001e-6)
    if not (is_tunnel | is_undecoded).any():
        compare_advances(path, given, theirs, is_held, found)
    columns = OTHERS + OF_ANALYSIS
    # Who met within a tunnel or a damaged frame is another pair there.
    if not (is_tunnel | is_undecoded).any():
        columns = OTHERS + OF_ANALYSIS + OF_PAIRS
        found.pair_rows += int(is_held.sum())
    for k in columns:
        name = SCHEMA.names[k]
        some = found.seen.setdefault(name, set())
        if len(some) < 4:
            some.update(np.unique(theirs[is_held, k])[:4].tolist())
        for i in np.flatnonzero(is_held & ~near[:, k]).tolist():
            found.differs[name] += 1
            example = f"{capture}: frame {i + 1}: {given[i, k]} is not {theirs[i, k]}"
            found.examples.setdefault(name, example)


def compare_advances(
    path: Path, given: np.ndarray, theirs: np.ndarray, is_held: np.ndarray, found: Found
) -> None:
    """Count how sequence numbers against those expected compare, on rows of TCP.

    Apart are rows behind one of the same way that shows no number: there the export does not know
    how far its sender is.
    """
    lines = path.read_text(errors="replace").splitlines()[1:]
    ways = [tuple(line.split('","')[3:5]) for line in lines]
    mute: set[tuple[str, ...]] = set()
    is_mute = ~np.isin(theirs[:, LABEL], HEARD)
    for i, way in enumerate(ways):
        ours, its = given[i, ADVANCE], theirs[i, ADVANCE]
        if is_mute[i]:
            mute.add(way)
        elif is_held[i]:
            where = "behind" if way in mute else "alone"
            is_same = np.isclose(ours, its, rtol=2e-7, atol=0)
            kind = f"{where}, {'equal' if is_same else 'not equal'}"
            found.advances[kind] += int(ours != 0 or its != 0)
            if not is_same:
                found.examples.setdefault(kind, f"{path}: frame {i + 1}: {ours} is not {its}")


def assert_advances(found: Found) -> None:
    """All are equal where all rows of their way show numbers, and nearly all others are."""
    assert found.advances["alone, equal"] > 5
    assert found.advances["alone, not equal"] == 0, found.examples["alone, not equal"]
    assert found.advances["behind, equal"] > 1
    assert found.advances["behind, not equal"] <= found.rows / 100


def some_shared() -> list[Path]:
    """Some forty captures of every kind, none of them large or of a few frames."""
    middling = [path for path in captures() if 4_000 < path.stat().st_size < 2_000_000]
    return [path for path in middling[11::28] if path.name != _LONGER_THAN_ITS_FRAME]


def samples(folder: Path, n_packets: int = 3000) -> Iterator[Path]:
    """The first packets of our own sample captures."""
    for path in sorted((ROOT / "samples").glob("*.pcap.zst")):
        cut = folder / path.with_suffix("").name
        with zstandard.open(path, "rb") as file, cut.open("wb") as out:
            out.write(file.read(24))
            for _ in range(n_packets):
                head = file.read(16)
                out.write(head + file.read(struct.unpack("<8xI4x", head)[0]))
        yield cut


def report(found: Found) -> str:
    """For those who look."""
    lines = [f"{found.rows} rows are compared, {found.pair_rows} of them with the pairs' times"]
    lines += [f"left out: {n} {what}" for what, n in found.left_out.items() if n]
    lines += [f"{name}: {n}: {found.examples[name]}" for name, n in found.differs.items()]
    lines += [f"{n} advances {name}" for name, n in found.advances.items()]
    lines += [found.examples[name] for name in found.advances if name in found.examples]
    return "\n".join(lines)


def test_sample_captures_and_their_exports_give_the_same_rows(tmp_path):
    """Every column that an export can give, row by row, and times to a microsecond."""
    found = Found()
    for capture in samples(tmp_path):
        compare(capture, tmp_path, found)
    print(report(found))  # noqa: T201 - for those who look

    assert found.rows > 8000
    assert found.differs == {}
    assert_advances(found)


def test_captures_of_every_kind_and_their_exports_give_the_same_rows(tmp_path):
    """Tunnels, damaged frames and other labels are left out, counted; the rest is equal."""
    found = Found()
    pair = shared_data() / "cicflowmeter_pair" / "sample.pcap"
    for capture in [pair, *some_shared()]:
        compare(capture, tmp_path, found)
    print(report(found))  # noqa: T201

    of_analysis = {SCHEMA.names[k] for k in OF_ANALYSIS}
    assert {name: n for name, n in found.differs.items() if name not in of_analysis} == {}
    assert sum(found.differs[name] for name in of_analysis) <= found.rows / 2000
    assert found.rows > 0.7 * (found.rows + sum(found.left_out.values()))
    assert_advances(found)
    varying = {name for name, values in found.seen.items() if len(values) > 1}
    assert {"tcp_window_size", "tcp_options_mss_val", "icmp_type", "ip_frag_offset"} <= varying


def test_an_export_can_be_read_as_any_csv(tmp_path):
    """What tshark wrote is a CSV to others too, so that it is what users have."""
    path, protocols = export(shared_data() / "cicflowmeter_pair" / "sample.pcap", tmp_path)

    table = pyarrow.csv.read_csv(path)

    assert table.num_rows == len(protocols) == 35
    assert table.column_names[1:] == [f"_ws.col.{column}" for column in COLUMNS]
