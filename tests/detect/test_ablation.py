"""Shares by ablation: against setting one column of one row at a time by hand."""

import numpy as np
import pytest

from tapwatch.detect.ablation import USUAL_ARRAYS, Usual, drops
from tapwatch.detect.detector import CHUNK_ROWS
from tapwatch.errors import ArtifactError

#: Two plain columns and one of three words and all others.
COLUMN_OF = np.array([0, 1, 2, 2, 2, 2])
HEIGHT = np.float32(3.5355339)


def benign(n_rows=1000):
    """Words are had by 40, 35 and 25 of 100: none by half of the rows."""
    random = np.random.default_rng(0)
    rows = np.zeros((n_rows, 6), np.float32)
    rows[:, 0] = random.normal(size=n_rows) + 4
    rows[:, 1] = random.exponential(size=n_rows)
    word = random.choice(3, n_rows, p=[0.35, 0.4, 0.25])
    rows[np.arange(n_rows), 2 + word] = HEIGHT
    return rows


def score(rows):
    """An error with products over columns, and one that no row of two words may have."""
    assert ((rows[:, 2:] != 0).sum(axis=1) == 1).all()
    wide = rows.astype(np.float64)
    return np.abs(wide[:, 0] * wide[:, 1]) + 3 * wide[:, 5] + wide[:, 2] * np.abs(wide[:, 0])


def by_hand(row, usual_row):
    """One column after the other, each from the row as it was."""
    before = score(row[None])[0]
    parts = []
    for column in range(3):
        changed = row.copy()
        for k in range(6):
            if COLUMN_OF[k] == column:
                changed[k] = usual_row[k]
        parts.append(max(0.0, before - score(changed[None])[0]))
    return parts


def test_the_usual_row_has_medians_and_one_word():
    """The most frequent word at its exact height, though no word is had by half of the rows."""
    rows = benign()
    usual = Usual.fit(rows)
    row = usual.row(COLUMN_OF)

    assert row[:2].tolist() == np.median(rows[:, :2], axis=0).tolist()
    assert row[2:].tolist() == [0, HEIGHT, 0, 0]


def test_plain_columns_are_not_taken_for_words():
    """Negative ones, those of many values, and those that stand alone keep their median."""
    rows = benign()
    rows[:, 2:] = np.random.default_rng(1).choice([0, -1, 2], (1000, 4), p=[0.2, 0.2, 0.6])
    usual = Usual.fit(rows)

    assert usual.words.tolist() == [0] * 6
    assert usual.row(COLUMN_OF)[2:].tolist() == [2, 2, 2, 2]
    assert Usual.fit(benign()).row(np.arange(6))[2:].tolist() == [0, 0, 0, 0]


def test_expected_rows_are_read_as_the_most_frequent_word():
    """Whoever takes the largest input of a class gets it."""
    usual = Usual.fit(benign())
    expected = usual.expected(3)

    assert expected.shape == (3, 6)
    assert expected.dtype == np.float32
    assert expected[:, :2].tolist() == [usual.median[:2].tolist()] * 3
    assert expected[:, 2:].argmax(axis=1).tolist() == [1, 1, 1]


@pytest.mark.parametrize("n_rows", [1, 2, 50, CHUNK_ROWS // 2, CHUNK_ROWS // 2 + 1, CHUNK_ROWS])
def test_a_part_is_the_drop_of_the_error(n_rows):
    """Of every column, from the row as it was; never below 0; rows are left as they are."""
    usual = Usual.fit(benign())
    rows = benign(n_rows)
    rows[0] = [9, 5, 0, 0, 0, HEIGHT]
    before = rows.tobytes()
    parts = drops(score, rows, COLUMN_OF, usual)
    some = [0, *np.random.default_rng(0).integers(0, n_rows, 20).tolist()]

    assert rows.tobytes() == before
    for k in some:
        np.testing.assert_allclose(parts[k], by_hand(rows[k], usual.row(COLUMN_OF)), rtol=1e-12)
    assert (parts[0] > 0).all()
    assert (parts >= 0).all()


def test_never_more_rows_than_a_chunk_are_scored_at_once():
    """Nor does the number of columns make it more."""
    sizes = []

    def noting(rows):
        sizes.append(len(rows))
        return rows.sum(axis=1).astype(np.float64)

    for n_rows in (0, 1, 3, 100, CHUNK_ROWS - 1, CHUNK_ROWS):
        rows = np.ones((n_rows, 40), np.float32)
        parts = drops(noting, rows, np.arange(40), Usual.fit(np.zeros((5, 40), np.float32)))
        assert parts.tolist() == np.ones((n_rows, 40)).tolist()
    assert max(sizes) == CHUNK_ROWS


def test_a_column_that_is_usual_already_is_not_scored_again():
    """One row differs in both of its plain columns, one in its word, one in nothing."""
    usual = Usual.fit(benign())
    rows = np.tile(usual.row(COLUMN_OF), (3, 1))
    rows[0, :2] += 1
    rows[1, 2:] = np.roll(rows[1, 2:], 1)
    sizes = []

    def noting(some):
        sizes.append(len(some))
        return score(some)

    parts = drops(noting, rows, COLUMN_OF, usual)

    assert sizes == [3, 3]
    assert (parts[2] == 0).all()


def test_what_is_usual_can_be_stored():
    """And is refused where it is of another width."""
    usual = Usual.fit(benign())
    again = Usual.from_arrays(6, usual.arrays())

    assert set(usual.arrays()) == USUAL_ARRAYS
    assert again.row(COLUMN_OF).tobytes() == usual.row(COLUMN_OF).tobytes()
    with pytest.raises(ArtifactError, match=r"array usual\.median"):
        Usual.from_arrays(5, usual.arrays())
