"""Out-of-order segments of an export: what learns, what tests, and the notebook's columns."""

import csv
import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from tapwatch.config import Config
from tapwatch.errors import CaptureError, ConfigError
from tapwatch.evaluation.protocol import Context, Inputs, Tables
from tapwatch.evaluation.protocols import seed_002, seed_002_notebook
from tapwatch.evaluation.rows import read_labelled
from tests.evaluation.test_calibration import Silent
from tests.evaluation.test_published_protocols import outcome

ROOT = Path(__file__).resolve().parents[2]
N_ROWS = 60
#: Places of the out-of-order segments: two in the first half, three in the second.
ANOMALOUS = (5, 20, 33, 47, 59)
HEADER = ("No.", "Time", "Source", "Destination", "Protocol", "Length", "Info")


class Heard(Silent):
    """Remembers the notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def export(path: Path, anomalous=ANOMALOUS) -> Path:
    """A list of packets of one conversation; lengths tell rows apart."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(HEADER)
        for k in range(N_ROWS):
            mark = "[TCP Out-Of-Order] " if k in anomalous else ""
            info = f"{mark}40000  >  443 [ACK] Seq={k} Ack=1 Win=500 Len={k}"
            writer.writerow((k + 1, f"{k / 10:.6f}", "10.0.0.1", "10.0.0.2", "TCP", 66 + k, info))
    return path


def tables(path: Path) -> Tables:
    """The rows of an export as the protocol gets them."""
    rows, _ = read_labelled([path], "packet", "train", Config(), lambda _: None)
    return Tables(rows)


@pytest.fixture
def sections(tmp_path):
    """Splits of all sections, by name."""
    made = tables(export(tmp_path / "x.csv"))
    return {s.name: s.split(made, 0) for s in seed_002.SECTIONS}


def test_no_anomaly_is_learnt_from_and_all_of_the_second_half_tests(sections):
    """Lengths say which rows went where: the first half's normals learn (80 %) or calibrate."""
    for name, split in sections.items():
        at = split.schema.names.index("frame_len")
        first = [66 + k for k in range(N_ROWS // 2) if k not in ANOMALOUS]
        seen = [*split.train[:, at], *split.calibration[:, at]]
        assert sorted(seen) == first
        assert (seen == first) == (name == "calibrated in order of time")
        assert len(split.calibration) == int(len(first) * 0.2)
        assert split.test[:, at].tolist() == [66 + k for k in range(30, 60)]
        assert np.flatnonzero(split.is_anomaly).tolist() == [3, 17, 29]
        assert set(split.classes[split.is_anomaly]) == {"out-of-order"}


def test_what_calibrates_is_drawn_anew_by_each_seed(tmp_path):
    """And is the same for the same seed."""
    made = tables(export(tmp_path / "x.csv"))
    held = [seed_002.HEADERS.split(made, seed).calibration.tobytes() for seed in (1, 1, 2)]

    assert held[0] == held[1] != held[2]


def test_the_choice_between_contenders_sees_the_first_half_alone(sections, monkeypatch):
    """Five folds: each normal row is tested once, the late segments each time, none is learnt."""
    split = sections["headers and times"]
    at = split.schema.names.index("frame_len")
    monkeypatch.setattr(seed_002, "_STRETCH_ROWS", 2)
    folds = seed_002.folds_of_the_first_half(split)
    late = [66 + k for k in ANOMALOUS if k < N_ROWS // 2]
    first = [66 + k for k in range(N_ROWS // 2) if k not in ANOMALOUS]
    tested = []
    for fold in folds:
        assert fold.test[fold.is_anomaly, at].tolist() == late
        held = fold.test[~fold.is_anomaly, at].tolist()
        assert sorted([*held, *fold.train[:, at]]) == first
        tested += held
    assert sorted(tested) == first


def test_marked_is_the_share_of_flagged_rows_with_any_mark(sections):
    """Three late segments and one other row are flagged: three in four."""
    split = sections["headers and times"]
    flagged = split.is_anomaly.copy()
    flagged[0] = True
    told = seed_002.marked(split, outcome(np.zeros(30), np.zeros(1), np.zeros(1), 0.0))
    assert told == {"marked": 0.0}
    with_flags = replace(outcome(np.zeros(30), np.zeros(1), np.zeros(1), 0.0), flagged=flagged)
    assert seed_002.marked(split, with_flags) == {"marked": 0.75}


def test_the_label_is_never_a_column(sections):
    """One section drops the label's own column alone, the others all of the analysis."""
    analysis = [n for n in sections["headers and times"].schema.names if "analysis" in n]

    for name in set(sections) - {"other analysis kept"}:
        assert not set(analysis) & set(sections[name].columns)
    kept = set(analysis) & set(sections["other analysis kept"].columns)
    assert kept == set(analysis) - {seed_002.LABEL}


def test_one_section_lacks_the_column_of_sequence_numbers_and_no_other(sections):
    """Side by side they show what it is worth."""
    without = sections["without sequence numbers"].columns

    assert [n for n in sections["headers and times"].columns if n not in without] == [
        "tcp_seq_advance"
    ]
    assert "tcp_seq_advance" in sections["other analysis kept"].columns


def test_statements_hold_for_any_export():
    """What was found in one is told in the reading of its table; the table has the same words."""
    told = json.loads((ROOT / "docs/results/seed-002.json").read_text())["statement"]

    for section in seed_002.SECTIONS:
        statement = asdict(section.statement)
        assert told[section.name] == statement
        assert "of its" not in statement["avoids"]
        assert not re.search(r"\d{3}", statement["avoids"])


def test_a_file_whose_second_half_has_no_anomaly_is_refused(tmp_path):
    """The message says what is wanted of the file."""
    made = tables(export(tmp_path / "x.csv", anomalous=(3,)))

    with pytest.raises(ConfigError, match="out-of-order ones in the second"):
        seed_002.HEADERS.split(made, 0)


def test_the_notebooks_columns_are_the_row_number_as_it_is_and_every_text_apart(tmp_path):
    """60 different Infos are 60 columns; Time and Length have mean 0 and deviation 1."""
    sheet = seed_002_notebook.sheet_of(export(tmp_path / "x.csv"))
    values, anomalous = sheet.values, sheet.anomalous

    assert values.shape == (N_ROWS, 3 + 1 + 1 + 1 + N_ROWS)
    assert values[:, 0].tolist() == list(range(1, N_ROWS + 1))
    np.testing.assert_allclose(values[:, 1:3].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(values[:, 1:3].std(axis=0, ddof=1), 1, rtol=1e-6)
    assert (values[:, 3:].sum(axis=1) == 4).all()
    assert np.flatnonzero(anomalous).tolist() == list(ANOMALOUS)


def test_the_notebook_gives_the_same_figures_for_the_same_seed(tmp_path):
    """Another seed splits and begins in another way; the row number has a part of the error."""
    sheet = seed_002_notebook.sheet_of(export(tmp_path / "x.csv"))

    first, again, other = (
        seed_002_notebook.as_written(sheet, seed, epochs=5) for seed in (3, 3, 4)
    )

    assert first == again != other
    assert set(first) == {"held-out normal", "normal", "out of order"}
    assert all(rmse > 0 and 0 < share < 1 for rmse, share in first.values())


def spoilt(path: Path, line: int, spoil) -> Path:
    """An export of which one line, counted from 1, is another."""
    lines = export(path).read_text().splitlines()
    lines[line - 1] = spoil(lines[line - 1])
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("line", "spoil", "message"),
    [
        (1, lambda text: text.replace("No.", "Number"), "line 1: no column No."),
        (1, lambda text: text.replace(",", ";"), "line 1: no column No."),
        (7, lambda text: text.replace('"6"', '"abc"'), "line 7: No. = 'abc': want a number"),
        (7, lambda text: text.replace('"6"', '"nan"'), "line 7: No. = 'nan': want a number"),
        (9, lambda text: text.rsplit(",", 2)[0], "line 9: no field Length"),
        (9, lambda text: text[:-1] + "x" * 70_000 + '"', "a line of 65,536 characters or more"),
    ],
)
def test_what_the_notebook_could_not_read_is_named_by_line_and_column(
    tmp_path, line, spoil, message
):
    """The loader takes such files: the message says what the notebook lacks."""
    with pytest.raises(CaptureError, match=f"^{re.escape(message)}"):
        seed_002_notebook.sheet_of(spoilt(tmp_path / "x.csv", line, spoil))


def test_fields_without_end_are_refused(tmp_path):
    """A quote that never closes runs over many lines."""
    path = export(tmp_path / "x.csv")
    path.write_text(path.read_text() + '"61","' + ("x" * 60_000 + "\n") * 3)

    with pytest.raises(CaptureError, match=r"^line 6\d: field larger"):
        seed_002_notebook.sheet_of(path)


@pytest.mark.parametrize(
    ("limit", "most", "message"),
    [
        ("MOST_ROWS", N_ROWS - 1, "more than 59 rows"),
        ("MOST_CELLS", N_ROWS * 66 - 1, "3,960 cells with every text a column: want 3,959"),
    ],
)
def test_a_file_that_would_not_fit_into_memory_is_refused(
    tmp_path, monkeypatch, limit, most, message
):
    """One row or cell too many; as many as there may be are taken."""
    path = export(tmp_path / "x.csv")
    monkeypatch.setattr(seed_002_notebook, limit, most)
    with pytest.raises(CaptureError, match=message):
        seed_002_notebook.sheet_of(path)

    monkeypatch.setattr(seed_002_notebook, limit, most + 1)
    assert len(seed_002_notebook.sheet_of(path).values) == N_ROWS


def test_the_notebook_is_left_out_before_any_work_and_the_rest_is_measured(tmp_path, monkeypatch):
    """The note comes first; the results say it too."""
    monkeypatch.setattr(seed_002_notebook, "MOST_ROWS", 10)
    monkeypatch.setattr(seed_002, "run_sections", lambda *given: ())
    monkeypatch.setattr(seed_002, "_tables", lambda *given: [])
    heard = Heard()
    inputs = Inputs(train=(export(tmp_path / "x.csv"),))

    results = seed_002.PROTOCOL.run(Context(seed_002.PROTOCOL, inputs, (0,), (), heard, Config()))

    assert heard.notes[0] == "the notebook as written is left out: x.csv: more than 10 rows"
    assert results.facts == {"as_written_left_out": "x.csv: more than 10 rows"}
    assert results.tables == ()
    several = replace(inputs, train=(inputs.train[0], export(tmp_path / "y.csv")))
    found = seed_002._sheet(Context(seed_002.PROTOCOL, several, (0,), (), heard, Config()))
    assert found == (None, "2 files: the notebook has one")
