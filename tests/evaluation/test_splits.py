"""How rows are read, labelled and split, and where thresholds come from."""

import numpy as np
import pytest

from tapwatch.config import Config
from tapwatch.errors import CaptureError, ConfigError
from tapwatch.evaluation.attacks import CLASS_OF, TYPES, classes_of, novel_types
from tapwatch.evaluation.protocol import Evidence, Labelled
from tapwatch.evaluation.rows import is_normal, read_label_list, read_labelled
from tapwatch.evaluation.splits import FOLDS, cross_validation, train_on_normals, without_repeats
from tapwatch.evaluation.thresholds import conformal, quantile, top_share, true_share
from tests.evaluation.kdd_like import SCHEMA, rows, write

COUNTS = {"normal": 103, "neptune": 41, "satan": 23, "guess_passwd": 7, "back": 5, "perl": 1}


def no_note(_text):
    """Hear nothing."""


def labelled(path):
    """A file as protocols get it."""
    return read_labelled([path], "kdd", "train", Config(), no_note)[0]


@pytest.fixture
def train(tmp_path):
    """A training file in KDD'99's spelling, packed."""
    return labelled(write(tmp_path / "train.gz", COUNTS, dot="."))


@pytest.mark.parametrize("dot", ["", "."])
@pytest.mark.parametrize("ending", ["txt", "gz"])
def test_files_are_read_as_they_are_distributed(tmp_path, dot, ending):
    """Plain or gzip, with KDD'99's dot or NSL-KDD's difficulty behind the label."""
    path = write(tmp_path / f"file.{ending}", COUNTS, dot=dot)
    if not dot and ending == "txt":
        path.write_text("".join(f"{line},21\n" for line in path.read_text().splitlines()))

    table, [data] = read_labelled([path], "kdd", "test", Config(), no_note)

    values, labels = rows(path)
    assert np.array_equal(table.values, values)
    assert sorted(set(table.labels.tolist())) == sorted(COUNTS)
    assert table.labels.tolist() == labels.tolist()
    assert (data.name, data.rows, data.used_for) == (path.name, len(values), "test")
    assert len(data.sha256) == 64


def test_several_files_are_one_table_in_their_order(tmp_path):
    """And a file each on record; what was left out is told."""
    first, second = write(tmp_path / "a", {"normal": 5}), write(tmp_path / "b", {"back": 3}, 1)
    second.write_text(second.read_text() + "0,xyz" + second.read_text()[5:])

    told = []
    table, data = read_labelled([first, second], "kdd", "train", Config(), told.append)

    assert table.labels.tolist() == ["normal"] * 5 + ["back"] * len(rows(second)[0])
    assert [file.name for file in data] == ["a", "b"]
    # Rows of the second file come after those of the first; these files have no times.
    assert (np.diff(table.time_ns) > 0).all()
    assert not table.has_times
    assert data[1].left_out
    assert told[0] == "a: 5 rows"
    assert next(iter(data[1].left_out)) in told[1]


def test_a_file_without_rows_is_refused(tmp_path):
    """It could not be measured with."""
    path = write(tmp_path / "a", {"normal": 1})
    path.write_text(path.read_text().replace("tcp", "tcp", 1).replace(",0.", ",7."))

    with pytest.raises(CaptureError, match="no rows: want at least 1 of view kdd"):
        labelled(path)


def test_a_label_list_has_a_line_a_row(tmp_path):
    """Blank lines at its end are none."""
    path = tmp_path / "labels"
    path.write_text("normal\n worm \n\n")

    labels, data = read_label_list(path, 2)

    assert labels.tolist() == ["normal", "worm"]
    assert (data.rows, data.used_for) == (2, "labels")
    with pytest.raises(ConfigError, match=r"one label a line for 3 rows.*it has 2 lines\)"):
        read_label_list(path, 3)


def test_a_heading_of_a_label_list_is_named(tmp_path):
    """Where there is one line too many, the first may be it."""
    path = tmp_path / "labels"
    path.write_text("label\nnormal\nworm\n")

    with pytest.raises(ConfigError, match=r"3 lines; is the first one, 'label', a heading\?"):
        read_label_list(path, 2)


def test_normal_is_told_in_any_case():
    """Benign, normal and 0; all else is an anomaly, no label too."""
    words = np.array(["Benign", "NORMAL", "0", " normal", "normal.", "0.0", "1", "", "abnormal"])

    assert is_normal(words).tolist() == [True] * 6 + [False] * 3


def test_each_attack_type_has_one_class():
    """22 types of the training files and 17 that only the test files have."""
    kinds = [kind for types in TYPES.values() for kind in types]

    assert len(kinds) == len(set(kinds)) == 39
    assert set(CLASS_OF.values()) == {"normal", "dos", "probe", "r2l", "u2r"}


def test_a_tunnel_is_of_the_class_that_the_scoring_table_of_the_task_has():
    """httptunnel gains root there, as xterm and ps do."""
    assert {CLASS_OF[kind] for kind in ("httptunnel", "xterm", "ps")} == {"u2r"}


def test_unknown_types_are_a_class_of_their_own_and_counted():
    """And novel, as are known ones that the training rows lack."""
    labels = np.array(["smurf.", "normal", "snmpguess", "wurm", "wurm", "PS"])

    classes, unknown = classes_of(labels)

    assert classes.tolist() == ["dos", "normal", "r2l", "other", "other", "u2r"]
    assert unknown == {"wurm": 2}
    train = np.array(["normal.", "smurf", "ps."])
    assert novel_types(labels, train).tolist() == [False, False, True, True, True, False]


def keyed(values):
    """Rows as a list of bytes, sorted."""
    return sorted(row.tobytes() for row in values)


def test_normal_rows_learn_and_calibrate_and_nothing_is_lost(train, tmp_path):
    """Training and calibration are the normal rows of the one, the test is all of the other."""
    test = labelled(write(tmp_path / "test", {"normal": 30, "satan": 9, "mscan": 4}, 7))

    split = train_on_normals(train, test, 0)

    normal = train.values[train.labels == "normal"]
    assert keyed(np.concatenate([split.train, split.calibration])) == keyed(normal)
    assert len(split.calibration) == int(0.2 * len(normal))
    assert np.array_equal(split.test, test.values)
    assert split.is_anomaly.tolist() == (test.labels != "normal").tolist()
    assert split.novel.tolist() == (test.labels == "mscan").tolist()
    assert not np.array_equal(split.train, train_on_normals(train, test, 1).train)
    assert np.array_equal(split.train, train_on_normals(train, test, 0).train)


def test_the_folds_test_with_every_row_and_never_with_one_that_teaches(train):
    """Five folds cover the file; of types that are held out no row is left outside the test."""
    normal = train.labels == "normal"
    tested, held_out = [], []
    for seed in range(FOLDS):
        split = cross_validation(train, seed)
        fold = [row.tobytes() for row in split.test]
        learnt = keyed(np.concatenate([split.train, split.calibration]))
        assert not set(fold) & set(learnt)
        assert not set(fold) & {row.tobytes() for row in split.choose[0]}
        assert set(learnt) <= set(keyed(train.values[normal]))
        types = split.facts["types_held_out"]
        whole = np.isin(train.labels, types)
        assert keyed(split.test[split.novel]) == keyed(train.values[whole])
        tested += fold
        held_out += types

    assert set(tested) == set(keyed(train.values))
    assert sorted(held_out) == sorted(set(COUNTS) - {"normal"})
    rest = {row.tobytes() for row in train.values[normal]}
    assert sum(row in rest for row in tested) == normal.sum()


def test_the_next_five_seeds_are_another_shuffle(train):
    """The same folds again would make the deviation too small."""
    first, sixth = cross_validation(train, 0), cross_validation(train, FOLDS)

    assert keyed(first.test[~first.is_anomaly]) != keyed(sixth.test[~sixth.is_anomaly])
    assert first.facts["types_held_out"] != sixth.facts["types_held_out"]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"back": 9}, "--train = 'no row labelled normal': want normal rows to learn from"),
        ({"normal": 9}, "--train = 'normal rows alone': want attacks too"),
    ],
)
def test_a_file_of_one_kind_cannot_be_cross_validated(tmp_path, counts, message):
    """The message says what is missing."""
    table = labelled(write(tmp_path / "one", counts))

    with pytest.raises(ConfigError, match=message):
        cross_validation(table, 0)


def test_of_rows_that_are_the_same_the_first_stays():
    """Whatever its label."""
    values = np.zeros((5, len(SCHEMA.names)), np.float32)
    values[[1, 3], 4] = 1
    labels = np.array(["a", "b", "c", "d", "e"])
    table = Labelled(values, labels, np.arange(5), SCHEMA)

    assert without_repeats(table).labels.tolist() == ["a", "b"]


def evidence(**given):
    """Scores 0 to 99 for training, 0 to 198 in steps of 2 for calibration."""
    usual = {"train": np.arange(100.0), "calibration": np.arange(100.0) * 2}
    return Evidence(**{**usual, "test": None, "is_anomaly": None, "seed": 0, **given})


def test_thresholds_by_hand():
    """Quantiles of what they are of, the k-th largest, a share of the test."""
    test = np.arange(10.0)
    is_anomaly = test >= 7

    assert quantile(0.5)(evidence()) == 99.0
    assert quantile(0.5, of="train", factor=2)(evidence()) == 99.0
    # floor(.05 * 101) = 5: four calibration rows are above the fifth largest.
    assert conformal(0.05)(evidence()) == 190.0
    assert conformal(0.001)(evidence()) == 198.0  # cannot be shown: the largest
    assert (test > top_share(0.2)(evidence(test=test))).sum() == 2
    assert (test > true_share()(evidence(test=test, is_anomaly=is_anomaly))).sum() == 3
    both = top_share(0.2, of="train and test")(evidence(train=test + 100, test=test))
    assert both == pytest.approx(np.quantile([*test, *(test + 100)], 0.8))


def test_a_conformal_threshold_keeps_its_promise():
    """Over all places of a new row among n calibration rows, at most alpha of them flag it."""
    for n in (1, 7, 99, 100, 250):
        for alpha in (0.01, 0.05, 0.3):
            scores = np.arange(n, dtype=float)
            threshold = conformal(alpha)(evidence(calibration=scores))
            # A new row takes each of the n + 1 places with the same chance.
            above = sum(place - 0.5 > threshold for place in range(n + 1))
            assert above / (n + 1) <= max(alpha, 1 / (n + 1))


@pytest.mark.parametrize("rule", [top_share(0.2), true_share()])
def test_a_rule_that_needs_the_test_has_to_say_so(rule):
    """It is not shown otherwise."""
    with pytest.raises(ConfigError, match="threshold_sees = 'nothing': want test scores"):
        rule(evidence())


def test_a_rule_without_rows_is_refused():
    """There is no quantile of nothing."""
    with pytest.raises(ConfigError, match="calibration rows = 0"):
        conformal(0.01)(evidence(calibration=np.zeros(0)))
