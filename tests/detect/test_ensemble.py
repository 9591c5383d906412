"""The ensemble: what it makes of its parts."""

import numpy as np
import pytest

from tapwatch.detect.detectors.ensemble import Ensemble, EnsembleParameters
from tapwatch.errors import ArtifactError
from tests.detect import made

PARTS = ("reconstruction", "memory", "rarity")


@pytest.fixture(scope="module")
def detector():
    parameters = EnsembleParameters(epochs=2, references=150)
    return Ensemble.fit(made.preprocessed(600), made.preprocessed(200, 1), parameters, seed=0)


def parts_of(detector):
    """Each part, built from the arrays that have its name in front."""
    arrays = detector.arrays()
    built = {}
    for name, part in detector._parts.items():
        mine = {
            k.removeprefix(f"{name}."): a for k, a in arrays.items() if k.startswith(f"{name}.")
        }
        built[name] = type(part).from_arrays(part.parameters, part.n_columns, mine)
    return built


def test_the_error_is_the_mean_of_the_parts_in_units_of_benign_rows(detector):
    """A unit is what 99 % of the validation rows stay below, part by part."""
    rows, validation = made.preprocessed(80, 2), made.preprocessed(200, 1)
    parts = parts_of(detector)
    units = [np.quantile(part.score(validation), 0.99) for part in parts.values()]
    by_hand = [part.score(rows) / unit for part, unit in zip(parts.values(), units, strict=True)]

    assert tuple(parts) == PARTS
    np.testing.assert_array_equal(detector.arrays()["unit"], units)
    np.testing.assert_allclose(detector.score(rows), np.mean(by_hand, axis=0), rtol=1e-14)


def test_shares_are_those_of_the_parts_by_what_each_has_in_the_error(detector):
    """A part that finds nothing odd has little to say about why."""
    rows = made.preprocessed(80, 2)
    parts, units = parts_of(detector), detector.arrays()["unit"]
    weight = np.stack([p.score(rows) / u for p, u in zip(parts.values(), units, strict=True)])
    weight /= weight.sum(axis=0)
    shares = np.stack([part.contributions(rows) for part in parts.values()])
    by_hand = (weight[:, :, None] * shares).sum(axis=0)

    np.testing.assert_allclose(detector.contributions(rows), by_hand, atol=1e-12)


def test_each_part_alone_can_make_a_row_stand_out(detector):
    """Whichever part is given an error of a hundred units, the row is above all benign ones."""
    benign = detector.score(made.preprocessed(300, 3))
    arrays = detector.arrays()
    for k, name in enumerate(PARTS):
        unit = arrays["unit"].copy()
        unit[k] /= 100
        sharper = Ensemble.from_arrays(detector.parameters, 13, arrays | {"unit": unit})
        typical = np.median(sharper.score(made.preprocessed(300, 3)))

        assert typical > np.quantile(benign, 0.99), name


def test_a_wide_view_goes_through_a_code_of_eight(detector):
    """The autoencoder is narrow by default; widths that are given are taken."""
    wide = made.preprocessed(100, n_columns=100)
    small = EnsembleParameters(epochs=1, references=20)
    given = EnsembleParameters(epochs=1, references=20, hidden=[7, 3, 7])

    assert Ensemble.fit(wide, wide, small, seed=0).latent(wide).shape == (100, 8)
    assert Ensemble.fit(wide, wide, given, seed=0).latent(wide).shape == (100, 3)
    assert detector.latent(made.preprocessed(5)).shape == (5, 3)


def test_a_refused_array_is_told_with_the_name_of_its_part(detector):
    """The name that it has in the file."""
    arrays = detector.arrays()
    for bad, text in (
        (arrays | {"memory.references": arrays["memory.references"] * np.inf}, "memory.references"),
        ({k: v for k, v in arrays.items() if k != "rarity.cost"}, "rarity.cost"),
        (arrays | {"reconstruction.extra": arrays["unit"]}, "reconstruction.extra"),
        (arrays | {"unit": np.zeros(3)}, "unit"),
    ):
        with pytest.raises(ArtifactError, match=f"^array {text}: "):
            Ensemble.from_arrays(detector.parameters, 13, bad)


def test_a_part_that_knows_every_benign_row_does_not_drown_the_others():
    """Every validation row is in memory: the unit is that of a row a little off, not of none."""
    rows = np.repeat(made.preprocessed(60), 10, axis=0)
    parameters = EnsembleParameters(epochs=2, references=600)
    detector = Ensemble.fit(rows, rows[::3], parameters, seed=0)
    spread = rows.astype(np.float64).var(axis=0).mean() ** 0.5
    unit = detector.arrays()["unit"]
    near = rows[:60] + np.float32(0.01)

    assert parts_of(detector)["memory"].score(rows[::3]).max() == 0
    assert unit[1] == pytest.approx(0.05 * spread)
    assert detector.score(near).max() < 3


def test_rows_that_are_all_alike_have_units_too():
    """Of a spread of 1, and of a row one nat rarer."""
    rows = np.ones((50, 3), np.float32)
    detector = Ensemble.fit(rows, rows[:9], EnsembleParameters(epochs=2, references=9), seed=0)

    assert detector.arrays()["unit"][0] >= 0.05**2
    assert detector.arrays()["unit"][1:].tolist() == [0.05, 1.0]
