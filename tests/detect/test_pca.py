"""Principal components: against scikit-learn and the plane that made the rows."""

import numpy as np
import pytest

from tapwatch.detect.detector import CHUNK_ROWS
from tapwatch.detect.detectors.pca import Pca, PcaParameters
from tapwatch.errors import ArtifactError
from tests.detect.made import preprocessed as rows_of


def fit(rows, **parameters):
    return Pca.fit(rows, rows[:0], PcaParameters(**parameters), seed=0)


@pytest.mark.parametrize("n", [1, 3, 8, 12])
def test_it_is_the_projection_that_scikit_learn_has(n):
    """In error, code and reconstruction; of more rows than a chunk; up to the sign of an axis."""
    from sklearn.decomposition import PCA

    rows = rows_of(CHUNK_ROWS + 100) + np.float32(2)
    detector, sklearn = fit(rows, components=n), PCA(n, svd_solver="full").fit(rows.astype(float))
    fresh = rows_of(200, seed=5) + np.float32(2)
    code = sklearn.transform(fresh)
    back = sklearn.inverse_transform(code)
    sign = np.sign((detector.arrays()["components"] * sklearn.components_).sum(axis=1))

    np.testing.assert_allclose(detector.latent(fresh), code * sign, atol=2e-5)
    np.testing.assert_allclose(detector.expected(fresh), back, atol=2e-5)
    np.testing.assert_allclose(
        detector.score(fresh), ((fresh - back) ** 2).mean(axis=1), rtol=1e-3, atol=1e-6
    )


def test_the_largest_element_of_an_axis_is_positive():
    """No library promises a sign; here it follows from the rows."""
    components = fit(rows_of(500), components=6).arrays()["components"]

    assert (components[np.arange(6), np.abs(components).argmax(axis=1)] > 0).all()


@pytest.mark.parametrize(
    ("share", "n"), [(0.2, 1), (0.5, 1), (0.6, 2), (0.89, 2), (0.95, 3), (0.99999, 3)]
)
def test_a_share_of_the_variance_takes_as_many_axes_as_it_needs(share, n):
    """Of rows with variances 54, 36 and 10 of 100; a constant column needs none."""
    random = np.random.default_rng(0)
    exact = np.linalg.qr(random.normal(size=(400, 3)) - 0)[0]
    exact = np.linalg.qr(exact - exact.mean(axis=0))[0] * 20
    rows = np.zeros((400, 5), np.float32)
    rows[:, [0, 2, 4]] = exact * np.sqrt([0.54, 0.36, 0.10])

    assert fit(rows, components=share).latent(rows).shape == (400, n)


def test_more_components_than_columns_leave_no_error():
    """As many as there are columns are taken."""
    rows = rows_of(200)
    detector = fit(rows, components=50)

    assert detector.latent(rows).shape == (200, 13)
    assert detector.score(rows).max() < 1e-9


def test_shares_are_squared_residuals():
    """Of each column, over all."""
    detector, rows = fit(rows_of(500), components=3), rows_of(50, seed=3)
    squared = (rows - detector.expected(rows)).astype(np.float64) ** 2

    np.testing.assert_allclose(
        detector.contributions(rows), squared / squared.sum(axis=1, keepdims=True), atol=1e-4
    )


def test_a_number_and_a_share_are_told_apart():
    """1 is one axis, 0.999 a share; 0 and 1.5 are neither."""
    assert PcaParameters(components=1).components == 1
    assert isinstance(PcaParameters.model_validate({"components": "8"}).components, int)
    assert PcaParameters.model_validate({"components": "0.9"}).components == 0.9
    for bad in (0, 1.5, -0.1):
        with pytest.raises(ValueError, match="components"):
            PcaParameters(components=bad)


def test_axes_that_are_none_are_refused():
    """Not of length 1, not at right angles, none, more than columns, not as many as were set."""
    detector = fit(rows_of(200), components=3)
    axes = detector.arrays()["components"]
    for bad in (
        axes * np.float32(2),
        axes[[0, 0, 1]],
        axes[:0],
        axes[:2],
        np.repeat(axes, 5, axis=0),
    ):
        with pytest.raises(ArtifactError, match="array components"):
            Pca.from_arrays(detector.parameters, 13, detector.arrays() | {"components": bad})
