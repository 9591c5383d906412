"""The one-class machine: scikit-learn's decisions, in an error that does not come to rest."""

import math

import numpy as np
import pytest

from tapwatch.detect.detectors.ocsvm import Ocsvm, OcsvmParameters
from tapwatch.errors import ArtifactError
from tests.detect.made import preprocessed as rows_of

pytestmark = pytest.mark.kernel


def fit(rows, seed=0, **parameters):
    return Ocsvm.fit(rows, rows[:0], OcsvmParameters(**parameters), seed=seed)


def judged():
    """Ordinary rows, the same far out, and corners as far as float32 goes without its square."""
    rows = rows_of(60, seed=4)
    corners = np.float32([[0], [5], [-5], [1e6], [-1e18]]) * np.ones(13, np.float32)
    return np.concatenate([rows, rows * np.float32(3), corners]).astype(np.float32)


@pytest.mark.parametrize("nu", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("gamma", ["scale", 0.001, 2.0])
def test_decisions_are_scikit_learns(nu, gamma):
    """The decision function to 1e-6, and the error is on the same side of its boundary."""
    from sklearn.svm import OneClassSVM

    rows = rows_of(150)
    detector = fit(rows, nu=nu, gamma=gamma)
    wide = rows.astype(np.float64)
    wanted = OneClassSVM(nu=nu, gamma=gamma).fit(wide).decision_function(judged().astype(float))

    np.testing.assert_allclose(detector.decision_function(judged()), wanted, rtol=0, atol=1e-6)
    is_clear = np.abs(wanted) > 1e-6
    outside = detector.score(judged()) > detector.boundary
    assert outside[is_clear].tolist() == (wanted < 0)[is_clear].tolist()
    assert is_clear.sum() > 40


def test_the_error_is_what_a_pencil_computes():
    """log(sum of weights) - log(sum of weight * exp(-gamma * squared distance))."""
    detector = fit(rows_of(80), nu=0.2, gamma=0.05)
    arrays = detector.arrays()
    vectors, weights = arrays["support"].tolist(), arrays["weight"].tolist()
    for row, error in zip(judged()[:20].tolist(), detector.score(judged()[:20]), strict=True):
        reach = math.fsum(
            w * math.exp(-0.05 * math.fsum((a - b) ** 2 for a, b in zip(row, v, strict=True)))
            for v, w in zip(vectors, weights, strict=True)
        )
        assert error == pytest.approx(math.log(math.fsum(weights) / reach), rel=1e-9)


def test_the_error_grows_where_the_decision_has_come_to_rest():
    """Far out all kernels are 0 in float64; rows twice as far have four times the error."""
    detector, row = fit(rows_of(100)), rows_of(1, seed=4)
    near, far, further = (detector.score(row * np.float32(k))[0] for k in (1, 1e3, 2e3))

    assert near < far
    assert further / far == pytest.approx(4, rel=0.05)
    assert detector.decision_function(row * np.float32(1e3))[0] == -detector.arrays()["offset"][0]


def test_no_more_rows_than_asked_for_are_learnt_from():
    """A sample by the seed; with as many rows as that, all."""
    rows = rows_of(400)
    support = fit(rows, nu=0.9, sample_rows=50).arrays()["support"]
    known = {row.tobytes() for row in rows}

    assert 45 <= len(support) <= 50
    assert all(row.tobytes() in known for row in support)
    assert fit(rows, 1, nu=0.9, sample_rows=50).arrays()["support"].tobytes() != support.tobytes()
    assert (
        fit(rows, 0, sample_rows=400).arrays()["support"].tobytes()
        == fit(rows, 1, sample_rows=400).arrays()["support"].tobytes()
    )


def test_parts_and_expectation_are_those_of_the_nearby_vectors():
    """Means of vectors and of squared distances, weighed by what each adds to the sum."""
    detector = fit(rows_of(60), nu=0.3, gamma=0.1)
    arrays = detector.arrays()
    support = arrays["support"].astype(np.float64)
    for row in rows_of(10, seed=6):
        weight = arrays["weight"] * np.exp(-0.1 * ((row - support) ** 2).sum(axis=1))
        weight /= weight.sum()
        squared = weight @ (row - support) ** 2
        column_of = np.array([0, 0, *range(1, 12)])
        grouped = np.array([squared[:2].sum(), *squared[2:]])

        np.testing.assert_allclose(detector.expected(row[None])[0], weight @ support, rtol=1e-5)
        np.testing.assert_allclose(
            detector.contributions(row[None], column_of)[0], grouped / grouped.sum(), rtol=1e-9
        )


def test_a_machine_that_cannot_be_is_refused():
    """Weights and gamma above 0, at least one vector, and no more than rows are learnt from."""
    detector = fit(rows_of(60))
    arrays = detector.arrays()
    for key, bad in (
        ("weight", arrays["weight"] * 0),
        ("weight", -arrays["weight"]),
        ("gamma", np.array([0.0])),
        ("support", arrays["support"][:0]),
        ("support", arrays["support"][:, :5]),
    ):
        with pytest.raises(ArtifactError, match=f"array {key}"):
            Ocsvm.from_arrays(detector.parameters, 13, arrays | {key: bad})
    few = detector.parameters.model_copy(update={"sample_rows": len(arrays["support"]) - 1})
    with pytest.raises(ArtifactError, match="array support"):
        Ocsvm.from_arrays(few, 13, arrays)
