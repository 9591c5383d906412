"""In a folder, nothing that looks like a capture is passed over in silence."""

import bz2
import gzip
import lzma
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

import pytest

from tapwatch.capture import files, open_captures
from tapwatch.errors import CaptureError
from tests.capture import makers

GOOD = makers.pcap(makers.frames(3))
PACKED = gzip.compress(GOOD)

#: What is damaged: name, bytes, reason, what the message says.
DAMAGED = {
    "gzip spoilt at once": ("a.pcap.gz", PACKED[:4] + b"\xff" * 40, "corrupt", "gzip data damaged"),
    "gzip cut to 3 bytes inside": ("a.gz", PACKED[:14], "cut_short", "gzip data cut short"),
    "xz cut": ("a", lzma.compress(GOOD)[:20], "cut_short", "xz data cut short"),
    "zstd magic alone": ("a", b"\x28\xb5\x2f\xfd", "cut_short", "zstd data cut short"),
    "empty": ("a.pcap", b"", "cut_short", "an empty file"),
    "empty, of a ring": ("a.PCAP12", b"", "cut_short", "an empty file"),
    "empty inside": ("a.pcapng.gz", gzip.compress(b""), "cut_short", "no byte"),
    "part of a magic number": ("a.cap", GOOD[:3], "cut_short", "the bytes d4 c3 b2"),
    "pcap header cut": ("a", GOOD[:20], "cut_short", "a pcap file header of 20 bytes"),
    "snoop header cut": ("a", makers.snoop([])[:15], "cut_short", "a snoop file header of 15"),
    "section cut": ("a", makers.section()[:20], "cut_short", "a pcapng section header"),
    "section of version 9": ("a", makers.section(version=9), "corrupt", "pcapng version 9"),
}
#: What is whole, but no capture that we read: name, bytes, what the message says.
SKIPPED = {
    "pcap 3.0": ("a", makers.pcap([], version=(3, 0)), "pcap version 3.0"),
    "snoop datalink": ("a", makers.snoop([], datalink=99), "unknown datalink 99"),
    "snoop version": ("a", makers.snoop([], version=1), "snoop version 1"),
    "btsnoop": ("a", b"btsnoop\0" + bytes(90), "a Bluetooth capture"),
    "Network Monitor": ("a", b"GMBU" + bytes(90), "a Microsoft Network Monitor 2 capture"),
    "bzip2": ("a.pcap.bz2", bz2.compress(GOOD), "a file packed with bzip2"),
    "a foreign capture in gzip": ("a.gz", gzip.compress(b"GMBU" + bytes(90)), "Network Monitor 2"),
    "text by the name of a capture": ("a.pcap", b"hello, world", "the bytes 68 65 6c 6c"),
    "unknown by the name of a packed capture": (
        "a.erf.gz",
        gzip.compress(bytes(50)),
        "the bytes 00",
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_captures_of_a_folder_are_named_and_counted(tmp_path, kind):
    """With the reason, beside a good file that is read as ever; named alone, they are refused."""
    name, raw, reason, said = DAMAGED[kind]
    (tmp_path / "good").write_bytes(GOOD)
    (tmp_path / name).write_bytes(raw)

    found, source = makers.contents([tmp_path])

    assert len(found) == 3
    assert {str(k): n for k, n in source.counts.damaged_files.items() if n} == {reason: 1}
    assert source.counts.skipped_files == 0
    [problem] = source.problems
    assert problem.startswith(f"{tmp_path / name}: found ")
    assert said in problem
    with pytest.raises(CaptureError, match="want a pcap"):
        open_captures([str(tmp_path / name)])


@pytest.mark.parametrize("kind", SKIPPED)
def test_captures_of_a_folder_that_cannot_be_read_here_are_named_and_counted(tmp_path, kind):
    """They are no damage, but what they hold is missing; named alone, they are refused."""
    name, raw, said = SKIPPED[kind]
    (tmp_path / "good").write_bytes(GOOD)
    (tmp_path / name).write_bytes(raw)

    found, source = makers.contents([tmp_path])

    assert len(found) == 3
    assert source.counts.truncated_files == 0
    assert source.counts.skipped_files == 1
    [problem] = source.problems
    assert problem.startswith(f"{tmp_path / name}: found ")
    assert problem.endswith("; it is passed over")
    assert said in problem
    tallies = {t.name: t.values for t in source.tallies()}
    assert tallies["capture_skipped_files_total"] == {(): 1}
    with pytest.raises(CaptureError, match="want a pcap"):
        open_captures([str(tmp_path / name)])


def test_what_is_plainly_no_capture_is_passed_over_in_silence(tmp_path):
    """Notes, labels and tables lie beside captures; empty marks do too."""
    for name, raw in {
        "good.pcap": GOOD,
        "README": b"# Captures",
        "notes.md": b"x",
        "labels.csv": b"a,b\n1,2\n",
        "labels.csv.gz": gzip.compress(b"a,b\n1,2\n"),
        "truth.json": b"{}",
        "done": b"",
        "good.pcap.md5": b"0123456789abcdef",
    }.items():
        (tmp_path / name).write_bytes(raw)
    (tmp_path / "latest").symlink_to(tmp_path / "gone")

    found, source = makers.contents([tmp_path])

    assert len(found) == 3
    assert source.problems == []
    assert source.counts.truncated_files == source.counts.skipped_files == 0


def test_of_many_files_that_are_passed_over_some_are_named(tmp_path, monkeypatch):
    """And then a number: a folder of another tool's captures does not flood the terminal."""
    monkeypatch.setattr(files, "_SKIPPED_TOLD", 5)
    (tmp_path / "good.pcap").write_bytes(GOOD)
    for i in range(12):
        (tmp_path / f"{i:02}.cap").write_bytes(b"GMBU" + bytes(90))

    _, source = makers.contents([tmp_path])

    assert source.counts.skipped_files == 12
    assert len(source.problems) == 6
    assert source.problems[-1] == "7 more files look like captures and are not read"


def test_a_folder_of_captures_none_of_which_can_be_read_says_why(tmp_path):
    """Exit code 3, with the first reason."""
    (tmp_path / "a.cap").write_bytes(b"GMBU" + bytes(90))

    with pytest.raises(CaptureError, match=r"without captures .*Network Monitor 2"):
        open_captures([str(tmp_path)])


def test_a_file_of_a_folder_that_cannot_be_opened_is_named_and_counted(tmp_path):
    """As one that vanishes later; named on the command line, it is refused."""
    (tmp_path / "good").write_bytes(GOOD)
    (tmp_path / "lost.pcap").symlink_to(tmp_path / "nowhere")

    found, source = makers.contents([tmp_path])

    assert len(found) == 3
    assert source.counts.damaged_files["unreadable"] == 1
    assert "lost.pcap: cannot be opened (No such file" in source.problems[0]
    with pytest.raises(CaptureError, match="cannot be opened"):
        open_captures([str(tmp_path / "lost.pcap")])


@pytest.mark.skipif(os.geteuid() != 0, reason="wants to be root, to become somebody else")
def test_a_file_of_a_folder_without_permission_is_named_and_counted():
    """Whoever may not read one of them reads the others."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        (folder / "good").write_bytes(GOOD)
        (folder / "secret.pcap").write_bytes(GOOD)
        (folder / "secret.pcap").chmod(0)
        os.seteuid(65534)
        try:
            found, source = makers.contents([folder])
        finally:
            os.seteuid(0)

    assert len(found) == 3
    assert source.counts.damaged_files["unreadable"] == 1
    assert "secret.pcap: cannot be opened (Permission denied)" in source.problems[0]


def test_more_files_may_overlap_than_a_process_may_open(tmp_path):
    """The soft limit is raised; each file is longer than the block that is read of it."""
    n_files = 300
    for i in range(n_files):
        frames = [(k * 1000 + i, bytes(60_000)) for k in range(5)]
        (tmp_path / f"{i}").write_bytes(makers.pcap(frames, nano=True))
    program = (
        "import sys\n"
        "from tapwatch.capture import open_captures\n"
        "source, n = open_captures([sys.argv[1]]), 0\n"
        "while (batch := source.read()) is not None: n += len(batch)\n"
        "print(n, source.problems)"
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard)),
    )

    assert done.stdout == f"{5 * n_files} []\n", done.stderr
