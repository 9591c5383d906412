"""Published CIC tables: crafted files of every build, and all that is wrong with real ones."""

import csv
import resource
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.errors import CaptureError, ConfigError
from tapwatch.features import schema_of
from tapwatch.features.flow.classes import PORT_CLASSES, PROTOCOL_CLASSES
from tapwatch.training import cic_csv, cic_csv_lines
from tapwatch.training.cic_csv import COUNTS, build_of, open_table, recognise
from tapwatch.training.cic_csv_defects import DEFECTS
from tapwatch.training.cic_csv_names import Build, original_names
from tests.shared_data import shared_data

FLOW = schema_of("flow")
CLASSES = ("protocol", "src_port_class", "dst_port_class")
OTHERS = ("Flow ID", "Src IP", "Src Port", "Dst IP", "Dst Port", "Protocol", "Timestamp")
OTHERS_2017 = ("Flow ID", "Source IP", "Source Port", "Destination IP", "Destination Port")
BUILDS = tuple(Build)

#: What a cell holds unless a test says otherwise: distinct, so that a wrong column cannot hide.
PLAIN = {name: 100 + k for k, name in enumerate(FLOW.names[:86])}
WHO = {"Src IP": "10.0.0.1", "Src Port": 49_200, "Dst IP": "10.0.0.2", "Dst Port": 443}
WHO |= {"Flow ID": "a-b", "Protocol": 6, "Timestamp": "05/07/2017 09:10:11", "Label": "BENIGN"}


def header_of(build: Build) -> list[str]:
    """The header as that build writes it: with all identity columns and the label."""
    names = list(original_names(build).values())
    if build is Build.CIC_2017:
        others = [*OTHERS_2017, "Protocol", "Timestamp"]
        names.insert(names.index("Fwd Avg Bytes/Bulk"), "Fwd Header Length")
        names = [*others, *names, "Label"]
        return [name if k % 3 else f" {name}" for k, name in enumerate(names)]
    return [*OTHERS, *names, "Label"]


def line_of(build: Build, **cells) -> str:
    """One row; by our names, or by those of the identity columns."""
    ours = {theirs: name for name, theirs in original_names(build).items()}
    who = dict(zip(OTHERS_2017, OTHERS, strict=False))
    given_cells = PLAIN | WHO | {name.replace("__", " "): value for name, value in cells.items()}
    names = [name.strip() for name in header_of(build)]
    return ",".join(str(given_cells[ours.get(name, who.get(name, name))]) for name in names)


def made(path, build, *lines, header=None):
    """A file of these lines."""
    head = ",".join(header or header_of(build))
    path.write_bytes("\n".join([head, *lines, ""]).encode("latin-1"))
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "day.csv"


def read(table):
    """All rows: name -> values; times; labels."""
    parts = list(table.parts())
    values = np.concatenate([part.values for part in parts]) if parts else np.zeros((0, 1))
    columns = dict(zip(table.schema.names, values.T, strict=False))
    times = [t for part in parts for t in part.time_ns.tolist()]
    return columns, times, [label for part in parts for label in part.labels]


def counted(table) -> dict[str, int]:
    """The reasons that occurred."""
    return {reason: n for reason, n in table.counts.items() if n}


@pytest.mark.parametrize("build", BUILDS)
def test_every_build_is_recognised_and_read_by_name(build, file):
    """All columns are where our name says; those computed wrongly are withheld, the rest given."""
    table = open_table(made(file, build, line_of(build)), FLOW)

    columns, times, labels = read(table)
    assert recognise(file)
    assert build_of(file) is build
    assert (table.kind, table.schema, table.is_live) == ("cic_csv", FLOW, True)
    wrong = set(DEFECTS[build])
    absent = set() if build is Build.FIXED else set(FLOW.names[76:86])
    assert set(table.withheld) == wrong | absent
    assert list(table.given) == [name for name in FLOW.names if name not in wrong | absent]
    for name, value in PLAIN.items():
        assert columns[name].tolist() == [value if name in table.given else 0], name
    classes = [columns[name][0] for name in CLASSES]
    assert PROTOCOL_CLASSES[int(classes[0])] == "tcp"
    assert [PORT_CLASSES[int(k)] for k in classes[1:]] == ["dynamic", "https"]
    duration_ns = PLAIN["flow_duration"] * 1000
    assert times == [int(np.datetime64("2017-07-05T09:10:11", "ns").astype(int)) + duration_ns]
    assert labels == ["BENIGN"]
    assert counted(table) == {}


@pytest.mark.parametrize("build", BUILDS)
def test_columns_may_stand_in_any_order(build, file):
    """Names decide, and columns that are not known are passed over."""
    header = header_of(build)
    order = np.random.default_rng(3).permutation(len(header))
    cells = line_of(build).split(",")
    if build is Build.CIC_2017:  # of two columns of one name the first one counts
        order = np.arange(len(header))[::-1]
    shuffled = [*(header[k] for k in order), "no such column"]
    line = ",".join([*(cells[k] for k in order), "x"])

    moved = read(open_table(made(file, build, line, header=shuffled)))
    plain = read(open_table(made(file, build, line_of(build))))
    assert {n: v.tolist() for n, v in moved[0].items()} == {
        n: v.tolist() for n, v in plain[0].items()
    }
    assert moved[1:] == plain[1:]


def test_names_of_the_real_tool_are_known():
    """The one row that we have of the Java tool: every statistic of its header has a place."""
    path = shared_data() / "cicflowmeter_pair" / "sample.csv"
    table = open_table(path)

    with path.open(encoding="utf-8") as lines:
        [row] = csv.DictReader(lines)
    columns, _, _ = read(table)
    assert build_of(path) is Build.UPSTREAM
    names = original_names(Build.UPSTREAM)
    assert set(names.values()) < set(row)
    for name in table.given:
        if name not in CLASSES:
            assert columns[name][0] == np.float32(row[names[name]]), name


def test_the_published_improved_table_is_of_the_corrected_tool(file):
    """The first one lacks six of the later columns, and has three that no tool writes."""
    lacking = {"Bwd Act Data Pkts", "Bwd Seg Size Min", "Total Connection Flow Time"}
    lacking |= {f"{way} TCP Retrans. Count" for way in ("Fwd", "Bwd", "Total")}
    pairs = list(zip(header_of(Build.FIXED), line_of(Build.FIXED).split(","), strict=True))
    pairs = [("id", "1"), *(p for p in pairs if p[0] not in lacking)]
    pairs += [("Total TCP Flow Time", "5"), ("Attempted Category", "-1")]
    header, cells = zip(*pairs, strict=True)

    table = open_table(made(file, Build.FIXED, ",".join(cells), header=header))

    assert len(header) == 91
    assert build_of(file) is Build.FIXED
    assert "no such column" in table.withheld["bwd_act_data_pkts"]
    assert read(table)[0]["fwd_rst_flags"].tolist() == [PLAIN["fwd_rst_flags"]]


def test_reasons_name_the_build():
    """Every defect has a column, and the bugs that everybody knows are among them."""
    for defects in DEFECTS.values():
        assert set(defects) < set(FLOW.names)
        assert all(len(why) > 10 for why in defects.values())
    for build in (Build.CIC_2017, Build.CIC_2018):
        known = {"syn_flag_cnt", "fwd_blk_rate_avg", "subflow_fwd_byts", "init_bwd_win_byts"}
        assert known | {"pkt_len_mean", "down_up_ratio", "active_min"} <= set(DEFECTS[build])
    assert {"flow_duration", "fwd_iat_mean", "tot_fwd_pkts"}.isdisjoint(
        set().union(*DEFECTS.values())
    )


@pytest.mark.parametrize("build", BUILDS)
def test_defective_columns_are_kept_under_names_that_say_so(build, file):
    """The schema is another one, so that a bundle of it is refused on live flows."""
    table = open_table(made(file, build, line_of(build)), FLOW, keep_defective=True)

    columns, _, _ = read(table)
    kept = [name for name in table.schema.names if name.startswith("defective_")]
    assert kept == [f"defective_{n}" for n in FLOW.names if n in DEFECTS[build]]
    assert not table.is_live
    assert table.schema.view == "flow"
    assert table.schema.digest != FLOW.digest
    assert table.schema.names[: len(FLOW.names)] == FLOW.names
    assert set(kept) <= set(table.given)
    for name in kept:
        plain = name.removeprefix("defective_")
        assert columns[name].tolist() == [PLAIN[plain]]
        assert columns[plain].tolist() == [0]
        assert plain in table.withheld


def test_no_two_builds_share_a_schema_with_defects(tmp_path):
    """A column's defect is part of what it means."""
    digests = {
        open_table(made(tmp_path / f"{build.name}.csv", build), keep_defective=True).schema.digest
        for build in BUILDS
    }

    assert len(digests) == len(BUILDS)


def test_another_view_is_refused(file):
    """The message names the view that it could be."""
    made(file, Build.CIC_2018)

    with pytest.raises(ConfigError, match="--view = 'packet': want flow"):
        open_table(file, schema_of("packet"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"a,b,c\n1,2,3\n",
        b"Flow Duration,Tot Fwd Pkts\n1,2\n",
        b"\xff\xfe\x00",
        b"0,tcp,http,SF,181,5450",
        "tot_fwd_pkts,flow_duration\n".encode("utf-16"),
    ],
)
def test_other_files_are_not_taken_for_one(content, file):
    """Nothing, noise, KDD rows, a table with too few of the columns."""
    file.write_bytes(content)

    assert not recognise(file)
    assert build_of(file) is None
    with pytest.raises(CaptureError, match="not a table of CICFlowMeter"):
        open_table(file)


def test_our_own_table_is_not_taken_for_one(file):
    """With original names it has the data set's, and identity columns that the tool does not."""
    header = ["first_ts_ns", "community_id", *(c.original or c.name for c in FLOW.columns)]
    file.write_text(",".join(header) + "\n")

    assert not recognise(file)


def test_a_python_port_is_not_taken_for_one(file):
    """Names in snake case are those of a tool with seconds and frame lengths."""
    file.write_text(",".join(FLOW.names) + "\n")

    assert not recognise(file)


def test_a_file_that_is_gone_is_told(tmp_path):
    """The error of the machine, in our words."""
    with pytest.raises(CaptureError, match="cannot be read"):
        open_table(tmp_path / "no.csv")


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("word", ["Infinity", "NaN", "inf", "nan", "-1", ""])
def test_rates_without_a_duration_are_0(build, word, file):
    """Each build writes something else; live rows have 0."""
    rates = ("flow_byts_s", "flow_pkts_s", "fwd_pkts_s", "bwd_pkts_s")
    line = line_of(build, flow_duration=0, **dict.fromkeys(rates, word))
    table = open_table(made(file, build, line, line_of(build, flow_duration=0)))

    columns, _, _ = read(table)
    assert [columns[name].tolist() for name in rates] == [[0, 0]] * 4
    assert counted(table) == {"rate_of_duration_0": 2}


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"flow_iat_mean": "NaN"}, "not_finite"),
        ({"flow_byts_s": "Infinity"}, "not_finite"),
        ({"fwd_iat_max": ""}, "not_finite"),
        ({"fwd_iat_max": "1e39"}, "not_finite"),
        ({"flow_duration": -1}, "negative_time"),
        ({"flow_iat_min": -5}, "negative_time"),
        ({"fwd_header_len": -32_212_234_632}, "negative_amount"),
        ({"init_fwd_win_byts": -2}, "negative_amount"),
        ({"flow_duration": "12x"}, "unreadable_number"),
        ({"tot_fwd_pkts": "1_0"}, "unreadable_number"),
        ({"tot_fwd_pkts": '"5"'}, "quoted"),
        ({"tot_fwd_pkts": "nan(1)"}, "not_finite"),
        ({"Dst__Port": 65_536}, "port_or_protocol"),
        ({"Src__Port": 1.5}, "port_or_protocol"),
        ({"Protocol": 256}, "port_or_protocol"),
        ({"Protocol": -1}, "port_or_protocol"),
        ({"Protocol": 0, "Dst__Port": 0}, "lumped"),
        ({"Src__IP": "fe80::1"}, "ipv6_milliseconds"),
    ],
)
def test_rows_that_are_left_out(cells, reason, file):
    """One reason a row; the rows around it are read as if it were not there."""
    build = Build.CIC_2018
    lines = [line_of(build, tot_fwd_pkts=1), line_of(build, **cells)]
    table = open_table(made(file, build, *lines, line_of(build, tot_fwd_pkts=3)))

    columns, _, _ = read(table)
    assert columns["tot_fwd_pkts"].tolist() == [1, 3]
    assert counted(table) == {reason: 1}


def test_what_is_wrong_in_a_withheld_column_is_nobodys_loss(file):
    """The row stays, unless the column is kept."""
    build = Build.CIC_2018
    made(file, build, line_of(build, active_min="NaN", fin_flag_cnt=-1))

    plain, kept = open_table(file), open_table(file, keep_defective=True)

    assert len(read(plain)[1]) == 1
    assert len(read(kept)[1]) == 0
    assert counted(plain) == {}
    assert counted(kept) == {"not_finite": 1}


def test_lumped_rows_stay_with_the_defects(file):
    """As a protocol that is none of the classes."""
    line = line_of(Build.CIC_2018, Protocol=0, Dst__Port=0)
    columns, _, _ = read(open_table(made(file, Build.CIC_2018, line), keep_defective=True))

    assert [columns[name].tolist() for name in CLASSES] == [[0], [0], [0]]


def test_without_protocols_port_0_tells_what_is_lumped(file):
    """The machine-learning files of 2017 have neither protocol nor addresses nor times."""
    build = Build.CIC_2017
    drop = {"Flow ID", "Source IP", "Source Port", "Destination IP", "Protocol", "Timestamp"}
    names = header_of(build)
    keep = [k for k, name in enumerate(names) if name.strip() not in drop]
    lines = []
    for port in (53, 0, 50_000):
        cells = line_of(build, Dst__Port=port, Label="Web Attack \x96 XSS").split(",")
        lines.append(",".join(cells[k] for k in keep))
    table = open_table(made(file, build, *lines, header=[names[k] for k in keep]))

    columns, times, labels = read(table)
    assert len(keep) == 79
    assert [PORT_CLASSES[int(k)] for k in columns["dst_port_class"]] == ["dns", "dynamic"]
    assert times == [10**9, 2 * 10**9]
    assert labels == ["Web Attack \N{EN DASH} XSS"] * 2
    assert {"protocol", "src_port_class"} <= set(table.withheld)
    assert counted(table) == {"lumped": 1}


def test_lines_that_are_no_rows(file):
    """The header again, nothing, nothing but commas, too few and too many fields."""
    build = Build.CIC_2018
    good, header = line_of(build), ",".join(header_of(build))
    commas = "," * good.count(",")
    lines = [good, header, "", commas, good + ",1", "1,2,3", f"{header}\r", good]
    table = open_table(made(file, build, *lines))

    assert len(read(table)[1]) == 2
    assert counted(table) == {
        "repeated_header": 2,
        "empty_line": 2,
        "wrong_number_of_fields": 2,
    }


def test_a_line_without_end(file, monkeypatch):
    """It is passed over in pieces; what stands around it is read."""
    monkeypatch.setattr(cic_csv_lines, "BLOCK_BYTES", 4096)
    build = Build.CIC_2018
    lines = [line_of(build), "x" * 300_000, line_of(build)]
    table = open_table(made(file, build, *lines))

    assert len(read(table)[1]) == 2
    assert counted(table) == {"line_too_long": 1}


def test_a_byte_order_mark_and_windows_line_ends(file):
    """As Excel writes them; the last line may lack its end."""
    made(file, Build.CIC_2018, line_of(Build.CIC_2018), line_of(Build.CIC_2018))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n").rstrip())
    table = open_table(file)

    assert len(read(table)[1]) == 2
    assert counted(table) == {}


HEAD_BYTES = len(",".join(header_of(Build.CIC_2018)))


@pytest.mark.parametrize("end", [b"\r", b"\r\n", b"\n"])
@pytest.mark.parametrize("block_bytes", [700, HEAD_BYTES + 1, 4 << 20])
def test_every_end_of_a_line_is_one(end, block_bytes, file, monkeypatch):
    """Of Unix, of Windows, of old Macs; a border between its two bytes makes no second line."""
    monkeypatch.setattr(cic_csv_lines, "BLOCK_BYTES", block_bytes)
    lines = [line_of(Build.CIC_2018, tot_fwd_pkts=k) for k in range(1, 31)]
    made(file, Build.CIC_2018, *lines, "1,2,3", ",".join(header_of(Build.CIC_2018)), "")
    for content in (file.read_bytes(), file.read_bytes().rstrip(b"\n")):
        file.write_bytes(content.replace(b"\n", end))
        table = open_table(file)

        assert read(table)[0]["tot_fwd_pkts"].tolist() == list(range(1, 31))
        n_empty = content.endswith(b"\n\n")
        expected = {"wrong_number_of_fields": 1, "repeated_header": 1, "empty_line": n_empty}
        assert counted(table) == {name: n for name, n in expected.items() if n}


@pytest.mark.parametrize("block_bytes", [5000, 90_000, 4 << 20])
@pytest.mark.parametrize("is_last", [False, True])
def test_a_line_is_too_long_wherever_it_stands(is_last, block_bytes, file, monkeypatch):
    """65,536 bytes are read, one more is not: within a block, over its border, without an end."""
    monkeypatch.setattr(cic_csv_lines, "BLOCK_BYTES", block_bytes)
    build = Build.CIC_2018
    fill = cic_csv_lines.LINE_BYTES - len(line_of(build, Label=""))
    longest, longer = (line_of(build, Label="x" * n) for n in (fill, fill + 1))
    lines = [line_of(build), longest, longer, line_of(build)]
    made(file, build, *(lines[:3] if is_last else lines))
    if is_last:
        file.write_bytes(file.read_bytes().removesuffix(b"\n"))
    table = open_table(file)

    assert len(read(table)[1]) == (2 if is_last else 3)
    assert counted(table) == {"line_too_long": 1}


@pytest.mark.parametrize("other", ["x", '"5"', "", "1"])
def test_a_cell_is_judged_alike_whatever_its_neighbours(other, file):
    """NaN in brackets, blanks and signs mean the same in a block with a cell that is no number."""
    build = Build.CIC_2018
    cells = ["nan(1)", "-nan(ind)", " 7\t", "+8", "1_0", " "]
    lines = [line_of(build, tot_fwd_pkts=cell) for cell in cells]
    table = open_table(made(file, build, *lines, line_of(build, tot_fwd_pkts=other)))

    columns, _, _ = read(table)
    known = {"x": "unreadable_number", '"5"': "quoted", "": "not_finite"}
    expected = {"not_finite": 3, "unreadable_number": 1}
    if other in known:
        expected[known[other]] = expected.get(known[other], 0) + 1
    assert columns["tot_fwd_pkts"].tolist() == [7, 8, *([1] if other == "1" else [])]
    assert counted(table) == expected


def test_a_bad_cell_and_a_short_line_are_counted_once_each(file):
    """A block that is read twice, for its bad cell, has not twice as many short lines."""
    build = Build.CIC_2018
    lines = [line_of(build), "1,2", line_of(build, tot_fwd_pkts="x"), "", line_of(build)]
    table = open_table(made(file, build, *lines))

    assert len(read(table)[1]) == 2
    assert counted(table) == {
        "wrong_number_of_fields": 1,
        "unreadable_number": 1,
        "empty_line": 1,
    }


def without_times(build, *lines):
    """Header and lines without their time stamps."""
    place = [name.strip() for name in header_of(build)].index("Timestamp")
    rows = [header_of(build), *(line.split(",") for line in lines)]
    return [",".join(row[:place] + row[place + 1 :]) for row in rows]


def test_ordinals_go_on_from_block_to_block(file, monkeypatch):
    """Where no time is told, rows are a second apart, over the whole file."""
    monkeypatch.setattr(cic_csv_lines, "BLOCK_BYTES", 1500)
    build = Build.CIC_2018
    file.write_text("\n".join(without_times(build, *[line_of(build)] * 20)) + "\n")

    assert read(open_table(file))[1] == [k * 10**9 for k in range(1, 21)]


@pytest.mark.parametrize("duration_us", [86_400e6, 86_400e6 + 1, 1e30, 3e38])
def test_no_flow_lasts_longer_than_a_day(duration_us, file):
    """Its last packet comes a day after its first at most, whatever the file says."""
    table = open_table(
        made(file, Build.CIC_2018, line_of(Build.CIC_2018, flow_duration=duration_us))
    )

    first = int(np.datetime64("2017-07-05T09:10:11", "ns").astype(int))
    assert read(table)[1] == [first + 86_400 * 10**9]


@pytest.mark.parametrize("block_bytes", [700, 1024, 5000])
def test_block_borders_do_not_show(block_bytes, file, monkeypatch):
    """Wherever the file is cut, the rows, times, labels and counts are the same."""
    build = Build.FIXED
    lines = [line_of(build, tot_fwd_pkts=k, Label=f"L{k % 3}") for k in range(40)]
    lines[7] = lines[7].replace("BENIGN", "x").replace("105", "bad")
    lines[11], lines[13] = "", ",".join(header_of(build))
    lines[17] = line_of(build, Timestamp="never")
    made(file, build, *lines)
    whole = open_table(file)
    expected = read(whole)

    monkeypatch.setattr(cic_csv_lines, "BLOCK_BYTES", block_bytes)
    pieces = open_table(file)
    got = read(pieces)

    assert all(np.array_equal(got[0][name], expected[0][name]) for name in FLOW.names)
    assert got[1:] == expected[1:]
    assert pieces.counts == whole.counts


def test_reading_twice_counts_once(file):
    """Counts are of one reading."""
    table = open_table(made(file, Build.CIC_2018, "", line_of(Build.CIC_2018)))

    assert read(table)[1] == read(table)[1]
    assert counted(table) == {"empty_line": 1}
    assert set(table.counts) == set(COUNTS)


def test_parts_are_bounded(file, monkeypatch):
    """No part has more rows than a loader may hold."""
    monkeypatch.setattr(cic_csv, "PART_ROWS", 3)
    table = open_table(made(file, Build.CIC_2018, *[line_of(Build.CIC_2018)] * 8))

    parts = list(table.parts())
    assert [len(part.values) for part in parts] == [3, 3, 2]
    assert [len(part.labels) for part in parts] == [3, 3, 2]
    assert all(part.values.dtype == np.float32 for part in parts)


def at(text: str) -> int:
    """Nanoseconds since the Unix epoch, of the end of the plain flow."""
    return int(np.datetime64(text, "ns").astype(int)) + PLAIN["flow_duration"] * 1000


@pytest.mark.parametrize(
    ("stamp", "expected", "reason"),
    [
        ("05/07/2017 09:10:11", "2017-07-05T09:10:11", ""),
        ("5/7/2017 8:42", "2017-07-05T08:42:00", ""),
        ("14/02/2018 12:59:59", "2018-02-14T12:59:59", ""),
        ("14/02/2018 01:02:03", "2018-02-14T13:02:03", "time_afternoon"),
        ("5/7/2017 7:59", "2017-07-05T19:59:00", "time_afternoon"),
        ("14/02/2018 00:02:03", "2018-02-14T00:02:03", ""),
        ("14/02/2018 15:02:03", "2018-02-14T15:02:03", ""),
        ("14/02/2018 01:02:03 PM", "2018-02-14T13:02:03", ""),
        ("14/02/2018 01:02:03 AM", "2018-02-14T01:02:03", ""),
        ("14/02/2018 12:02:03 am", "2018-02-14T00:02:03", ""),
        ("2017-07-07 11:59:50.315195", "2017-07-07T11:59:50.315195", ""),
        ("2017-07-07 01:59:50.3", "2017-07-07T01:59:50.3", ""),
        ("2017-07-07 01:59:50", "2017-07-07T01:59:50", ""),
    ],
)
def test_time_stamps(stamp, expected, reason, file):
    """Days come first; where the clock has twelve hours and no half, the captures tell it."""
    table = open_table(made(file, Build.CIC_2018, line_of(Build.CIC_2018, Timestamp=stamp)))

    assert read(table)[1] == [at(expected)]
    assert counted(table) == ({reason: 1} if reason else {})


def test_a_time_stamp_that_is_none_is_that_of_the_row_before(file):
    """At the beginning there is none before: the epoch."""
    stamps = ["never", "05/07/2017 09:10:11", "32/13/2017 09:10:11", "", "2017-07-07 11:59:50"]
    stamps += ["31/02/2018 09:10:11", "29/02/2018 09:10", "31/04/2018 01:02:03 PM"]
    stamps += ["2018-02-30 09:10:11", "29/02/2020 09:10:11"]
    lines = [line_of(Build.FIXED, Timestamp=stamp) for stamp in stamps]
    table = open_table(made(file, Build.FIXED, *lines))

    second = at("2017-07-05T09:10:11")
    third = at("2017-07-07T11:59:50")
    last = at("2020-02-29T09:10:11")
    assert read(table)[1] == [at("1970-01-01"), second, second, second, *[third] * 5, last]
    assert counted(table) == {"time_unreadable": 7}


@pytest.mark.parametrize("build", BUILDS)
def test_windows_are_minus_1_where_there_is_no_segment(build, file):
    """Some builds write 0 for UDP and for a way without packets."""
    windows = {"init_fwd_win_byts": 0, "init_bwd_win_byts": 0}
    lines = [
        line_of(build, Protocol=17, **windows),
        line_of(build, Protocol=132, **windows),
        line_of(build, tot_bwd_pkts=0, **windows),
        line_of(build, tot_fwd_pkts=0, **windows),
        line_of(build, **windows),
    ]
    table = open_table(made(file, build, *lines))

    columns, _, _ = read(table)
    assert columns["init_fwd_win_byts"].tolist() == [-1, -1, 0, -1, 0]
    is_given = "init_bwd_win_byts" in table.given
    assert columns["init_bwd_win_byts"].tolist() == ([-1, -1, -1, 0, 0] if is_given else [0] * 5)
    assert counted(table) == {"window_of_no_tcp": 4 if is_given else 3}


def test_of_two_columns_of_one_name_the_first_counts(file):
    """Fwd Header Length of 2017: the second one is a copy."""
    build = Build.CIC_2017
    names = [name.strip() for name in header_of(build)]
    first, second = (k for k, name in enumerate(names) if name == "Fwd Header Length")
    cells = line_of(build).split(",")
    cells[second] = "7"

    columns, _, _ = read(open_table(made(file, build, ",".join(cells))))
    assert columns["fwd_header_len"].tolist() == [float(cells[first])]


def test_protocols_and_ports_become_the_classes_of_live_flows(file):
    """The same tables: ports are none where a protocol has none."""
    lines = [
        line_of(Build.FIXED, Protocol=proto, Src__Port=53, Dst__Port=1024)
        for proto in (6, 17, 1, 58, 0, 132, 255)
    ]
    columns, _, _ = read(open_table(made(file, Build.FIXED, *lines)))

    words = [PROTOCOL_CLASSES[int(k)] for k in columns["protocol"]]
    assert words == ["tcp", "udp", "icmp", "icmpv6", "other", "sctp", "other"]
    ports = [PORT_CLASSES[int(k)] for k in columns["src_port_class"]]
    assert ports == ["dns", "dns", "none", "none", "none", "dns", "none"]
    ports = [PORT_CLASSES[int(k)] for k in columns["dst_port_class"]]
    assert ports == ["registered", "registered", "none", "none", "none", "registered", "none"]


LINES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda k, cell: cell_in_line(k, cell),
            st.integers(0, 83),
            st.binary(max_size=12)
            | st.sampled_from([b"nan", b"-inf", b"1e400", b'"', b" 7 ", b"\r"]),
        ),
    ),
    max_size=12,
)
GOOD = line_of(Build.CIC_2018).encode()


def cell_in_line(k: int, cell: bytes) -> bytes:
    """A good line with one cell replaced."""
    cells = GOOD.split(b",")
    cells[k] = cell
    return b",".join(cells)


@settings(deadline=None, max_examples=200)
@given(LINES)
def test_any_bytes_are_rows_or_counted(tmp_path_factory, lines):
    """No exception, all values finite and labels as many; good lines around them are read."""
    path = tmp_path_factory.getbasetemp() / "any.csv"
    head = ",".join(header_of(Build.CIC_2018)).encode()
    content = b"\n".join([head, GOOD, *lines, GOOD, b""])
    path.write_bytes(content)
    n_lines = len(content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")) - 2
    table = open_table(path)

    columns, times, labels = read(table)
    left_out = sum(n for reason, n in table.counts.items() if COUNTS[reason].endswith("left out"))
    assert len(times) == len(labels) == n_lines - left_out >= 2
    assert all(np.isfinite(column).all() for column in columns.values())


@pytest.mark.slow
def test_speed_and_memory(file):
    """At least 100,000 rows a CPU-second, in memory that does not grow with the file."""
    lines = [line_of(Build.CIC_2018, tot_fwd_pkts=k, flow_iat_mean=k / 7) for k in range(1000)]
    body = "\n".join(lines) + "\n"
    with made(file, Build.CIC_2018).open("a") as out:
        for _ in range(300):
            out.write(body)
    table = open_table(file)
    next(iter(table.parts()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    began = time.process_time()
    n_rows = sum(len(part.values) for part in table.parts())
    took_s = time.process_time() - began

    assert n_rows == 300_000
    assert n_rows / took_s > 100_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
