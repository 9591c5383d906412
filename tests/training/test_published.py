"""Published tables as inputs: which are recognised, which rows and columns of them are learnt."""

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from tapwatch.config import Config
from tapwatch.detect import Scorer, load_bundle
from tapwatch.detect.export import as_export
from tapwatch.errors import ArtifactError, CaptureError, ConfigError
from tapwatch.features import SCHEMAS
from tapwatch.features.schema import make_schema
from tapwatch.tables import ROW, Column, FeatureBatch
from tapwatch.training import published
from tapwatch.training.fit import train
from tapwatch.training.order import Listener, Order
from tapwatch.training.published import LOADERS, Selection, open_published
from tapwatch.training.tables import Table, TablePart
from tests.training import made

FLOW = SCHEMAS["flow"]
MAGIC = b"made,by,test\n"


class Loader(ModuleType):
    """A loader of files that begin with MAGIC: 400 rows in two parts, every fourth an attack."""

    kind = "made_csv"
    schema = FLOW
    withheld: dict[str, str] = {}  # noqa: RUF012
    labels = ("BENIGN", "Benign", " normal ", "DoS")
    defective_as: tuple[str, ...] = ()

    def recognise(self, path):
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    def open_table(self, path, schema, *, keep_defective=False):
        mine = self.schema
        if keep_defective:
            odd = Column("defective_x", "1", "float64", "as the build had it", "made", "made")
            mine = make_schema("flow", FLOW.version, (*FLOW.columns, odd))
        values = made.values(400, schema=mine).astype(np.float32)
        values[3::4, 0] = 7777
        counts = {"infinity": 0, "never": 0}

        def parts():
            for start in (0, 200):
                rows = slice(start, start + 200)
                labels = tuple(self.labels[k % 4] for k in range(200)) if self.labels else ()
                counts["infinity"] += 3
                yield TablePart(values[rows], np.arange(start, start + 200) * 10**10, labels)

        given = tuple(name for name in mine.names if name not in self.withheld)
        return Table(path, self.kind, mine, given, self.withheld, not keep_defective, parts, counts)


@pytest.fixture
def loader(monkeypatch):
    """In the place of the loader for CICFlowMeter's tables; the others are as they are."""
    fake = Loader("tapwatch.training.cic_csv")
    monkeypatch.setitem(sys.modules, "tapwatch.training.cic_csv", fake)
    return fake


@pytest.fixture
def order(tmp_path, loader):
    (tmp_path / "published.csv").write_bytes(MAGIC)
    return Order(
        inputs=[tmp_path / "published.csv"],
        view="flow",
        detector="ae",
        output=tmp_path / "out" / "office",
        time="2024-01-02T03:04:05Z",
        settings={"epochs": "2"},
        budget_per_hour=60.0,
    )


def told(order):
    """The manifest, and what was said on the way."""
    notes = []
    return train(order, Listener(note=notes.append)), notes


def test_only_benign_rows_are_learnt(order):
    """Whatever the case of the label and the blanks about it; the counts are told."""
    manifest, notes = told(order)
    bundle = load_bundle(order.output, SCHEMAS)

    assert manifest.training.rows_seen == 300
    assert bundle.preprocess.high[0] < 7777
    assert notes == [
        "published.csv: 300 of 400 rows are labelled benign or normal and used; not used: DoS 100",
        "published.csv: left out or mended: infinity 6",
    ]
    [part] = manifest.training.inputs
    assert (part.kind, part.left_out) == ("made_csv", {"infinity": 6})
    assert (manifest.rows, manifest.training.benign) == ("live", [])


def test_the_operator_says_which_labels_are_benign(order):
    """Instead of the usual ones."""
    manifest, notes = told(replace(order, benign=["dos"]))

    assert manifest.training.rows_seen == 100
    assert manifest.training.benign == ["dos"]
    assert "100 of 400 rows are labelled dos and used; not used: BENIGN 100" in notes[0]
    with pytest.raises(ConfigError, match=r"training rows = 0: want at least 1 .*--benign"):
        train(replace(order, benign=["Web Attack"]))


def test_a_table_without_labels_is_learnt_whole(order, loader):
    """Nobody says that a row of it is an attack."""
    loader.labels = ()
    manifest, notes = told(order)

    assert manifest.training.rows_seen == 400
    assert notes == ["published.csv: left out or mended: infinity 6"]


def test_labels_that_no_input_has_are_not_asked_for_in_silence(order, loader, tmp_path):
    """Refused where no input can have any; a warning where this table has none."""
    own = made.parquet(tmp_path / "own.parquet")
    with pytest.raises(ConfigError, match="--benign = 'foo, bar': want no such option without a"):
        train(replace(order, inputs=[own], benign=["foo", "bar"]))

    loader.labels = ()
    warnings = []
    manifest = train(replace(order, benign=["foo"]), Listener(warning=warnings.append))

    assert manifest.training.rows_seen == 400
    assert warnings[0] == "published.csv: --benign: its rows have no labels; all of them are used"


def test_labels_are_not_blamed_where_there_are_no_rows(export_order):
    """An export with a header and nothing else."""
    [path] = export_order.inputs
    path.write_text(EXPORT.splitlines()[0] + "\n")
    with pytest.raises(
        ConfigError, match=r"training rows = 0: want at least 1 row of view packet$"
    ):
        train(export_order)


def test_times_that_go_back_in_most_rows_are_warned_of(export_order):
    """Times since the previous packet look like any seconds: they are to be exported anew."""
    [path] = export_order.inputs
    warned = []
    for times in ([k * 0.5 for k in range(100)], [0.5 + (k * 7 % 11) / 100 for k in range(100)]):
        lines = [f"{k},{t},1.1.1.1,2.2.2.2,TCP,60,x\n" for k, t in enumerate(times)]
        path.write_text(EXPORT.splitlines()[0] + "\n" + "".join(lines))
        warnings = []
        train(export_order, Listener(warning=warnings.append))
        warned.append([text for text in warnings if "older than one before" in text])

    assert warned[0] == []
    [text] = warned[1]
    assert text.startswith("list.csv: 8")
    assert " of 100 rows are older than one before them" in text
    assert "View > Time Display Format > Seconds Since Beginning of Capture" in text


@pytest.mark.parametrize("turn", [False, True])
def test_what_any_table_withholds_is_withheld_from_all(order, loader, monkeypatch, tmp_path, turn):
    """The first, the last, whichever it is."""
    other = tmp_path / "other.csv"
    other.write_bytes(MAGIC)
    open_table = loader.open_table

    def withhold(path, schema, **options):
        lacking = {FLOW.names[4]: "lost"} if path == other else {FLOW.names[2]: "constant"}
        return replace(open_table(path, schema, **options), withheld=lacking)

    monkeypatch.setattr(loader, "open_table", withhold, raising=False)
    files = [*order.inputs, other]
    found = open_published(files[::-1] if turn else files, FLOW)

    assert found.withheld == {FLOW.names[2]: "constant", FLOW.names[4]: "lost"}


def test_columns_of_one_name_that_mean_something_else_are_refused(order, loader, tmp_path):
    """Names alone do not tell what a column is: another formula is another column."""
    own = made.parquet(tmp_path / "own.parquet")
    changed = replace(FLOW.columns[0], formula="something else")
    loader.schema = make_schema("flow", FLOW.version, (changed, *FLOW.columns[1:]))
    for inputs in ([own, *order.inputs], [*order.inputs, own]):
        with pytest.raises(ConfigError, match="they differ in their meaning"):
            open_published(inputs, FLOW)


def test_calibration_rows_are_benign_too(order, tmp_path):
    """The same labels, and the same rule, for the threshold."""
    held = tmp_path / "held.csv"
    held.write_bytes(MAGIC)
    manifest, notes = told(replace(order, calibration_inputs=[held]))

    assert manifest.training.rows + manifest.training.validation_rows == 300
    assert manifest.threshold.calibration_rows == 300
    assert [part.used_for for part in manifest.training.inputs] == ["training", "calibration"]
    assert sum("held.csv" in note for note in notes) == 2


def test_columns_that_a_table_withholds_are_not_learnt_and_the_reason_is_told(order, loader):
    """A line a reason; asking for one is refused with it; they are not among those dropped."""
    a, b, c, d = FLOW.names[1:5]
    loader.withheld = {a: "permuted", b: "constant", c: "permuted"}
    manifest, notes = told(replace(order, drop=[d]))

    assert notes[:2] == [
        f"not learnt from: {a}, {c}: permuted",
        f"not learnt from: {b}: constant",
    ]
    assert manifest.preprocess.withheld == loader.withheld
    assert manifest.preprocess.dropped == [d]
    assert not {a, b, c, d} & {*manifest.preprocess.columns}
    assert load_bundle(order.output, SCHEMAS).preprocess.columns == tuple(
        manifest.preprocess.columns
    )
    with pytest.raises(ConfigError, match=f"--columns = '{a}': want columns that .*permuted"):
        train(replace(order, columns=[a]))


def test_a_capture_beside_a_table_is_learnt_by_what_both_give(order, loader, tmp_path):
    """Rows of both; the columns that the table withholds are left out of all."""
    loader.withheld = {FLOW.names[2]: "constant"}
    own = made.parquet(tmp_path / "own.parquet")
    manifest, _ = told(replace(order, inputs=[own, *order.inputs]))

    assert manifest.training.rows_seen == 700
    assert FLOW.names[2] not in manifest.preprocess.columns
    assert [part.kind for part in manifest.training.inputs] == [None, "made_csv"]


def test_defective_columns_make_a_bundle_that_no_live_row_fits(order):
    """It is written, and refused by the schema of this build, the column named."""
    manifest, _ = told(replace(order, keep_defective=True))

    assert "defective_x" in [column.name for column in manifest.feature_schema.columns]
    with pytest.raises(ArtifactError, match="not in this build: defective_x") as refused:
        load_bundle(order.output, SCHEMAS)
    assert refused.value.exit_code == 4


def test_defective_columns_do_not_mix_with_rows_that_lack_them(order, tmp_path):
    """The input and the columns are named; without such a table the option is refused."""
    own = made.parquet(tmp_path / "own.parquet")
    for inputs in ([own, *order.inputs], [*order.inputs, own]):
        with pytest.raises(ConfigError, match="they differ in defective_x"):
            train(replace(order, inputs=inputs, keep_defective=True))
    with pytest.raises(ConfigError, match="--keep-defective = True: want no such option"):
        train(replace(order, inputs=[own], keep_defective=True))


def test_a_table_of_another_view_is_refused(order):
    """The view that it fills is named."""
    with pytest.raises(ConfigError, match=r"--view = 'packet': want flow .*published.csv"):
        train(replace(order, view="packet"))


def test_a_filter_does_not_go_with_a_table(order):
    """There are no packets in it."""
    with pytest.raises(ConfigError, match="--filter = 'tcp': want no value with tables"):
        train(replace(order, filter="tcp"))


def test_every_loader_has_the_same_face_and_gives_the_view_that_is_said():
    """What is asked of each of them is there; the views are ours."""
    for name, view in LOADERS.items():
        module = published._module(name)
        assert callable(module.recognise)
        assert callable(module.open_table)
        assert view in SCHEMAS


@pytest.mark.parametrize("content", [b"", b"\0", b"a,b\n1,2\n", b"\xff" * 5000, b"\n" * 5000])
def test_what_no_loader_knows_is_no_table(tmp_path, content):
    """Then it is for the capture room to say what it is."""
    (tmp_path / "x").write_bytes(content)
    found = open_published([tmp_path / "x"], FLOW)

    assert (dict(found.tables), found.schema, found.is_export) == ({}, FLOW, False)


def test_a_file_that_cannot_be_read_is_told(loader, monkeypatch, tmp_path):
    """By name, as exit code 3."""

    def fail(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(loader, "recognise", fail, raising=False)
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(CaptureError, match=r"x: cannot be read: Permission denied"):
        open_published([tmp_path / "x"], FLOW)


def test_labels_without_end_are_counted_in_bounded_memory():
    """256 are told apart, whatever a file holds; none of the rows is lost from the count."""
    selection = Selection(frozenset({"benign"}))
    for start in range(0, 3000, 1000):
        labels = tuple(f"attack {k}" for k in range(start, start + 1000))
        nothing = np.zeros((1000, 1), np.float32)
        chosen = selection.of(TablePart(nothing, np.arange(1000), labels))
        assert not chosen.any()

    assert len(selection.others) <= 257
    assert selection.others.total() == 3000
    assert "and 249 more" in selection.told()


EXPORT = '"No.","Time","Source","Destination","Protocol","Length","Info"\n' + "".join(
    f'"{k + 1}","{k / 10:.6f}","10.0.0.1","10.0.0.2","TCP","{60 + k % 7}",'
    f'"40000 > 80 [ACK] Seq={k} Ack=1 Win={500 + k % 5} Len={k % 7}"\n'
    for k in range(300)
)


@pytest.fixture
def export_order(tmp_path):
    (tmp_path / "list.csv").write_text(EXPORT)
    return Order(
        inputs=[tmp_path / "list.csv"],
        view="packet",
        detector="ae",
        output=tmp_path / "out" / "listed",
        time="2024-01-02T03:04:05Z",
        settings={"epochs": "1"},
    )


def live(n_rows=200):
    """Rows of the packet view with a number in every column."""
    values = np.random.default_rng(1).integers(1, 50, (n_rows, len(SCHEMAS["packet"].names)))
    rows = np.zeros(n_rows, ROW)
    return FeatureBatch(SCHEMAS["packet"], values.astype(np.float32), rows)


def test_a_bundle_of_an_export_scores_live_rows_as_an_export_would_show_them(export_order):
    """What no export gives cannot reach a score, nor the reasons."""
    manifest = train(export_order)
    bundle = load_bundle(export_order.output, SCHEMAS)
    batch = live()
    reduced = replace(batch, values=as_export(batch.schema, batch.values))
    one, other = (Scorer(bundle).score(rows) for rows in (batch, reduced))

    assert manifest.rows == "wireshark_export"
    assert manifest.training.inputs[0].kind == "wireshark_csv"
    assert "ip_ttl" in manifest.preprocess.withheld
    assert not np.array_equal(reduced.values, batch.values)
    assert one.flagged.any()
    for field in ("error", "flagged", "observed", "expected", "share"):
        assert getattr(one, field).tobytes() == getattr(other, field).tobytes()
    plain = bundle.preprocess.apply(batch.values)
    assert not np.array_equal(plain, bundle.preprocess.apply(reduced.values))


def test_captures_beside_an_export_are_learnt_as_an_export_would_show_them(export_order, tmp_path):
    """Also those that calibrate: the errors of the record are those of the scorer."""
    own = made.parquet(tmp_path / "own.parquet", schema=SCHEMAS["packet"])
    manifest = train(replace(export_order, calibration_inputs=[own]))
    bundle = load_bundle(export_order.output, SCHEMAS)
    values = made.values(400, schema=SCHEMAS["packet"]).astype(np.float32)
    batch = FeatureBatch(SCHEMAS["packet"], values, np.zeros(400, ROW))

    assert manifest.rows == "wireshark_export"
    assert manifest.threshold.calibration_rows == 400
    errors = Scorer(bundle).score(batch).error
    assert bundle.calibration.error.tolist() == sorted(set(errors.tolist()))


def test_rows_of_kdd_files_are_recognised_and_their_words_are_classes(tmp_path):
    """A dozen lines as the files have them, with labels; attacks stay out."""
    lines = []
    for k in range(120):
        fields = [str(k % 9), ("tcp", "udp")[k % 2], ("http", "domain_u")[k % 2], "SF"]
        fields += [str(k), str(2 * k), *["0"] * 16, str(k % 5 + 1), "1", *["0.00"] * 17]
        assert len(fields) == 41
        lines.append(",".join([*fields, "normal." if k % 3 else "smurf."]))
    (tmp_path / "kddcup.data").write_text("\n".join(lines) + "\n")
    order = Order(
        inputs=[tmp_path / "kddcup.data"],
        view="kdd",
        detector="ae",
        output=tmp_path / "out" / "old",
        time="2024-01-02T03:04:05Z",
        settings={"epochs": "1"},
        config=Config(),
    )
    manifest, notes = told(order)

    assert manifest.training.rows_seen == 80
    assert "not used: smurf 40" in notes[0]
    assert manifest.preprocess.classes["protocol_type"] == ["tcp", "udp"]
    assert sorted(manifest.preprocess.classes["service"]) == ["domain_u", "http"]
    assert manifest.configuration["kdd.host_window"] == 256
