"""Labels against the Protocol column of tshark, frame by frame, over a large external corpus."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from tapwatch.capture import open_captures
from tapwatch.decode import Decoder
from tapwatch.errors import CaptureError
from tapwatch.features.label_names import LABELS
from tapwatch.features.labels import ProtocolLabels
from tapwatch.tables import FLOW, LINK, TcpAnalysis, Traffic
from tests.shared_data import shared_data, shared_oracle

#: The conditions that keep Wireshark from looking into a segment, as tshark itself has them.
HEEDED = (
    TcpAnalysis.RETRANSMISSION,
    TcpAnalysis.FAST_RETRANSMISSION,
    TcpAnalysis.SPURIOUS_RETRANSMISSION,
    TcpAnalysis.OUT_OF_ORDER,
    TcpAnalysis.KEEP_ALIVE,
)
TLS = ("SSL", "SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
#: What is wanted of the packets that tshark gives these labels: the share with the same label.
WANTED = {
    ("ARP",): 0.99,
    ("ICMP",): 0.99,
    ("ICMPv6",): 0.99,
    ("DNS",): 0.99,
    ("TCP",): 0.99,
    ("UDP",): 0.99,
    TLS: 0.97,
    ("QUIC",): 0.97,
}


@dataclass(frozen=True)
class Verdict:
    """Every frame that both have read, in the same order."""

    theirs: NDArray[np.object_]  # (n,)
    ours: NDArray[np.object_]
    captures: NDArray[np.int64]  # number of the capture


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    """Ask for the label of every frame, a capture at a time."""
    [oracle] = shared_oracle().glob("tshark-*.parquet")
    fields = [f"tcp_analysis_{condition.name.lower()}" for condition in HEEDED]
    columns = ["capture", "frame_time_epoch", "frame_protocols", "Protocol", *fields]
    answers = pq.read_table(oracle, columns=columns)
    # Blocks of pcapng that are no packets are frames of "data" without a time there.
    is_block = pc.and_(
        pc.is_null(answers["frame_time_epoch"]), pc.equal(answers["frame_protocols"], "data")
    )
    answers = answers.filter(pc.invert(pc.fill_null(is_block, False)))
    bits = np.zeros(len(answers), np.uint16)
    for condition, name in zip(HEEDED, fields, strict=True):
        is_set = answers[name].is_valid().to_numpy()
        bits[is_set] |= np.uint16(condition)
    names = answers["capture"].combine_chunks().dictionary_encode()
    borders = np.flatnonzero(np.diff(np.asarray(names.indices), prepend=-1, append=-1))
    theirs = np.array(answers["Protocol"].to_pylist(), object)
    ours = np.full(len(answers), None, object)
    number = np.zeros(len(answers), np.int64)
    words = np.array(LABELS, object)
    for k, (start, end) in enumerate(pairwise(borders.tolist())):
        name = names.dictionary[names.indices[start].as_py()].as_py()
        places = _labels_of(str(shared_data() / name), bits[start:end])
        ours[start : start + len(places)] = words[places]
        number[start:end] = k
    was_read = np.array([label is not None for label in ours])
    return Verdict(theirs[was_read], ours[was_read], number[was_read])


def _labels_of(path: str, bits: NDArray[np.uint16]) -> NDArray[np.uint16]:
    decoder, labels = Decoder(), ProtocolLabels()
    found = [np.zeros(0, np.uint16)]
    n_done = 0
    try:
        source = open_captures([path])
    except CaptureError:
        return found[0]
    while (frames := source.read()) is not None:
        packets = decoder.decode(frames)
        links = np.zeros(len(packets), LINK)
        mine = bits[n_done : n_done + len(packets)]
        links["tcp_analysis"][: len(mine)] = mine
        n_done += len(packets)
        nobody = np.zeros(0, FLOW)
        traffic = Traffic(frames.data, packets, links, nobody, frames.until_ns, frames.frames)
        found.append(labels.of(traffic))
    source.close()
    return np.concatenate(found)[: len(bits)]


def test_labels_are_those_of_tshark(verdict):
    """Of all packets, and as a mean over captures; with -rP the table of docs/conformance.md."""
    is_equal = verdict.theirs == verdict.ours
    n_frames = np.bincount(verdict.captures)
    n_equal = np.bincount(verdict.captures, is_equal)
    by_capture = (n_equal[n_frames > 0] / n_frames[n_frames > 0]).mean()
    differ = Counter(zip(verdict.theirs[~is_equal], verdict.ours[~is_equal], strict=True))
    print(f"{is_equal.mean():.4f} of {len(is_equal)} packets, {by_capture:.4f} over captures")  # noqa: T201
    for (theirs, ours), n in differ.most_common(40):
        print(f"{theirs} | {ours} | {n}")  # noqa: T201

    assert is_equal.mean() >= 0.98
    assert by_capture >= 0.92


@pytest.mark.parametrize("labels", WANTED, ids=lambda labels: labels[0])
def test_common_protocols_are_those_of_tshark(verdict, labels):
    """Of the packets that tshark gives one of these labels, nearly all have the very same one."""
    mask = np.isin(verdict.theirs, labels)
    share = (verdict.theirs[mask] == verdict.ours[mask]).mean()
    print(f"{labels[0]}: {share:.4f} of {mask.sum()}")  # noqa: T201

    assert mask.sum() > 500
    assert share >= WANTED[labels]


def test_what_is_called_by_a_name_is_that(verdict):
    """Of the packets that we give a label of TLS, QUIC or DNS, nearly all have it in tshark too."""
    for label in ("TLSv1.2", "TLSv1.3", "QUIC", "DNS", "HTTP"):
        mask = verdict.ours == label
        assert (verdict.theirs[mask] == label).mean() >= 0.97, label
