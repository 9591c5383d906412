"""Class columns: words in, inputs of 0 and a height out, reasons by column and in words."""

import math
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapwatch.detect import Scorer, load_bundle
from tapwatch.detect.detector import by_column
from tapwatch.detect.preprocess import METHODS, Preprocess, fit_preprocess
from tapwatch.detect.registry import DETECTORS
from tapwatch.errors import ArtifactError, ConfigError
from tests.detect import made, naive
from tests.detect.test_bundle import edit, put, refusal

PROTO, FLAG = ("tcp", "udp", "icmp", "sctp"), ("SF", "S0", "REJ")
CHANGES = {"c02": {"categories": PROTO}, "c09": {"categories": FLAG}}
SCHEMA = made.schema(**CHANGES)
PLAIN = [k for k in range(12) if k not in (2, 9)]


@pytest.fixture(scope="module")
def values():
    """Of c02 words 0 to 2 occur, of c09 words 0 and 1: the last one never."""
    return made.with_classes(made.benign(2000), SCHEMA)


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("classes") / "kinds"
    made.train(path, SCHEMA, epochs=20, watch_constants=True)
    return path


@pytest.fixture
def path(bundle_path, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(bundle_path, tmp_path / "kinds")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("watch", [True, False])
def test_inputs_are_what_a_pencil_says(values, method, watch):
    """Plain columns as without classes, then the words that were seen and one for the others."""
    preprocess, constant = fit_preprocess(
        values, SCHEMA, SCHEMA.names, method=method, clip=5.0, watch_constants=watch
    )
    strange = values[:40].copy()
    strange[:4, 2], strange[:4, 9] = [3, 0, 2, 1], [2, 2, 0, 1]
    rows = preprocess.apply(strange)
    names = [SCHEMA.names[k] for k in PLAIN]
    plain, _ = fit_preprocess(values, SCHEMA, names, method=method, clip=5.0, watch_constants=watch)

    assert constant == ("c05",)
    assert preprocess.words(SCHEMA) == {"c02": ["tcp", "udp", "icmp"], "c09": ["SF", "S0"]}
    assert rows.shape == (40, preprocess.n_inputs)
    n_plain = len(plain.columns)
    assert rows[:, :n_plain].tobytes() == plain.apply(strange).tobytes()
    by_hand = [
        naive.word_inputs(values[:, 2].tolist(), a, 5.0)
        + naive.word_inputs(values[:, 9].tolist(), b, 5.0)
        for a, b in strange[:, [2, 9]].tolist()
    ]
    np.testing.assert_allclose(rows[:, n_plain:], by_hand, rtol=1e-6)


@pytest.mark.parametrize("clip", [0.5, 5.0])
def test_a_change_of_class_costs_what_the_furthest_value_costs(values, clip):
    """Between any two words, unseen ones included: clip squared, over all inputs."""
    preprocess, _ = fit_preprocess(values, SCHEMA, ["c00", "c02"], clip=clip)
    rows = np.zeros((4, 12), np.float32)
    rows[:, 2] = [0, 1, 2, 3]
    inputs = preprocess.apply(rows).astype(np.float64)
    far = rows[:1].copy()
    far[0, 0] = 3e38

    for one in range(4):
        for other in range(4):
            cost = ((inputs[one] - inputs[other]) ** 2).sum()
            assert cost == pytest.approx(clip**2 if one != other else 0, rel=1e-6)
    assert preprocess.apply(far)[0, 0] ** 2 == clip**2


def test_what_is_no_word_counts_as_all_others(values):
    """Below, above, NaN, infinite: never an index out of bounds."""
    preprocess, _ = fit_preprocess(values, SCHEMA, ["c02", "c09"], watch_constants=True)
    odd = np.zeros((7, 12), np.float32)
    odd[:, 2] = [3, 4, -1, 1e30, np.nan, np.inf, -np.inf]
    rows = preprocess.apply(odd)

    assert (rows[:, 3] > 3).all()
    assert (rows[:, :3] == 0).all()
    assert (rows[:, 4] > 0).all()


def test_a_constant_class_is_watched_or_left_out(values):
    """As any other constant: one word and all others, or nothing."""
    values = values.copy()
    values[:, 9] = 1
    watched, constant = fit_preprocess(values, SCHEMA, SCHEMA.names, watch_constants=True)
    dropped, same = fit_preprocess(values, SCHEMA, SCHEMA.names)
    other = values[:2].copy()
    other[1, 9] = 0

    assert constant == same == ("c05", "c09")
    assert watched.words(SCHEMA)["c09"] == ["S0"]
    height = np.float32(5 / math.sqrt(2))
    assert watched.apply(other)[:, -2:].tolist() == [[height, 0], [0, height]]
    assert "c09" not in dropped.columns
    assert list(dropped.words(SCHEMA)) == ["c02"]
    with pytest.raises(ConfigError, match="one that varies"):
        fit_preprocess(values, SCHEMA, ["c09"])


def test_rows_come_back_as_words_that_were_seen(values):
    """to_units undoes apply; what was never seen comes back as something that was."""
    preprocess, _ = fit_preprocess(values, SCHEMA, SCHEMA.names, clip=1e6)
    strange = values[:3].copy()
    strange[:, 2] = [3, 2, 1]
    back = preprocess.to_units(preprocess.apply(values))
    column = preprocess.columns.index("c02")

    np.testing.assert_array_equal(back[:, column], values[:, 2])
    np.testing.assert_array_equal(back[:, preprocess.columns.index("c09")], values[:, 9])
    assert preprocess.to_units(preprocess.apply(strange))[:, column].tolist() == [0, 2, 1]
    np.testing.assert_array_equal(
        preprocess.observed(strange)[:, column], strange[:, 2].astype(np.float64)
    )


def test_parts_of_an_error_are_summed_by_column(values):
    """Distinct numbers, so that none can stand for another."""
    preprocess, _ = fit_preprocess(values, SCHEMA, SCHEMA.names)
    n_inputs = preprocess.n_inputs
    parts = (2.0 ** np.arange(n_inputs))[None, :] * np.array([[1.0], [3.0]])
    summed = by_column(parts, preprocess.column_of)
    n_plain = n_inputs - 7
    wanted = [2.0**k for k in range(n_plain)]
    wanted.insert(2, sum(2.0 ** (n_plain + k) for k in range(4)))
    wanted.insert(preprocess.columns.index("c09"), sum(2.0 ** (n_plain + k) for k in (4, 5, 6)))

    assert len(wanted) == len(preprocess.columns)
    assert summed.tolist() == [wanted, [3 * x for x in wanted]]


def test_rows_of_classes_do_not_depend_on_their_batch(values):
    """Any cut, any memory layout, read-only or double: the same bits; the input is left alone."""
    preprocess, _ = fit_preprocess(values, SCHEMA, SCHEMA.names)
    before = values.tobytes()
    whole = preprocess.apply(values)
    frozen = values.copy()
    frozen.flags.writeable = False

    for size in (1, 2, 7, 16, 333):
        parts = [preprocess.apply(values[k : k + size]) for k in range(0, len(values), size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    for same in (frozen, np.asfortranarray(values), values.astype(np.float64)):
        assert preprocess.apply(same).tobytes() == whole.tobytes()
    assert preprocess.apply(values[:0]).shape == (0, preprocess.n_inputs)
    assert values.tobytes() == before


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=40),
    st.lists(st.integers(-2, 7), min_size=1, max_size=10),
    st.sampled_from([0.5, 5.0]),
    st.booleans(),
)
def test_any_words_give_what_a_pencil_says(training, asked, clip, watch):
    """One class column of six words beside a plain one."""
    schema = made.schema(2, c01={"categories": tuple("abcdef")})
    rows = np.zeros((len(training) + 1, 2), np.float32)
    rows[1:, 0], rows[1:, 1], rows[0, 1] = 1, training, training[0]
    preprocess, _ = fit_preprocess(rows, schema, schema.names, clip=clip, watch_constants=watch)
    if "c01" not in preprocess.columns:
        assert len(set(training)) == 1
        assert not watch
        return
    wanted = np.zeros((len(asked), 2), np.float32)
    wanted[:, 1] = asked
    by_hand = [naive.word_inputs(rows[:, 1].tolist(), word, clip) for word in asked]

    np.testing.assert_allclose(preprocess.apply(wanted)[:, 1:], by_hand, rtol=1e-6)


@pytest.mark.parametrize("detector", sorted(DETECTORS))
def test_a_bundle_with_classes_is_loaded_as_it_was_written(detector, tmp_path):
    """Its words stand in the manifest; what it says of rows is what the trained model says."""
    manifest = made.train(tmp_path / "b", SCHEMA, detector=detector)
    loaded = load_bundle(tmp_path / "b", {"flow": SCHEMA})

    assert manifest.preprocess.classes == {"c02": ["tcp", "udp", "icmp"], "c09": ["SF", "S0"]}
    assert loaded.detector.n_columns == loaded.preprocess.n_inputs == len(PLAIN) - 1 + 4 + 3
    assert loaded.preprocess.words(SCHEMA) == manifest.preprocess.classes


def test_an_unseen_word_is_flagged_and_told_as_the_reason(bundle_path):
    """By column, in the index of its word; the expected word is one that was seen."""
    bundle = load_bundle(bundle_path, {"flow": SCHEMA})
    values = made.with_classes(made.benign(300, seed=1), SCHEMA, seed=1)
    plain = Scorer(bundle).score(made.batch(values, SCHEMA))
    values[::3, 9] = 2
    scores = Scorer(bundle).score(made.batch(values, SCHEMA))
    column = scores.columns.index("c09")
    flagged = np.flatnonzero(scores.flagged)
    unseen = np.isin(flagged, np.arange(0, 300, 3))

    assert scores.share.shape == scores.observed.shape == scores.expected.shape
    assert scores.share.shape[1] == len(scores.columns) == 12
    np.testing.assert_allclose(scores.share.sum(axis=1), 1)
    assert (scores.error[::3] > plain.error[::3] + 1).all()
    assert scores.flagged[::3].all()
    assert (scores.observed[unseen, column] == 2).all()
    assert set(scores.expected[:, column].tolist()) <= {0.0, 1.0}
    assert (scores.share[unseen].argmax(axis=1) == column).mean() > 0.9


@pytest.mark.parametrize("max_rows", [1, 7, 8, 100])
def test_scores_of_classes_do_not_depend_on_max_rows(bundle_path, max_rows):
    """Every array, bit for bit."""
    bundle = load_bundle(bundle_path, {"flow": SCHEMA})
    values = made.with_classes(made.benign(500, seed=3), SCHEMA, seed=3)
    values[::7, 2] = 3
    whole, parts = (
        Scorer(bundle, n).score(made.batch(values, SCHEMA)) for n in (1 << 20, max_rows)
    )

    assert whole.flagged.any()
    for name in ("error", "p_value", "flagged", "observed", "expected", "share"):
        assert getattr(parts, name).tobytes() == getattr(whole, name).tobytes()


NOT_WORDS = "want words of that column, in their order, each once"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("c02", ["tcp", "udp", "telnet"], f"preprocess.classes.c02: {NOT_WORDS}"),
        ("c02", ["telnet", "tcp", "udp"], f"preprocess.classes.c02: {NOT_WORDS}"),
        ("c02", ["udp", "tcp", "icmp"], f"preprocess.classes.c02: {NOT_WORDS}"),
        ("c02", ["tcp", "tcp", "udp"], f"preprocess.classes.c02: {NOT_WORDS}"),
        ("c02", [], f"preprocess.classes.c02: {NOT_WORDS}"),
        ("c02", ["tcp", "udp"], "array layer0.weight: float32 (4, 17): want float32 (4, 16)"),
        ("c02", "tcp", "preprocess.classes.c02 = 'tcp': want a valid list"),
        ("c02", [["tcp"]], "preprocess.classes.c02.0 = a list: want a valid string"),
        (
            "c03",
            ["SF", "S0"],
            "preprocess.classes: want the class columns that are used, each once",
        ),
    ],
)
def test_every_wrong_word_is_refused_by_name(path, key, value, text):
    """Whoever may have written the manifest."""
    edit(path, lambda document: put(document, f"preprocess.classes.{key}", value))

    assert text in refusal(path, {"flow": SCHEMA})


def test_classes_of_other_columns_are_refused(path):
    """A plain column is no class, and a class column is not plain."""

    def rename(document):
        classes = document["preprocess"]["classes"]
        classes["c03"] = classes.pop("c09")

    edit(path, rename)
    assert "want the class columns that are used" in refusal(path, {"flow": SCHEMA})

    edit(path, lambda document: put(document, "preprocess.classes", {}))
    assert "want the class columns that are used" in refusal(path, {"flow": SCHEMA})


def test_other_words_of_a_column_make_another_schema(path):
    """The refusal names the column."""
    other = made.schema(**(CHANGES | {"c02": {"categories": ("tcp", "udp")}}))

    assert "c02: defined differently" in refusal(path, {"flow": other})


def test_a_manifest_without_classes_is_one_of_plain_columns(tmp_path):
    """Bundles without the key load as ever; the words of an unused column are refused."""
    made.train(tmp_path / "b", made.schema())
    edit(tmp_path / "b", lambda document: document["preprocess"].pop("classes"))
    loaded = load_bundle(tmp_path / "b", {"flow": made.schema()})

    assert loaded.preprocess.n_inputs == len(loaded.preprocess.columns)
    with pytest.raises(ArtifactError, match="want the class columns that are used"):
        Preprocess.from_arrays(
            "log_z",
            5.0,
            loaded.preprocess.columns,
            {"c09": ["SF"]},
            made.schema(),
            loaded.preprocess.arrays(),
        )
