"""Floors: scores of no learning, and the audit of the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.evaluation.audit import audit
from tapwatch.evaluation.duplicates import first_of_each, row_keys, stands_in
from tapwatch.evaluation.floors import column_areas, floors_of, mark, rate_of
from tapwatch.evaluation.metrics import spread
from tapwatch.evaluation.protocol import Section, Split, Statement
from tapwatch.evaluation.results import Row
from tapwatch.evaluation.thresholds import quantile, top_share
from tapwatch.features.schema import make_schema
from tapwatch.tables import Column
from tests.evaluation import naive_metrics as naive

_WORDS = ("http", "dns", "ssh")
SCHEMA = make_schema(
    "made",
    1,
    [
        Column("bytes", "B", "int64", "x", "", ""),
        Column("flat", "1", "int64", "x", "", ""),
        Column("low", "1", "float64", "x", "", ""),
        Column("service", "1", "int64", "x", "", "", categories=_WORDS),
    ],
)


def section(rule=None, **changes):
    """A section without contenders, for its threshold alone."""
    statement = Statement(*["."] * 7)
    rule = rule or quantile(0.9)
    return Section("main", statement, lambda tables, seed: None, (), rule, **changes)


@pytest.fixture
def split():
    """Anomalies have a low column 2, and use ssh, which one training row in 100 has."""
    random = np.random.default_rng(1)
    normal = np.zeros((300, 4), np.float32)
    normal[:, 0] = random.integers(0, 50, 300)
    normal[:, 1] = 7
    normal[:, 2] = random.integers(50, 100, 300)
    normal[::100, 3] = 2
    bad = normal[:50].copy()
    bad[:, 2] = random.integers(0, 60, 50)
    bad[:, 3] = 2
    test = np.concatenate([normal[200:], bad])
    is_anomaly = np.arange(150) >= 100
    return Split(
        train=normal[:150],
        calibration=normal[150:200],
        test=test,
        schema=SCHEMA,
        is_anomaly=is_anomaly,
        classes=np.where(is_anomaly, "worm", "normal"),
        novel=np.zeros(150, np.bool_),
        choose=(test[::2], is_anomaly[::2]),
    )


def found(split, name, rule=None, **changes):
    """One floor by name."""
    floors = floors_of(split, section(rule, **changes), 0)
    return next(floor for floor in floors if floor.name == name)


def test_the_best_column_is_the_one_that_separates_and_its_direction_is_told(split):
    """Low values of column `low` are anomalous, so it stands with a minus."""
    best, chosen = found(split, "best column"), found(split, "chosen column")

    assert best.note == "-low, chosen on the test rows"
    assert chosen.note == "-low, chosen on labelled rows that are not test rows"
    scores = (-split.test[:, 2]).tolist()
    assert best.merits["auc"] == pytest.approx(float(naive.auc(scores, split.is_anomaly.tolist())))


def test_a_column_is_chosen_without_a_look_at_the_test_rows(split):
    """Other rows that say otherwise make another choice, however bad."""
    values = split.choose[0].copy()
    values[:, 2] = 0
    values[:, 0] = split.choose[1] * 5
    other = Split(**{**fields(split), "choose": (values, split.choose[1])})

    assert found(other, "chosen column").note.startswith("bytes, ")


def fields(split):
    """A split as a mapping."""
    return {name: getattr(split, name) for name in Split.__dataclass_fields__}


def test_without_labelled_rows_apart_no_column_is_chosen(split):
    """There would be nothing honest to choose it by."""
    alone = Split(**{**fields(split), "choose": None})

    assert "chosen column" not in [floor.name for floor in floors_of(alone, section(), 0)]


def test_rarity_counts_words_of_training_rows(split):
    """-log((n + 1) / (N + 1)): ssh has 2 of 150 training rows, dns none."""
    words = split.test[:, 3]
    rarity = {0: -np.log(149 / 151), 1: -np.log(1 / 151), 2: -np.log(3 / 151)}
    scores = [rarity[int(word)] for word in words]

    floor = found(split, "rarity of service")

    assert floor.merits["auc"] == pytest.approx(float(naive.auc(scores, split.is_anomaly.tolist())))
    assert floor.merits["auc"] > 0.9


def test_a_word_that_only_the_test_rows_have_often_is_rare(split):
    """Where the anomalies are the most, their word is the commonest of the test."""
    chosen = np.concatenate([np.arange(1, 21), np.arange(100, 150)])
    rows = {name: getattr(split, name)[chosen] for name in ("test", "is_anomaly", "classes")}
    most = Split(**{**fields(split), **rows, "novel": np.zeros(70, np.bool_)})

    assert found(most, "rarity of service").merits["auc"] == 1.0


def test_deviations_are_from_training_rows_and_leave_constants_out(split):
    """max |z| and mean z^2 by mean and deviation of the training rows, written out."""
    used = split.train[:, [0, 2]].astype(float)
    z = (split.test[:, [0, 2]] - used.mean(axis=0)) / used.std(axis=0)
    labels = split.is_anomaly.tolist()

    largest, squared = found(split, "max |z|"), found(split, "mean z^2")

    of_largest = naive.auc(np.abs(z).max(axis=1).round(4).tolist(), labels)
    assert largest.merits["auc"] == pytest.approx(float(of_largest), abs=2e-3)
    of_squared = naive.auc((z**2).mean(axis=1).round(4).tolist(), labels)
    assert squared.merits["auc"] == pytest.approx(float(of_squared), abs=2e-3)


def test_an_unseen_row_is_one_that_training_does_not_have(split):
    """Of the test rows by comparing all with all."""
    known = {row.tobytes() for row in split.train}
    scores = [float(row.tobytes() not in known) for row in split.test]

    floor = found(split, "unseen row")

    assert floor.merits["auc"] == pytest.approx(float(naive.auc(scores, split.is_anomaly.tolist())))


def test_the_rate_counts_rows_of_the_last_second(split):
    """A burst of rows is a floor where the rows have times."""
    seconds = np.arange(150, dtype=np.int64) * 10**9
    burst = np.where(split.is_anomaly, 10**12 + np.arange(150), seconds)
    rates = tuple(map(rate_of, (seconds, seconds[:50], burst)))
    timed = Split(**{**fields(split), "rates": rates})

    floor = found(timed, "rate of rows")

    # Each row is alone in its second, but those of the burst, of which the first is alone too.
    assert floor.merits["auc"] == pytest.approx((49 + 0.5) / 50)


def test_floors_have_a_threshold_of_their_own_where_contenders_draw_the_line(split):
    """All scores of floors are above 0, where a machine of scikit-learn's draws it."""
    own = {"floor_threshold": quantile(0.99, of="train")}
    flags_all = {
        floor.name: floor.merits["fpr"] for floor in floors_of(split, section(lambda _: 0.0), 0)
    }
    told = {floor.name: floor for floor in floors_of(split, section(lambda _: 0.0, **own), 0)}

    assert flags_all["max |z|"] == 1
    assert told["max |z|"].merits["fpr"] <= 0.05


def test_a_floor_gets_the_better_of_taking_ties_or_leaving_them(split):
    """Two values tie everywhere: a fifth cannot be flagged, so all that tie are, or none."""
    rule, sees = top_share(0.2), "test scores"

    floor = found(split, "unseen row", rule, threshold_sees=sees)

    known = {row.tobytes() for row in split.train}
    scores = np.array([float(row.tobytes() not in known) for row in split.test])
    threshold = np.quantile(scores, 0.8)
    ways = [scores > threshold, scores >= threshold]
    best = max(float(naive.f1(way.tolist(), split.is_anomaly.tolist())) for way in ways)
    assert floor.merits["f1"] == pytest.approx(best)


def line(name, auc, f1):
    """A row of the table."""
    return Row(name, "", {"auc": spread([auc]), "f1": spread([f1])}, {})


@pytest.mark.parametrize(
    ("auc", "f1", "metrics", "beats"),
    [
        (0.91, 0.1, ("auc",), True),
        (0.90, 0.9, ("auc",), False),  # no better is not better
        (0.91, 0.1, ("auc", "f1"), False),
        (0.91, 0.9, ("auc", "f1"), True),
        (0.85, 0.9, ("auc",), False),  # above one floor, below another
        (0.95, 0.9, ("auc", "ap"), None),  # not measured is neither
    ],
)
def test_who_beats_the_floor_beats_all_of_them(auc, f1, metrics, beats):
    """In each metric that the protocol names."""
    floors = (line("a", 0.9, 0.2), line("b", 0.8, 0.5))

    assert mark(line("x", auc, f1), floors, metrics).beats_floor is beats


@given(
    st.lists(
        st.tuples(st.integers(-2, 2), st.integers(0, 9), st.booleans()), min_size=2, max_size=30
    ).filter(lambda rows: len({row[2] for row in rows}) == 2)
)
@settings(max_examples=50, deadline=None)
def test_areas_of_columns_are_those_of_the_definition(rows):
    """By pairs, ties by half."""
    values = np.array([row[:2] for row in rows], np.float32)
    is_anomaly = np.array([row[2] for row in rows])

    areas = column_areas(values, is_anomaly, np.array([0, 1]))

    for k in range(2):
        expected = naive.auc(values[:, k].tolist(), is_anomaly.tolist())
        assert areas[k] == pytest.approx(float(expected))


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([0.0, -0.0, 1.0, 2.0, 1e30])] * 3), max_size=40))
def test_rows_are_the_same_where_all_their_columns_are(rows):
    """Against tuples in a dictionary; 0 and -0 are the same."""
    values = np.array(rows, np.float32).reshape(-1, 3)
    first = list({row: k for k, row in reversed([*enumerate(rows)])}.values())

    assert first_of_each(values).tolist() == sorted(first)
    half = len(rows) // 2
    expected = [row in rows[half:] for row in rows[:half]]
    assert stands_in(values[:half], values[half:]).tolist() == expected


def test_columns_that_change_places_make_another_row():
    """A sum of columns would not see it."""
    values = np.array([[1, 2, 3], [2, 1, 3], [3, 2, 1]], np.float32)

    assert len(set(row_keys(values).tolist())) == 3


def test_the_audit_counts_what_is_the_same(split):
    """Duplicates, rows on both sides, and rows that occur with both labels, by hand."""
    test = np.concatenate([split.train[:30], split.test[:10], split.test[:10]])
    is_anomaly = np.arange(50) >= 40  # the last ten repeat the ten before, as anomalies
    classes = np.where(is_anomaly, "worm", "normal")
    made = Split(
        **{
            **fields(split),
            "test": test,
            "is_anomaly": is_anomaly,
            "classes": classes,
            "novel": is_anomaly,
        }
    )

    told = audit(made)

    rows = [row.tobytes() for row in test]
    known = {row.tobytes() for row in split.train}
    assert told["rows"] == {"train": 150, "calibration": 50, "test": 50}
    assert told["duplicate_share_test"] == pytest.approx(1 - len(set(rows)) / 50)
    assert told["test_share_in_train"] == pytest.approx(sum(row in known for row in rows) / 50)
    assert told["test_share_with_both_labels"] == pytest.approx(20 / 50)
    assert (told["anomaly_share"], told["novel_anomalies"]) == (0.2, 10)
    assert told["f1_of_flagging_all"] == pytest.approx(2 * 0.2 / 1.2)
    assert "40.00% of the test rows occur both as normal and as anomalies" in told["warnings"]
    assert any("stand in training too" in warning for warning in told["warnings"])


def test_the_audit_names_columns_that_give_the_labels_away(split):
    """With their area, in either direction; and where the order of the rows does."""
    test = split.test.copy()
    test[:, 2] = -split.is_anomaly.astype(np.float32)
    told = audit(Split(**{**fields(split), "test": test}))

    assert told["leaking_columns"] == {"low": 0.0}
    assert told["row_number_auc"] == 1.0
    said = " | ".join(told["warnings"])
    assert "column low alone has an area of 1.0000, low values being anomalous" in said
    assert "the row's number in the test alone has an area of 1.000" in said


def test_the_audit_says_when_anomalies_are_the_most(split):
    """Flagging everything then has a high F1."""
    told = audit(Split(**{**fields(split), "is_anomaly": ~split.is_anomaly}))

    assert told["f1_of_flagging_all"] == pytest.approx(0.8)
    assert any("flagging everything has an F1 of 0.800" in said for said in told["warnings"])
