"""What every registered detector has to do; one that is added is tested by being listed."""

import numpy as np
import pytest

from tapwatch.detect.detector import CHUNK_ROWS
from tapwatch.detect.registry import DETECTORS
from tapwatch.errors import ArtifactError
from tests.detect.made import N_PREPROCESSED as N_COLUMNS
from tests.detect.made import preprocessed as rows_of


def fitted(name, seed=0, n_columns=N_COLUMNS, **parameters):
    kind = DETECTORS[name]
    return kind.fit(
        rows_of(500, n_columns=n_columns),
        rows_of(100, seed=1, n_columns=n_columns),
        kind.parameters_type.model_validate(parameters or {"epochs": 2}),
        seed=seed,
    )


@pytest.fixture(scope="module", params=sorted(DETECTORS))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def detector(name):
    return fitted(name)


def test_same_seed_gives_the_same_scores_and_another_does_not(name, detector):
    """A fit depends on rows, parameters and seed alone."""
    again, other = fitted(name), fitted(name, seed=1)

    assert again.score(rows_of(50)).tobytes() == detector.score(rows_of(50)).tobytes()
    assert not np.array_equal(other.score(rows_of(50)), detector.score(rows_of(50)))


def test_a_fit_leaves_the_global_state_alone(name):
    """Neither torch's random numbers nor its number of threads depend on who fitted before."""
    import torch

    torch.manual_seed(5)
    threads = torch.get_num_threads()
    before = torch.get_rng_state()
    fitted(name, epochs=1)

    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_looking_at_rows_does_not_change_them(detector):
    """score, contributions and expected leave their input as it was, and it may be read-only."""
    for n_rows in (1, 50):
        rows = rows_of(n_rows)
        before = rows.tobytes()
        rows.flags.writeable = False
        for look in (detector.score, detector.contributions, detector.expected):
            look(rows)

        assert rows.tobytes() == before


def test_what_is_stored_scores_the_same_bit_for_bit(detector):
    """arrays() and from_arrays() lose nothing."""
    arrays = {key: array.copy() for key, array in detector.arrays().items()}
    again = type(detector).from_arrays(detector.parameters, detector.n_columns, arrays)

    for look in ("score", "contributions", "expected"):
        rows = rows_of(50)
        assert getattr(again, look)(rows).tobytes() == getattr(detector, look)(rows).tobytes()


def test_refuses_arrays_that_are_not_its_own(detector):
    """Absent, superfluous, misshapen, of another type or not finite: each is named."""
    arrays = detector.arrays()
    key = sorted(arrays)[0]
    infinite = arrays[key].copy()
    infinite.flat[0] = np.inf
    for bad, text in (
        ({k: v for k, v in arrays.items() if k != key}, f"array {key}: absent"),
        (arrays | {"extra": arrays[key]}, "array extra: not known"),
        (arrays | {key: arrays[key][:-1]}, f"array {key}: "),
        (arrays | {key: arrays[key].astype(np.float64)}, f"array {key}: float64"),
        (arrays | {key: infinite}, f"array {key}: holds NaN or infinity"),
    ):
        with pytest.raises(ArtifactError) as refusal:
            type(detector).from_arrays(detector.parameters, detector.n_columns, bad)
        assert str(refusal.value).startswith(text)


def test_shares_are_parts_of_one(detector):
    """Every row of contributions is not negative and sums to 1."""
    share = detector.contributions(rows_of(64))

    assert share.shape == (64, N_COLUMNS)
    assert (share >= 0).all()
    np.testing.assert_allclose(share.sum(axis=1), 1, atol=1e-12)


def test_refuses_rows_of_another_width(detector):
    """The message says what came and what is wanted."""
    with pytest.raises(ArtifactError, match=r"rows of shape \(4, 5\): want \(n, 13\)"):
        detector.score(np.zeros((4, 5), np.float32))


def test_no_rows_give_no_results(detector):
    """An empty batch is ordinary."""
    nothing = np.zeros((0, N_COLUMNS), np.float32)

    assert detector.score(nothing).shape == (0,)
    assert detector.contributions(nothing).shape == (0, N_COLUMNS)
    assert detector.expected(nothing).shape == (0, N_COLUMNS)


@pytest.mark.parametrize("n_columns", [*range(1, 20), 33, 62, 76, 116])
def test_a_row_scores_the_same_in_any_company(name, n_columns):
    """Every batch size from 1 to 130, and odd ones up to past a chunk: not one bit differs."""
    detector = fitted(name, n_columns=n_columns, epochs=1)
    rows = rows_of(CHUNK_ROWS + 301, n_columns=n_columns)
    looks = (detector.score, detector.contributions, detector.expected)
    whole = [look(rows) for look in looks]

    for size in [*range(1, 131), 255, 256, 257, 511, 777, 1000, 1023, 1024, 1025, 4097]:
        # A start that is not a multiple of anything: memory alignment must not matter either.
        start = (size * 7) % 300
        for look, all_rows in zip(looks, whole, strict=True):
            part = look(rows[start : start + size])
            assert part.tobytes() == all_rows[start : start + size].tobytes(), size


def test_what_was_not_seen_in_training_scores_high(name):
    """Rows with the same spread but without the causes stand far above the benign ones."""
    detector = fitted(name, epochs=2)
    strange = np.random.default_rng(3).permuted(rows_of(200), axis=0)

    assert np.median(detector.score(strange)) > 3 * np.median(detector.score(rows_of(200, seed=4)))


def test_a_fit_needs_neither_validation_rows_nor_many(name):
    """Without validation rows the rows themselves tell when to stop; one row can be learnt."""
    kind = DETECTORS[name]
    parameters = kind.parameters_type(epochs=2)
    nothing, rows = np.zeros((0, N_COLUMNS), np.float32), rows_of(200)
    alone, twice = (kind.fit(rows, v, parameters, seed=0) for v in (nothing, rows))
    one = kind.fit(rows[:1], nothing, parameters, seed=0)

    assert alone.score(rows).tobytes() == twice.score(rows).tobytes()
    assert one.score(rows[:1])[0] < 0.05 * one.score(rows).mean()


def test_a_fit_leaves_its_rows_alone(name):
    """Neither training nor validation rows are written to."""
    kind = DETECTORS[name]
    rows, validation = rows_of(300), rows_of(50, seed=1)
    before = rows.tobytes(), validation.tobytes()
    kind.fit(rows, validation, kind.parameters_type(epochs=1), seed=0)

    assert (rows.tobytes(), validation.tobytes()) == before
