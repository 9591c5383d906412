"""The corpus: every file comes to what the table says, in every way and at every border."""

import csv
import signal
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tapwatch.capture import Damage
from tapwatch.decode import DecodeStatus
from tests.capture import makers
from tests.decode.made import Frame, batch
from tests.fuzz import decoding, length_fields, readers
from tests.fuzz.cases import Case
from tests.fuzz.corpus_captures import CAPTURES
from tests.fuzz.corpus_frames import FRAMES
from tests.fuzz.guard import PAGE, ending_at_guard
from tests.fuzz.make_corpus import files
from tests.fuzz.seeds import CORPUS
from tests.shared_data import ROOT

BY_NAME = {entry.name: entry for entry in CAPTURES}


def outcomes() -> list[dict[str, str]]:
    with (CORPUS / "outcomes.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def decode_case(frames: list[Frame], depth: int) -> Case:
    about = [
        {"link_type": f.link_type, "wire_bytes": f.wire_bytes, "vlan_tci": f.vlan_tci}
        for f in frames
    ]
    return Case("decode", tuple(f.data for f in frames), tuple(about), {"tunnel_depth": depth})


def by_case(frames: Sequence[Frame]) -> Iterator[list[Frame]]:
    for lo in range(0, len(frames), decoding.FRAMES_A_CASE):
        yield list(frames[lo : lo + decoding.FRAMES_A_CASE])


def test_the_files_are_those_that_the_maker_makes():
    """`python -m tests.fuzz.make_corpus` changes nothing."""
    there = {p.relative_to(CORPUS).as_posix(): p for p in CORPUS.rglob("*") if p.is_file()}

    assert sorted(there) == sorted(files())
    assert [name for name, content in files().items() if there[name].read_bytes() != content] == []


@pytest.mark.kernel
def test_every_frame_comes_to_the_status_in_the_table():
    """From its file, with the link type, wire length and tunnel depth that the table names."""
    wrong = {}
    for row in outcomes():
        if not row["file"].startswith("frames/"):
            continue
        data = (CORPUS / row["file"]).read_bytes()
        frame = Frame(data, int(row["wire_bytes"]), int(row["link_type"]))
        packets = decoding.decoder(int(row["tunnel_depth"])).decode(batch([frame]))
        status = DecodeStatus(int(packets[0]["status"])).name.lower()
        if status != row["outcome"]:
            wrong[row["file"]] = (status, row["outcome"])

    assert wrong == {}


@pytest.mark.kernel
def test_every_capture_comes_to_the_outcome_in_the_table():
    """Packets before the end, and how it ended: ok, a Damage, or refused."""
    wrong = {}
    for row in outcomes():
        if not row["file"].startswith("captures/"):
            continue
        rows, damaged, _ = readers.read([str(CORPUS / row["file"])])
        found = ("refused", 0) if rows is None else (next(iter(damaged), "ok"), len(rows))
        if found != (row["outcome"], int(row["packets"])):
            wrong[row["file"]] = (found, row["outcome"], row["packets"])

    assert wrong == {}


def test_the_corpus_reaches_every_status_and_every_damage():
    """Statuses from the table and the tests' own frames; a failing disk cannot be a file."""
    reached = {row["outcome"] for row in outcomes()}
    statuses = {status.name.lower() for status in DecodeStatus}
    ends_with = ("_truncated", "_too_short")  # every cut of every frame is a test of tests/decode

    missing = statuses | {str(damage) for damage in Damage} - {"unreadable"}
    missing = {name for name in missing - reached if not name.endswith(ends_with)}

    assert missing <= {"ipv4_bad_version", "ipv6_bad_version"}, missing


@pytest.mark.parametrize("field", length_fields.FIELDS, ids=lambda field: field.name)
def test_every_length_field_has_files_that_get_it_wrong(field):
    """And the frame in which it stands is one that decodes, or says what it is."""
    names = [entry.name for entry in FRAMES if entry.name.startswith(field.corpus)]

    assert names != []
    assert field.at + field.n_bytes <= len(field.frame.data)


@pytest.mark.kernel
@pytest.mark.parametrize("depth", [0, 8])
def test_all_frames_agree_at_guarded_pages_and_with_the_twin(depth):
    """Batches of every size, both ends of a page, tunnels opened or not."""
    seen: Counter[str] = Counter()

    for frames in by_case([entry.frame for entry in FRAMES]):
        decoding.run(decode_case(frames, depth), seen)

    assert seen["decode_packets_total{ok}"] > 30


def values(field: length_fields.LengthField) -> list[int]:
    """All numbers of up to 8 bits; of longer fields the borders, and those near what is right."""
    top = (1 << 8 * field.n_bytes) - 1
    whole = int.from_bytes(field.frame.data[field.at :][: field.n_bytes], "big")
    if field.n_bytes == 1:
        return list(range(256))
    near = [whole + delta for delta in range(-48, 49)]
    swapped = [n << 8 * (field.n_bytes - 1) for n in range(0, 256, 3)]
    small = [*range(70), top, top - 1, top >> 1, (top >> 1) + 1, 1500, 1501, 1535, 1536]
    return sorted({n & top for n in (*near, *small, *swapped)})


@pytest.mark.parametrize("field", length_fields.FIELDS, ids=lambda field: field.name)
def test_every_value_of_a_length_field_at_guarded_pages(field):
    """Whole, and cut behind the field; all agree with the twin and look at nothing beside."""
    data, end = field.frame.data, field.at + field.n_bytes
    frames = [
        Frame(new[:n], wire, field.frame.link_type)
        for value in values(field)
        for new in [data[: field.at] + value.to_bytes(field.n_bytes, "big") + data[end:]]
        for n, wire in ((len(new), None), (end, None), (end + 3, len(new)))
    ]
    seen: Counter[str] = Counter()

    for some in by_case(frames):
        decoding.run(decode_case(some, field.depth), seen)

    reached = [n for name, n in seen.items() if name.startswith("decode_packets_total") and n]
    assert sum(reached) == len(frames)


@pytest.mark.parametrize("entry", CAPTURES, ids=lambda entry: entry.name)
def test_every_capture_is_the_same_in_every_way_that_it_can_arrive(entry):
    """Batches of every size, packed, from a pipe that pauses, in windows that end at a guard."""
    middle = len(entry.raw) // 2
    options = {"pauses": [24, middle, middle + 9], "filter": "len > 60"}
    seen: Counter[str] = Counter()

    readers.run(Case("readers", (entry.raw,), ({},), options), seen)

    assert seen["refused" if entry.outcome == "refused" else "read"] == 1


#: Fields of a record that a file may end in the middle of; pcapng's blocks are whole words.
CUTS = {"pcap": (0, 1, 5, 12, 60, 67, 68, 75, 82, 83), "pcapng": (0, 4, 8, 20, 60, 96, 100, 104)}
CUTS["snoop"] = CUTS["pcap"]


def ending_at_page(kind: str, cut: int) -> bytes:
    """A capture of whole pages that ends `cut` bytes before the end of its last record."""
    good = BY_NAME[{"pcap": "pcap_good.pcap"}.get(kind, f"{kind}_good.{kind}")].raw
    n_head = {"pcap": 24, "pcapng": 28, "snoop": 16}[kind]
    head, tail = good[:n_head], good[n_head : len(good) - cut]
    n_record = {"pcap": 16, "pcapng": 12, "snoop": 24}[kind]
    n_filler = -(len(head) + len(tail) + n_record) % PAGE
    filler = {
        "pcap": struct.pack("<IIII", 0, 0, n_filler, n_filler) + bytes(n_filler),
        "pcapng": makers.block("<", 0xBAD, bytes(n_filler)),
        "snoop": struct.pack(">6I", n_filler, n_filler, 24 + n_filler, 0, 0, 0) + bytes(n_filler),
    }[kind]
    return head + filler + tail


@pytest.mark.parametrize(("kind", "cut"), [(k, cut) for k in CUTS for cut in CUTS[k]])
def test_a_capture_of_whole_pages_is_not_read_beyond_its_last_one(kind, cut):
    """Wherever the last record is cut; behind the buffers lies a forbidden page."""
    raw = ending_at_page(kind, cut)
    seen: Counter[str] = Counter()

    readers.run(Case("readers", (raw,), ({},), {"pauses": [], "filter": "ip"}), seen)

    assert len(raw) % PAGE == 0
    assert seen["read"] == 1


def test_a_section_header_that_a_pause_cuts_does_not_move_the_frames_before_it():
    """A pipe stops within the header of the second section: the first one's frames stay right."""
    good = BY_NAME["pcapng_good.pcapng"].raw
    raw = good + good
    for at in range(len(good), len(good) + 28, 3):
        options = {"pauses": [at], "filter": "ip"}

        readers.run(Case("readers", (raw,), ({},), options), seen := Counter())

        assert seen["frames"] == 4


def test_the_guards_would_notice():
    """One byte beyond ends the process: what lies at the end of a page is not read past."""
    program = (
        "from tests.fuzz.guard import ending_at_guard\n"
        "import numba\n"
        "@numba.njit\n"
        "def look(data, at):\n"
        "    return data[at]\n"
        "data = ending_at_guard(b'abc')\n"
        "assert look(data, 2) == ord('c')\n"
        "look(data, 3)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)

    assert ending_at_guard(b"abc").tobytes() == b"abc"
    assert done.returncode == -signal.SIGSEGV, done.stderr
