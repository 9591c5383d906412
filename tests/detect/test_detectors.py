"""What every registered detector has to do; one that is added is tested by being listed."""

import random
from functools import cache

import numpy as np
import pytest

from tapwatch.detect.detector import CHUNK_ROWS, OnlineDetector
from tapwatch.detect.registry import DETECTORS
from tapwatch.errors import ArtifactError, ConfigError
from tests.detect.kinds import kind_of, quick, shaped
from tests.detect.made import N_PREPROCESSED as N_COLUMNS
from tests.detect.made import preprocessed

ONLINE = sorted(name for name, kind in DETECTORS.items() if issubclass(kind, OnlineDetector))

#: Those that know a highest error.
BOUNDED = {"hst", "iforest", "rarity"}


def rows_of(name, n_rows, seed=0, n_columns=N_COLUMNS):
    """Benign rows in the shape that the detector takes."""
    return shaped(preprocessed(n_rows, seed, n_columns), quick(name))


def freshly_fitted(name, seed=0, n_columns=N_COLUMNS):
    return DETECTORS[name].fit(
        rows_of(name, 500, n_columns=n_columns),
        rows_of(name, 100, seed=1, n_columns=n_columns),
        quick(name),
        seed=seed,
    )


#: Fitted once: nothing that is done to a detector here may change it.
fitted = cache(freshly_fitted)


def looks_at(detector):
    """Everything that a detector says of rows, by name."""
    names = ["score", "contributions", "expected"] + ["latent"] * detector.has_latent
    return {name: getattr(detector, name) for name in names}


def share_above(high, low):
    """Chance that one of `high` is above one of `low`: the area under the curve."""
    return (high[:, None] > low).mean() + (high[:, None] == low).mean() / 2


@pytest.fixture(scope="module", params=list(DETECTORS))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def detector(name):
    return fitted(name)


def test_same_seed_gives_the_same_detector_and_another_does_not(name, detector):
    """A fit depends on rows, parameters and, where the detector says so, the seed."""
    again, other = freshly_fitted(name), fitted(name, seed=1)
    rows = rows_of(name, 50)
    is_same = np.array_equal(other.score(rows), detector.score(rows))

    assert again.arrays().keys() == detector.arrays().keys()
    for key, array in again.arrays().items():
        assert array.tobytes() == detector.arrays()[key].tobytes(), key
    assert again.score(rows).tobytes() == detector.score(rows).tobytes()
    assert is_same != DETECTORS[name].is_seeded


def test_a_fit_leaves_the_global_state_alone(name):
    """No random numbers of anybody else are used, and torch keeps its number of threads."""
    import torch

    torch.manual_seed(5)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    before = torch.get_rng_state(), repr(np.random.get_state()), random.getstate()
    try:
        freshly_fitted(name)

        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (repr(np.random.get_state()), random.getstate()) == before[1:]


def test_looking_at_rows_does_not_change_them(name, detector):
    """score, contributions, expected, latent leave rows as they were; they may be read-only."""
    for n_rows in (1, 50):
        rows = rows_of(name, n_rows)
        before = rows.tobytes()
        rows.flags.writeable = False
        for look in looks_at(detector).values():
            look(rows)

        assert rows.tobytes() == before


def test_looking_at_rows_does_not_change_the_detector(name, detector):
    """What is said of rows is the same after others were looked at; online ones only learn."""
    rows, others = rows_of(name, 40), rows_of(name, 60, seed=8)
    for look in looks_at(detector).values():
        before = look(rows).tobytes()
        look(others)

        assert look(rows).tobytes() == before


def test_what_is_said_has_its_shape_and_type(name, detector):
    """Errors are float64 and not negative; the rest has a row a row, and all is finite."""
    rows = rows_of(name, 30)
    said = {key: look(rows) for key, look in looks_at(detector).items()}

    assert said["score"].shape == (30,)
    assert said["score"].dtype == said["contributions"].dtype == np.float64
    assert (said["score"] >= 0).all()
    assert said["contributions"].shape == said["expected"].shape == (30, N_COLUMNS)
    assert said["expected"].dtype == np.float32
    for key, array in said.items():
        assert np.isfinite(array).all(), key


@pytest.mark.parametrize("size", [5.0, 1e3, 1e6])
def test_far_rows_score_finite_and_high(name, detector, size):
    """Any corner of the clipped space has an error; the further out, the less ordinary."""
    corners = np.sign(preprocessed(100, seed=9)) * np.float32(size)
    rows = rows_of(name, 100, seed=4)
    far = shaped(corners, quick(name))
    error = detector.score(far)

    assert np.isfinite(error).all()
    assert share_above(error, detector.score(rows)) > 0.99
    for look in looks_at(detector).values():
        assert np.isfinite(look(far)).all()


def test_no_error_is_above_the_highest(name, detector):
    """Of ordinary rows, of corners, of huge values; where there is a highest error it is no guess.

    It stays so when an online detector has learnt none of the rows that it scores.
    """
    corners = np.sign(preprocessed(300, seed=9))
    found = [rows_of(name, 100, seed=4)]
    found += [shaped(corners * np.float32(size), quick(name)) for size in (0.01, 5.0, 1e6)]
    highest = max(detector.score(rows).max() for rows in found)

    assert (detector.most_error < np.inf) == (name in BOUNDED)
    assert detector.most_error >= highest
    if name in BOUNDED:
        assert detector.most_error < 5 * highest


def test_a_row_that_is_no_number_has_no_score(name, detector):
    """NaN says that a feature is broken: it must not pass as ordinary, nor touch other rows."""
    rows = rows_of(name, 40)
    broken = rows.copy()
    broken[7].reshape(-1, N_COLUMNS)[-1, 3] = np.nan
    error = detector.score(broken)

    assert not np.isfinite(error[7])
    assert np.delete(error, 7).tobytes() == np.delete(detector.score(rows), 7).tobytes()


def test_what_is_stored_says_the_same_bit_for_bit(name, detector):
    """arrays() and from_arrays() lose nothing; what is loaded may be read-only."""
    arrays = {key: array.copy() for key, array in detector.arrays().items()}
    for array in arrays.values():
        array.flags.writeable = False
    again = type(detector).from_arrays(detector.parameters, detector.n_columns, arrays)
    rows = rows_of(name, 50)

    assert again.row_shape == detector.row_shape == rows.shape[1:]
    for key, look in looks_at(detector).items():
        assert looks_at(again)[key](rows).tobytes() == look(rows).tobytes(), key
    stored = again.arrays()
    assert stored.keys() == arrays.keys()
    for key, array in stored.items():
        assert (array.dtype, array.shape) == (arrays[key].dtype, arrays[key].shape), key
        assert array.tobytes() == arrays[key].tobytes(), key


def test_arrays_are_of_plain_types(detector):
    """What safetensors can hold: no objects, no text, no structures."""
    for key, array in detector.arrays().items():
        assert array.dtype in (np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_), key


def test_refuses_arrays_that_are_not_its_own(detector):
    """Absent, superfluous, misshapen, of another type or not finite: each is named."""
    arrays = detector.arrays()

    def refusal(bad):
        with pytest.raises(ArtifactError) as refused:
            type(detector).from_arrays(detector.parameters, detector.n_columns, bad)
        return str(refused.value)

    some = next(iter(arrays.values()))
    assert refusal(arrays | {"extra": some}).startswith("array extra: not known")
    for key, array in arrays.items():
        others = {k: v for k, v in arrays.items() if k != key}
        assert refusal(others).startswith(f"array {key}: absent")
        assert refusal(arrays | {key: array[None]}).startswith(f"array {key}: ")
        other = np.complex64
        assert refusal(arrays | {key: array.astype(other)}).startswith(f"array {key}: complex64")
        if array.ndim and len(array):
            assert refusal(arrays | {key: array[:-1]}).startswith("array ")
        if array.dtype.kind == "f" and array.size:
            infinite = array.copy()
            infinite.flat[-1] = np.inf
            text = f"array {key}: holds NaN or infinity"
            assert refusal(arrays | {key: infinite}).startswith(text)


def test_shares_are_parts_of_one(name, detector):
    """Every row of contributions is not negative and sums to 1."""
    share = detector.contributions(rows_of(name, 64))

    assert share.shape == (64, N_COLUMNS)
    assert (share >= 0).all()
    np.testing.assert_allclose(share.sum(axis=1), 1, atol=1e-12)


def test_inputs_of_one_column_have_one_share(name, detector):
    """As many shares as columns; another numbering of the columns only moves them."""
    rows = rows_of(name, 40)
    column_of = np.array([0, 0, 1, 2, 2, 2, 3, 4, 5, 5, 6, 7, 7])
    moved = np.array([3, 0, 6, 1, 7, 4, 2, 5])
    share = detector.contributions(rows, column_of)
    again = detector.contributions(rows, moved[column_of])
    one = detector.contributions(rows, np.zeros(N_COLUMNS, np.int64))

    assert share.shape == (40, 8)
    np.testing.assert_allclose(share.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(again[:, moved], share, atol=1e-9)
    np.testing.assert_allclose(one, np.ones((40, 1)), atol=1e-12)


def test_refuses_rows_of_another_width(name, detector):
    """The message says what came and what is wanted; nothing is broadcast."""
    want = ", ".join(map(str, detector.row_shape))
    for shape in (
        (4, *detector.row_shape[:-1], 5),
        (*detector.row_shape,),
        (4, 2, *detector.row_shape),
        (0, *detector.row_shape, 1),
    ):
        for look in looks_at(detector).values():
            with pytest.raises(ArtifactError) as refused:
                look(np.zeros(shape, np.float32))
            assert str(refused.value) == (
                f"detector {name}: rows of shape {shape}: want (n, {want})"
            )


def test_no_rows_give_no_results(detector):
    """An empty batch is ordinary."""
    nothing = np.zeros((0, *detector.row_shape), np.float32)

    assert detector.score(nothing).shape == (0,)
    assert detector.contributions(nothing).shape == (0, N_COLUMNS)
    assert detector.contributions(nothing, np.zeros(N_COLUMNS, np.int64)).shape == (0, 1)
    assert detector.expected(nothing).shape == (0, N_COLUMNS)
    if detector.has_latent:
        assert detector.latent(nothing).shape[0] == 0


def test_there_is_a_latent_space_or_a_refusal(name, detector):
    """One code a row, as wide for any number of rows; without an encoder the error says so."""
    rows = rows_of(name, 30)
    if not DETECTORS[name].has_latent:
        with pytest.raises(ConfigError, match="detector"):
            detector.latent(rows)
        return
    code = detector.latent(rows)

    assert code.dtype == np.float32
    assert code.shape == (30, detector.latent(rows[:1]).shape[1])
    assert code.shape[1] >= 1
    assert np.isfinite(code).all()
    assert code.std() > 0


WIDTHS = [(name, width) for name in DETECTORS for width in kind_of(name).widths]
SIZES = (*range(1, 131), 255, 256, 257, 511, 777, 1000, 1023, 1024, 1025, 4097)
#: Of what goes the same way through a detector as its score, or costs many times as much.
FEW_SIZES = (*range(1, 18), 31, 64, 100)


@pytest.mark.parametrize(("name", "n_columns"), WIDTHS)
def test_a_row_says_the_same_in_any_company(name, n_columns):
    """Every batch size from 1 to 130, and odd ones up to past a chunk: not one bit differs."""
    detector = fitted(name, n_columns=n_columns)
    rows = rows_of(name, CHUNK_ROWS + 301, n_columns=n_columns)
    for key, look in looks_at(detector).items():
        few = kind_of(name).is_dear and key == "contributions"
        shown = rows[:130] if few else rows
        whole = look(shown)
        for size in SIZES if key == "score" else FEW_SIZES:
            # A start that is not a multiple of anything: memory alignment must not matter either.
            start = (size * 7) % (30 if few else 300)
            part = look(shown[start : start + size])
            assert part.tobytes() == whole[start : start + size].tobytes(), (key, size)


def test_rows_may_lie_in_memory_in_any_order(name, detector):
    """A slice of a larger table, or one stored by columns, says what a copy of it says."""
    rows = rows_of(name, 60)
    wide = np.repeat(rows, 2, axis=-1)[..., ::2]
    for key, look in looks_at(detector).items():
        for other in (np.asfortranarray(rows), wide, np.repeat(rows, 3, axis=0)[::3]):
            assert look(other).tobytes() == look(rows).tobytes(), key


def test_what_was_not_seen_in_training_scores_high(name, detector):
    """Rows with the same spread but without the causes stand far above the benign ones."""
    if not kind_of(name).sees_broken_links:
        pytest.skip("looks at each column by itself, or nearly so")
    strange = np.random.default_rng(3).permuted(preprocessed(200), axis=0)
    benign = detector.score(rows_of(name, 200, seed=4))

    assert share_above(detector.score(shaped(strange, quick(name))), benign) > 0.85


def test_a_value_in_a_constant_column_stands_out(name):
    """What was always 0 in training and lies at the clip lifts the error of nearly every row."""
    if not kind_of(name).sees_constants:
        pytest.skip("knows nothing of columns that were constant")
    flat, validation, rows = (rows_of(name, n, k) for n, k in ((500, 0), (100, 1), (100, 4)))
    for part in (flat, validation, rows):
        part[..., 3] = part[..., 3] * 0  # NaN of sequences stays
    detector = DETECTORS[name].fit(flat, validation, quick(name), seed=0)
    odd = rows.copy()
    odd.reshape(len(odd), -1, N_COLUMNS)[:, -1, 3] = 5.0

    assert (detector.score(odd) > detector.score(rows)).mean() > 0.95


def test_a_fit_needs_neither_validation_rows_nor_many(name):
    """Without validation rows the rows themselves tell when to stop; one row can be learnt."""
    kind, parameters = DETECTORS[name], quick(name)
    rows = rows_of(name, 200)
    alone, twice = (kind.fit(rows, v, parameters, seed=0) for v in (rows[:0], rows))
    one = kind.fit(rows[-1:], rows[:0], parameters, seed=0)
    errors = one.score(rows)

    assert alone.score(rows).tobytes() == twice.score(rows).tobytes()
    assert np.isfinite(errors).all()
    assert errors[-1] <= np.quantile(errors, 0.1)


def test_rows_that_are_all_the_same_can_be_learnt(name):
    """No division by a spread of nothing."""
    kind, rows = DETECTORS[name], rows_of(name, 300)
    same = np.repeat(rows[-1:], 50, axis=0)
    detector = kind.fit(same, same[:10], quick(name), seed=0)

    for look in looks_at(detector).values():
        assert np.isfinite(look(same)).all()
        assert np.isfinite(look(rows)).all()


def test_a_fit_leaves_its_rows_alone(name):
    """Neither training nor validation rows are written to."""
    rows, validation = rows_of(name, 300), rows_of(name, 50, seed=1)
    before = rows.tobytes(), validation.tobytes()
    DETECTORS[name].fit(rows, validation, quick(name), seed=0)

    assert (rows.tobytes(), validation.tobytes()) == before


@pytest.mark.parametrize("name", ONLINE)
def test_a_copy_learns_for_itself(name):
    """The same rows teach the same; the one that was copied, loaded or not, stays what it was."""
    detector, rows = fitted(name), rows_of(name, 50)
    before = {key: array.tobytes() for key, array in detector.arrays().items()}
    loaded = type(detector).from_arrays(
        detector.parameters, detector.n_columns, {k: v.copy() for k, v in detector.arrays().items()}
    )
    blocks = [rows_of(name, detector.block_rows, seed=k) for k in range(20, 30)]
    copies = [detector.copy(), detector.copy(), loaded.copy()]
    for copy in copies:
        for block in blocks:
            taught = block.copy()
            copy.learn(taught)
            assert taught.tobytes() == block.tobytes()
    learnt, again, from_loaded = copies

    assert {key: array.tobytes() for key, array in detector.arrays().items()} == before
    assert learnt.score(rows).tobytes() != detector.score(rows).tobytes()
    for other in (again, from_loaded, learnt.copy()):
        assert other.score(rows).tobytes() == learnt.score(rows).tobytes()
        for key, array in learnt.arrays().items():
            assert other.arrays()[key].tobytes() == array.tobytes(), key


@pytest.mark.parametrize("name", ONLINE)
def test_what_was_learnt_can_be_stored(name):
    """After rows were learnt too, arrays() holds all there is; no rows teach nothing."""
    learnt = fitted(name).copy()
    rows = rows_of(name, 50)
    learnt.learn(rows_of(name, learnt.block_rows, seed=5))
    before = {key: array.tobytes() for key, array in learnt.arrays().items()}
    learnt.learn(rows[:0])
    arrays = {key: array.copy() for key, array in learnt.arrays().items()}
    again = type(learnt).from_arrays(learnt.parameters, learnt.n_columns, arrays)

    assert {key: array.tobytes() for key, array in learnt.arrays().items()} == before
    assert again.score(rows).tobytes() == learnt.score(rows).tobytes()
