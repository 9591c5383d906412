"""Class columns: a word becomes inputs that are 0 but for one.

A column has one input for each word that the training rows showed, and a last one for all others.
The input of the word that a row has is, if not said otherwise, clip / sqrt(2), the others are 0:
one word in place of another costs clip ** 2, which is what the furthest value of a plain column
costs. So a class weighs as much as one column, however many words it has.

On NSL-KDD, with normal rows alone to learn from, heights of clip / sqrt(2) gave an autoencoder an
area under the curve of .989 to .990; of 1 / sqrt(2), .953 to .957; with rarer words higher, .982.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import Rows
from tapwatch.errors import ArtifactError
from tapwatch.tables import Schema


@dataclass(frozen=True)
class Classes:
    """K class columns with W inputs: for each column its words, then all others."""

    index: NDArray[np.int64]  # (K,) their places in the schema
    n_categories: NDArray[np.int64]  # (K,) words that the schema has
    seen: tuple[NDArray[np.int64], ...]  # K arrays: the words seen in training, ascending
    height: float  # of an input where it is not 0
    _start: NDArray[np.int64] = field(init=False, repr=False)  # (K,) first input of each column
    _offset: NDArray[np.int64] = field(init=False, repr=False)  # (K,) where `_place` begins
    _place: NDArray[np.int64] = field(init=False, repr=False)  # input of a category, and of none

    def __post_init__(self) -> None:
        widths = np.array([len(words) + 1 for words in self.seen], np.int64)
        start = np.cumsum(widths) - widths
        offset = np.cumsum(self.n_categories + 1) - (self.n_categories + 1)
        place = np.repeat(start + widths - 1, self.n_categories + 1)
        for k, words in enumerate(self.seen):
            place[offset[k] + words] = start[k] + np.arange(len(words))
        for name, array in (("_start", start), ("_offset", offset), ("_place", place)):
            object.__setattr__(self, name, array)

    @property
    def n_inputs(self) -> int:
        """Inputs of all class columns together, W."""
        return sum(len(words) + 1 for words in self.seen)

    def apply(self, values: NDArray[Any], out: Rows) -> None:
        """Write the inputs of rows (n, n_schema_columns) to `out`, (n, W)."""
        words = values[:, self.index]
        # A number that is no category, NaN included, compares false: all others.
        is_word = (words >= 0) & (words < self.n_categories)
        words = np.where(is_word, words, self.n_categories).astype(np.int64)
        place = self._place[self._offset + words]  # (n, K)
        out[:] = 0
        np.put_along_axis(out, place, self.height, axis=1)

    @property
    def column_of(self) -> NDArray[np.int64]:
        """Which of the K columns each input is of, (W,)."""
        return np.repeat(np.arange(len(self.seen)), [len(words) + 1 for words in self.seen])

    def to_words(self, rows: Rows) -> NDArray[np.float64]:
        """The word, (n, K), that inputs (n, W) are nearest to; one that was seen in training."""
        nearest = [
            words[rows[:, start : start + len(words)].argmax(axis=1)]
            for words, start in zip(self.seen, self._start, strict=True)
        ]
        return np.stack(nearest, axis=1).astype(np.float64)


def fit_classes(
    values: NDArray[np.float32], schema: Schema, index: NDArray[np.int64], height: float
) -> Classes:
    """Fit on training rows (n_rows, n_schema_columns); `index` says which columns are classes."""
    n_categories = np.array([len(schema.columns[k].categories) for k in index], np.int64)
    seen = tuple(np.unique(values[:, k]).astype(np.int64) for k in index)
    return Classes(index, n_categories, seen, height)


def read_classes(
    schema: Schema, index: NDArray[np.int64], words: Mapping[str, Sequence[str]], height: float
) -> Classes:
    """Build from what a bundle holds.

    Parameters
    ----------
    schema : Schema
    index : int64 (K,)
        Places in the schema of the class columns that are used.
    words : mapping of column to words
        Those seen in training, by column.
    height : float

    Raises
    ------
    ArtifactError
        The words are not those of the class columns used.
    """
    columns = [schema.columns[k] for k in index]
    if set(words) != {column.name for column in columns}:
        raise ArtifactError("preprocess.classes: want the class columns that are used, each once")
    seen = []
    for column in columns:
        place = {word: k for k, word in enumerate(column.categories)}
        found = [place.get(word, -1) for word in words[column.name]]
        if not found or found != sorted(set(found)) or found[0] < 0:
            raise ArtifactError(
                f"preprocess.classes.{column.name}: want words of that column, in their order, "
                "each once"
            )
        seen.append(np.array(found, np.int64))
    n_categories = np.array([len(column.categories) for column in columns], np.int64)
    return Classes(index, n_categories, tuple(seen), height)


def usual_height(clip: float) -> float:
    """Height at which one word in place of another costs what a plain column can cost at most."""
    return clip / math.sqrt(2)
