"""Class columns: a word becomes inputs that are 0 but for one.

A column has one input for each word that the training rows showed, and a last one for all others.
The input of a word that a share p of the training rows had, of w words that were seen, is

    min(clip, 1 / sqrt(w * p * (1 - p)))

where the row has it, else 0. So each input has variance 1 / w over the training rows: a class
weighs as much as a column of variance 1, however many words it has, and a rare word more than a
common one. The rarest is a word that was never seen: where constants are watched it lies at the
clip, as any other value of a constant does; where they are not, at 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import Rows
from tapwatch.errors import ArtifactError
from tapwatch.tables import Schema

#: p * (1 - p) of a column that has one word only.
_CONSTANT: Final = 1.0


@dataclass(frozen=True)
class Classes:
    """K class columns with W inputs: for each column its words, then all others."""

    index: NDArray[np.int64]  # (K,) their places in the schema
    n_categories: NDArray[np.int64]  # (K,) words that the schema has
    seen: tuple[NDArray[np.int64], ...]  # K arrays: the words seen in training, ascending
    height: NDArray[np.float32]  # (W,) of each input where it is not 0
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
        """Inputs of all class columns together."""
        return len(self.height)

    def apply(self, values: NDArray[Any], out: Rows) -> None:
        """Write the inputs of rows (n, n_schema_columns) to `out`, (n, W)."""
        words = values[:, self.index]
        # A number that is no category, NaN included, compares false: all others.
        is_word = (words >= 0) & (words < self.n_categories)
        words = np.where(is_word, words, self.n_categories).astype(np.int64)
        place = self._place[self._offset + words]  # (n, K)
        out[:] = 0
        np.put_along_axis(out, place, self.height[place], axis=1)

    def by_column(self, parts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum parts of an error, (n, W), over the inputs of each column, (n, K)."""
        sums: NDArray[np.float64] = np.add.reduceat(parts, self._start, axis=1)
        return sums

    def to_words(self, rows: Rows) -> NDArray[np.float64]:
        """The word, (n, K), that inputs (n, W) are nearest to; one that was seen in training."""
        heights = rows / self.height
        nearest = [
            words[heights[:, start : start + len(words)].argmax(axis=1)]
            for words, start in zip(self.seen, self._start, strict=True)
        ]
        return np.stack(nearest, axis=1).astype(np.float64)


def fit_classes(
    values: NDArray[np.float32],
    schema: Schema,
    index: NDArray[np.int64],
    *,
    clip: float,
    watch_constants: bool,
) -> Classes:
    """Fit on training rows (n_rows, n_schema_columns); `index` says which columns are classes."""
    n_categories = np.array([len(schema.columns[k].categories) for k in index], np.int64)
    seen, heights = [], []
    for k, n_words in zip(index, n_categories, strict=True):
        counts = np.bincount(values[:, k].astype(np.int64), minlength=n_words)
        words = np.flatnonzero(counts)
        share = counts[words] / len(values)
        variance = np.where(share < 1, share * (1 - share), _CONSTANT)
        other = clip if watch_constants else min(clip, 1.0)
        seen.append(words)
        heights += [np.minimum(clip, 1 / np.sqrt(len(words) * variance)), [other]]
    height = np.concatenate([*heights, []]).astype(np.float32)
    return Classes(index, n_categories, tuple(seen), height)


def read_classes(
    schema: Schema,
    index: NDArray[np.int64],
    words: Mapping[str, Sequence[str]],
    height: NDArray[np.float32],
) -> Classes:
    """Build from what a bundle holds.

    Parameters
    ----------
    schema : Schema
    index : int64 (K,)
        Places in the schema of the class columns that are used.
    words : mapping of column to words
        Those seen in training, by column.
    height : float32 (W,)

    Raises
    ------
    ArtifactError
        The words are not those of the class columns used, or a height is not above 0.
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
    if not (height >= np.finfo(np.float32).tiny).all():
        raise ArtifactError(f"array height: {height.min()!r} found: want values above 0")
    n_categories = np.array([len(column.categories) for column in columns], np.int64)
    return Classes(index, n_categories, tuple(seen), height)


def count_inputs(words: Mapping[str, Sequence[str]]) -> int:
    """Inputs that columns with these words have together."""
    return sum(len(seen) + 1 for seen in words.values())
