"""The memory against a twin, and what it must not remember."""

import numpy as np
import pytest

from tapwatch.detect.detectors.memory_ae import MemoryAe, MemoryAeParameters
from tapwatch.errors import ArtifactError
from tests.detect import naive_online as naive
from tests.detect.made import preprocessed


def fitted(rows, **more):
    given = {"memory": 8, "epochs": 3, "code": 5} | more
    return MemoryAe.fit(rows, rows[:0], MemoryAeParameters.model_validate(given), seed=0)


@pytest.mark.kernel
@pytest.mark.parametrize("standardise", ["no", "memory"])
@pytest.mark.parametrize(("neighbours", "discount"), [(1, 0.0), (3, 0.5), (3, 1.0)])
def test_a_stream_is_that_of_the_twin(standardise, neighbours, discount):
    """Errors and what is remembered, row by row; a constant column; more neighbours than places."""
    rows = preprocessed(8, n_columns=4)
    rows[:, 2] = 2.0
    detector = fitted(
        rows, standardise=standardise, neighbours=neighbours, discount=discount, beta=1.6
    )
    held = detector.arrays()
    twin = naive.Memory(
        held["weight"].astype(float),
        held["bias"].astype(float),
        held["codes"].astype(float),
        held["rows"].astype(float),
        k=neighbours,
        discount=discount,
        least=0.16,
        most=1.6,
        standardises=standardise == "memory",
    )
    stream = preprocessed(30, seed=4, n_columns=4)
    want = [twin.step(row) for row in stream.tolist()]
    learnt = detector.copy()
    error, n_remembered = learnt.stream(stream)

    np.testing.assert_allclose(error, want, atol=2e-6)
    assert 3 < n_remembered < 30
    assert learnt.arrays()["at"].tolist() == [twin.at] == [n_remembered % 8]
    np.testing.assert_array_equal(learnt.arrays()["rows"], np.float32(twin.rows))
    np.testing.assert_allclose(learnt.arrays()["codes"], twin.codes, atol=1e-6)


@pytest.mark.kernel
def test_the_place_that_is_unused_for_longest_is_renewed():
    """As by the twin: what is near to a place keeps it; copies of a row are the first to go."""
    rows = preprocessed(8, n_columns=4)
    rows[[2, 5]] = rows[1]
    detector = fitted(rows, renewal="unused", beta=1.6)
    held = detector.arrays()
    assert held["used"].tolist() == [1, 1, 0, 1, 1, 0, 1, 1]
    twin = naive.Memory(
        held["weight"].astype(float),
        held["bias"].astype(float),
        held["codes"].astype(float),
        held["rows"].astype(float),
        k=3,
        discount=0.0,
        least=0.16,
        most=1.6,
        standardises=False,
        used=held["used"].tolist(),
    )
    stream = preprocessed(40, seed=4, n_columns=4)
    want = [twin.step(row) for row in stream.tolist()]
    learnt = detector.copy()
    error, n_remembered = learnt.stream(stream)

    np.testing.assert_allclose(error, want, atol=2e-6)
    assert 8 < n_remembered < 40
    assert learnt.arrays()["used"].tolist() == twin.used
    np.testing.assert_array_equal(learnt.arrays()["rows"], np.float32(twin.rows))


def test_a_flood_in_the_warm_up_does_not_push_its_rare_rows_out():
    """Ten rows that are remembered take the places of copies; first in, first out loses rows."""
    flood = np.zeros((16, 4), np.float32)
    flood[:2] = [[2, 0, 0, 0], [0, 2, 0, 0]]
    others = np.repeat(np.arange(1, 11, dtype=np.float32)[:, None] / 10, 4, axis=1)
    for renewal, n_kept in (("unused", 2), ("oldest", 0)):
        detector = fitted(flood, memory=16, renewal=renewal, beta=1e3, novelty=1e-6)
        learnt = detector.copy()
        learnt.learn(others)

        assert len(learnt.arrays()["rows"]) == 16
        assert (learnt.arrays()["rows"] == 2).any(axis=1).sum() == n_kept


def test_what_is_remembered_is_not_taken_in_again():
    """Nor does a repeat cost another row its place, with a novelty and a beta of 0."""
    rows = preprocessed(8, n_columns=4)
    learnt = fitted(rows, renewal="unused", beta=0.0, novelty=0.0).copy()
    error, n_remembered = learnt.stream(np.repeat(rows[:1], 30, axis=0))

    assert (error == 0).all()
    assert n_remembered == 0
    np.testing.assert_array_equal(learnt.arrays()["rows"], rows)


def test_without_validation_rows_beta_is_that_of_kinds_against_one_another():
    """Copies, which lie at 0, do not count; one kind alone has no other."""
    rows = preprocessed(8, n_columns=4)
    copies = np.concatenate([rows, np.repeat(rows[:1], 40, axis=0)])
    detector = fitted(copies, memory=64)
    codes = detector.latent(rows).astype(float)
    apart = np.abs(codes[:, None] - codes).sum(axis=2)
    np.fill_diagonal(apart, np.inf)

    assert detector.arrays()["beta"][0] == pytest.approx(np.median(apart.min(axis=1)))
    assert fitted(rows[[0, 0, 0]]).arrays()["beta"][0] == 0


def test_validation_rows_that_are_all_remembered_do_not_shut_the_memory():
    """Their errors are 0: beta is that of kinds. One that is given stays."""
    rows = preprocessed(64, n_columns=4)
    parameters = MemoryAeParameters(memory=64, epochs=2)
    detector = MemoryAe.fit(rows, rows[:20], parameters, seed=0)
    alone = MemoryAe.fit(rows, rows[:0], parameters, seed=0)
    beta = detector.arrays()["beta"][0]

    assert (detector.score(rows[:20]) == 0).all()
    assert beta > 0
    assert beta == pytest.approx(alone.arrays()["beta"][0], rel=1e-3)
    given = MemoryAe.fit(rows, rows[:20], parameters.model_copy(update={"beta": 0.0}), seed=0)
    assert given.arrays()["beta"][0] == 0


def test_refuses_a_step_that_nothing_can_follow():
    """The next would overflow."""
    detector = fitted(preprocessed(8, n_columns=4))
    for step in (-1, 2**62 + 1):
        used = np.full(8, step)
        with pytest.raises(ArtifactError, match="array used"):
            MemoryAe.from_arrays(detector.parameters, 4, detector.arrays() | {"used": used})


def test_a_row_beyond_beta_is_not_remembered():
    """Whatever it is told to learn."""
    detector = fitted(preprocessed(8, n_columns=4), beta=1.0, novelty=0.0).copy()
    before = detector.arrays()["rows"].tobytes()
    far = np.full((20, 4), 50, np.float32)
    assert (detector.score(far) > 1).all()
    detector.learn(far)

    assert detector.arrays()["rows"].tobytes() == before


def test_a_flood_of_one_row_does_not_push_the_others_out():
    """It is remembered once; with a novelty of 0, as published, it fills the memory."""
    for novelty, n_places in ((0.1, 1), (0.0, 8)):
        detector = fitted(preprocessed(8, n_columns=4), beta=20.0, novelty=novelty).copy()
        flood = np.repeat(np.full((1, 4), 50, np.float32), 40, axis=0)
        detector.learn(flood)

        assert (detector.arrays()["rows"] == 50).all(axis=1).sum() == n_places


def test_rare_kinds_are_remembered_from_the_beginning():
    """Of 3,000 rows 3 are of another kind: some of them are among the 64 that are remembered."""
    rows = preprocessed(3000, n_columns=4) * np.float32(0.1)
    rows[[100, 1000, 2000]] = 4.0
    remembered = fitted(rows, memory=64, epochs=1).arrays()["rows"]

    assert len(remembered) == 64
    assert (remembered == 4).all(axis=1).any()


def test_expected_is_the_nearest_row_and_shares_tell_what_differs():
    """One input moved away from a row that is remembered has nearly all of the share."""
    rows = preprocessed(8, n_columns=4)
    detector = fitted(rows, code=16)
    odd = rows.copy()
    odd[:, 3] += np.float32(0.3)
    is_near = (detector.expected(odd) == rows).all(axis=1)

    assert is_near.sum() >= 6
    np.testing.assert_allclose(detector.contributions(odd)[is_near, 3], 1, atol=1e-3)


def test_beta_is_where_nine_in_ten_rows_are():
    """Of the validation rows."""
    rows, held = preprocessed(300, n_columns=4), preprocessed(200, seed=1, n_columns=4)
    parameters = MemoryAeParameters(memory=32, epochs=1)
    detector = MemoryAe.fit(rows, held, parameters, seed=0)

    assert (detector.score(held) <= detector.arrays()["beta"][0]).mean() == pytest.approx(0.9)


def test_refuses_a_place_beyond_the_memory():
    """The kernel would write there."""
    detector = fitted(preprocessed(8, n_columns=4))
    for at in (-1, 8):
        with pytest.raises(ArtifactError, match="array at"):
            MemoryAe.from_arrays(detector.parameters, 4, detector.arrays() | {"at": np.array([at])})
