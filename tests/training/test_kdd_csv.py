"""The files of KDD Cup 1999 and NSL-KDD become rows of the kdd view."""

import gzip
from collections import Counter

import numpy as np
import pytest

from tapwatch.errors import CaptureError, ConfigError
from tapwatch.features import schema_of
from tapwatch.training import kdd_csv
from tests.shared_data import shared_data

SCHEMA = schema_of("kdd")
CLASSES = {c.name: c.categories for c in SCHEMA.columns if c.categories}
#: Every number is another one, so that none can stand in another's place; rates are below 1.
NUMBERS = {
    name: at if SCHEMA.columns[at].dtype == "int64" else at / 100
    for at, name in enumerate(SCHEMA.names)
    if name not in CLASSES
}
WORDS = {"protocol_type": "udp", "service": "domain_u", "flag": "SF"}


def line(*rest: str, **fields) -> str:
    """One row of a file."""
    values = NUMBERS | WORDS | fields
    return ",".join([*(str(values[name]) for name in SCHEMA.names), *rest])


KDD, NSL = line("normal."), line("normal", "20")


def table_of(tmp_path, *lines: str, name: str = "file", end: str = "\n"):
    """Write the lines and open the file."""
    path = tmp_path / name
    path.write_bytes("".join(text + end for text in lines).encode("latin-1"))
    return kdd_csv.open_table(path)


def read(table):
    """Values, times and labels of all parts, and what was counted."""
    parts = list(table.parts())
    values = np.concatenate([part.values for part in parts] or [np.zeros((0, 41), np.float32)])
    times = [t for part in parts for t in part.time_ns.tolist()]
    labels = [text for part in parts for text in part.labels]
    return values, times, labels, {name: n for name, n in table.counts.items() if n}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(("row", "labels"), [(KDD, ["normal"]), (NSL, ["normal"]), (line(), [])])
def test_every_column_is_in_its_place(tmp_path, row, labels, end):
    """With a label, a label and a difficulty, or neither; classes are the index of their word."""
    table = table_of(tmp_path, row, row, end=end)
    values, times, found, counts = read(table)

    wanted = [
        CLASSES[name].index(WORDS[name]) if name in CLASSES else NUMBERS[name]
        for name in SCHEMA.names
    ]
    assert values.dtype == np.float32
    assert values.tolist() == [np.array(wanted, np.float32).tolist()] * 2
    assert times == [0, 10**9]
    assert found == labels * 2
    assert counts == {}
    assert (table.kind, table.given, table.is_live) == ("kdd_csv", SCHEMA.names, True)
    assert not table.withheld


def test_a_header_and_gzip_and_a_missing_last_newline_change_nothing(tmp_path):
    """The content decides, not the name."""
    text = "\n".join([",".join(SCHEMA.names) + ",label", KDD, KDD])
    path = tmp_path / "anything.pcap"
    path.write_bytes(gzip.compress(text.encode()))

    assert kdd_csv.recognise(path)
    assert read(kdd_csv.open_table(path))[2] == ["normal", "normal"]


def test_every_word_of_every_class_is_known(tmp_path):
    """The index of a word is its place in the schema's categories."""
    rows = [line("x", **{name: word}) for name, words in CLASSES.items() for word in words]

    values, _, _, counts = read(table_of(tmp_path, *rows))

    at = {name: SCHEMA.names.index(name) for name in CLASSES}
    assert counts == {}
    assert [
        values[k, at[name]]
        for k, (name, _) in enumerate((n, w) for n, words in CLASSES.items() for w in words)
    ] == [i for words in CLASSES.values() for i in range(len(words))]


@pytest.mark.parametrize(
    ("bad", "reason", "n_kept"),
    [
        (line("x", service="icmp"), "service_unknown", 3),
        (line("x", flag="RSTRH"), "flag_unknown", 3),
        (line("x", protocol_type="sctp"), "protocol_unknown", 2),
        (line("x", src_bytes="many"), "number_unreadable", 2),
        (line("x", src_bytes=""), "number_unreadable", 2),
        (line("x", serror_rate="nan"), "number_unreadable", 2),
        (line("x", dst_bytes="inf"), "number_unreadable", 2),
        (line("x", count="-1"), "number_out_of_range", 2),
        (line("x", serror_rate="1.01"), "number_out_of_range", 2),
        (KDD + ",1,2", "line_malformed", 2),
        (KDD[:40], "line_malformed", 2),
        ("\0\xff\x80", "line_malformed", 2),
    ],
)
def test_what_is_no_row_is_counted(tmp_path, bad, reason, n_kept):
    """The rows before and after it are there."""
    values, _, labels, counts = read(table_of(tmp_path, KDD, bad, KDD))

    assert counts == {reason: 1}
    assert len(values) == len(labels) == n_kept
    assert np.isfinite(values).all()


def test_an_unknown_service_is_other_and_an_unknown_flag_oth(tmp_path):
    """The catch-all of a column stands for what it does not know."""
    values = read(table_of(tmp_path, KDD, line("x", service="icmp", flag="RSTRH")))[0][1]

    assert CLASSES["service"][int(values[2])] == "other"
    assert CLASSES["flag"][int(values[3])] == "OTH"


def test_blanks_around_words_do_not_matter(tmp_path):
    """Labels and classes are stripped; a label keeps a dot inside."""
    row = line(" a.b. ", service=" http ", protocol_type="tcp ")

    values, _, labels, counts = read(table_of(tmp_path, KDD, row))

    assert labels == ["normal", "a.b"]
    assert CLASSES["service"][int(values[1, 2])] == "http"
    assert counts == {}


def test_blocks_do_not_show(tmp_path, monkeypatch):
    """Wherever a block of the file ends, the rows are the same."""
    rows = [line(f"l{k}.", src_bytes=k) for k in range(40)]
    table = table_of(tmp_path, *rows)
    whole = read(table)

    for size in (len(KDD) + 20, 300, 1000):
        monkeypatch.setattr(kdd_csv, "_BLOCK_BYTES", size)
        cut = read(table)
        assert cut[0].tolist() == whole[0].tolist()
        assert cut[1:] == whole[1:]
    assert whole[2] == [f"l{k}" for k in range(40)]


@pytest.mark.parametrize("end", ["\n", "", f"\n{KDD}"])
@pytest.mark.parametrize("n_bytes", [1500, 5000, 10_000])
def test_a_line_without_end_does_not_fill_the_memory(tmp_path, monkeypatch, n_bytes, end):
    """A line that is longer than a block is left out and counted once; its end is no row."""
    monkeypatch.setattr(kdd_csv, "_BLOCK_BYTES", 1000)
    most, whole = [], kdd_csv._rows
    monkeypatch.setattr(kdd_csv, "_rows", lambda *a: most.append(len(a[0])) or whole(*a))

    for label in ("x", "," + KDD):
        long = "x" * n_bytes + label
        path = tmp_path / "long"
        path.write_text(f"{KDD}\n{long}{end}")
        values, _, _, counts = read(kdd_csv.open_table(path))
        assert len(values) == 1 + end.count("normal")
        assert counts == {"line_malformed": 1}
    assert max(most) <= 3000


def test_a_line_longer_than_a_block_is_not_kept(tmp_path, monkeypatch):
    """What has no end is given up a block later, however much follows."""
    monkeypatch.setattr(kdd_csv, "_BLOCK_BYTES", 1000)
    path = tmp_path / "file"
    path.write_text(f"{KDD}\n{'x' * 100_000}")

    longest = max(map(len, kdd_csv._blocks(path, dict.fromkeys(kdd_csv.COUNTS, 0))))

    assert longest < 2000


SPELLINGS = [
    *("7", "7.", "7.0", ".5", "+7", "-7", "-0", "7e2", "7E+2", "7e-2", " 7", "7\t", "007", "1e39"),
    *("1e400", "7e", "0x7", "7_0", "7 0", "", ".", "nan", "inf", "-inf", "NULL", "7f", "true"),
    *("\0", "\u0667", "1" * 60),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_whether_a_row_stays_does_not_depend_on_its_neighbours(tmp_path, spelling):
    """Beside rows that are read at once, and beside such as make all be looked at one by one."""
    path, seen = tmp_path / "file", []
    odd = [line("x.", src_bytes="many"), line("\u00e9."), line("x.", src_bytes="1") + ",1"]
    for neighbours in ([], odd[:1], odd[1:2], odd, [odd[0], odd[2]], odd[2:], [" "]):
        rows = [KDD, line("sought.", count=spelling), *neighbours]
        path.write_text("\n".join(rows), "utf-8")
        values, _, labels, counts = read(kdd_csv.open_table(path))
        counts = Counter(counts)
        counts.subtract(
            number_unreadable=odd[0] in neighbours,
            line_malformed=(odd[2] in neighbours) + (" " in neighbours),
        )
        at = SCHEMA.names.index("count")
        sought = [v for v, label in zip(values[:, at], labels, strict=True) if label == "sought"]
        seen.append((sought, {reason: n for reason, n in counts.items() if n}))
    assert all(one == seen[0] for one in seen)


@pytest.mark.parametrize("head", ["\ufeff", "\ufeff" + ",".join(SCHEMA.names) + "\n", "\n", "\r\n"])
@pytest.mark.parametrize("duration", ["0", "0.0", "1e3"])
def test_files_are_known_by_their_first_row(tmp_path, head, duration):
    """Behind a byte order mark, column names or an empty line; numbers may have points."""
    path = tmp_path / "file"
    path.write_text(head + line("x.", duration=duration) + "\n", "utf-8", newline="")

    assert kdd_csv.recognise(path)
    values, _, labels, counts = read(kdd_csv.open_table(path))
    assert (values[0, 0], labels, counts) == (float(duration), ["x"], {})


def test_a_directory_is_none_of_these_files(tmp_path):
    """Recognising does not raise; opening says why."""
    assert not kdd_csv.recognise(tmp_path)
    with pytest.raises(CaptureError, match="cannot be read: Is a directory"):
        kdd_csv.open_table(tmp_path)


def test_what_follows_the_compressed_part_is_counted(tmp_path):
    """Rows before it are there."""
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(f"{KDD}\n".encode() * 1000) + b"no gzip member")

    values, _, _, counts = read(kdd_csv.open_table(path))

    assert len(values) == 1000
    assert counts == {"file_truncated": 1}


def test_a_compressed_file_cut_short_gives_what_it_has(tmp_path):
    """The end of the compression is missing: it is counted."""
    rows = "\n".join(line("x.", src_bytes=7919 * k % 100_003) for k in range(3000)).encode()
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(rows)[:-2000])

    values, _, _, counts = read(kdd_csv.open_table(path))

    assert 100 < len(values) < 3000
    assert counts["file_truncated"] == 1


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08", b"No.,Time\n1,2\n", b"\xd4\xc3\xb2\xa1"])
def test_other_files_are_not_taken(tmp_path, content):
    """Recognising never raises for content; opening says what is wanted."""
    path = tmp_path / "other"
    path.write_bytes(content)

    assert not kdd_csv.recognise(path)
    with pytest.raises(CaptureError, match="not a file of KDD'99 or NSL-KDD: want rows of 41"):
        kdd_csv.open_table(path)


def test_another_view_is_refused(tmp_path):
    """The message names the view that the file fills."""
    path = tmp_path / "file"
    path.write_text(KDD)

    with pytest.raises(ConfigError, match=r"--view = 'flow': want kdd \(.*holds connections"):
        kdd_csv.open_table(path, schema_of("flow"))


def test_an_absent_file_is_said(tmp_path):
    """Not a traceback."""
    with pytest.raises(CaptureError, match="cannot be read: No such file"):
        kdd_csv.open_table(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "n_rows", "n_normal", "constant"),
    [
        (
            "kdd99/kddcup.data_10_percent.gz",
            494_021,
            97_278,
            ["num_outbound_cmds", "is_host_login"],
        ),
        ("nsl_kdd/KDDTrain+.txt.gz", 125_973, 67_343, ["num_outbound_cmds"]),
    ],
)
def test_the_published_files_load_whole(name, n_rows, n_normal, constant):
    """Every row, none mended; what never varies in them."""
    table = kdd_csv.open_table(shared_data() / name)

    values, _, labels, counts = read(table)

    assert len(values) == n_rows
    assert counts == {}
    assert Counter(labels)["normal"] == n_normal
    spread = values.max(axis=0) - values.min(axis=0)
    assert [SCHEMA.names[at] for at in np.flatnonzero(spread == 0)] == constant
