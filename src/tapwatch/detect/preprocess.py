"""From feature values to what a model sees, and back; part of the bundle, fitted on training rows.

Three ways, all followed by a clip, so that no single value can dominate an error without bound.
A column that is constant in training can be left out, or watched: its scale is so small that every
other value than the one that was seen lies at the clip, if float32 tells the two well apart after
the transform: whole numbers up to 5000, larger ones from a difference of 1 in 2500.

log_z     sign(x) * log1p(|x| * resolution), then minus its mean, over its standard deviation; the
          default, since byte counts and gaps span many decades. The resolution is 1, but 1e6 for
          seconds: without it all times below a second would lie where the logarithm is straight
z         minus the mean, over the standard deviation
min_max   minus the minimum, over the range

A column of classes is none of these: see `classes`. What a model gets of a row are its inputs: one
for each plain column, in the schema's order, then those of each class column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.classes import Classes, fit_classes, read_classes, usual_height
from tapwatch.detect.detector import Arrays, Rows, refuse_others, take_array
from tapwatch.errors import ArtifactError, ConfigError
from tapwatch.tables import Schema

if TYPE_CHECKING:
    from torch import Tensor

Method = Literal["log_z", "z", "min_max"]
#: Times in seconds are told apart down to a microsecond.
RESOLUTION: Final = {"s": 1e6}
#: Steps of float32 from a watched constant to the clip. Another machine's logarithm may be off by
#: one or two, which must stay nothing; the next whole number is hundreds of steps away or more.
_WATCHED_STEPS: Final = 200
METHODS: Final[tuple[str, ...]] = get_args(Method)

_ARRAYS: Final = ("resolution", "center", "scale", "low", "high")
_LARGEST: Final = float(np.finfo(np.float32).max)
_FIT_ROWS: Final = 65_536  # rows that the fit looks at once: bounds its scratch memory


@dataclass(frozen=True)
class Preprocess:
    """Choice of columns, scaling, clip.

    C columns are used, P of them plain, the others classes. `scale` is never 0, of watched
    constants neither.
    """

    method: Method
    clip: float
    columns: tuple[str, ...]  # C names, in the schema's order
    index: NDArray[np.int64]  # (C,) their places in the schema
    resolution: NDArray[np.float32]  # (P,) steps of a unit that log_z tells apart
    center: NDArray[np.float32]  # (P,)
    scale: NDArray[np.float32]  # (P,)
    low: NDArray[np.float64]  # (P,) smallest training value, in the column's unit
    high: NDArray[np.float64]  # (P,) largest
    classes: Classes
    _plain: NDArray[np.int64] = field(init=False, repr=False)  # (P,) places in the schema
    _plain_at: NDArray[np.int64] = field(init=False, repr=False)  # (P,) places in `columns`
    _class_at: NDArray[np.int64] = field(init=False, repr=False)  # (C - P,)
    _inverse_scale: NDArray[np.float32] = field(init=False, repr=False)  # (P,)
    _is_fine: bool = field(init=False, repr=False)  # whether any resolution is not 1

    def __post_init__(self) -> None:
        is_class = np.isin(self.index, self.classes.index)
        object.__setattr__(self, "_plain_at", np.flatnonzero(~is_class))
        object.__setattr__(self, "_class_at", np.flatnonzero(is_class))
        object.__setattr__(self, "_plain", self.index[~is_class])
        object.__setattr__(self, "_inverse_scale", (1 / self.scale).astype(np.float32))
        object.__setattr__(self, "_is_fine", bool((self.resolution != 1).any()))

    @property
    def n_inputs(self) -> int:
        """Inputs that a model gets of a row, I of them."""
        return len(self.scale) + self.classes.n_inputs

    def apply(self, values: NDArray[Any]) -> Rows:
        """Preprocess rows of all columns of the schema.

        Parameters
        ----------
        values : float32 or float64 (n_rows, n_schema_columns)
            Left as they are.

        Returns
        -------
        rows : float32 (n_rows, I)
        """
        import torch

        with torch.inference_mode():
            chosen = torch.index_select(_tensor(values), 1, torch.from_numpy(self._plain))  # (n, P)
            if self._is_fine:
                chosen.mul_(torch.from_numpy(self.resolution))
            rows = _transform(chosen, self.method)
            rows.sub_(torch.from_numpy(self.center)).mul_(torch.from_numpy(self._inverse_scale))
            plain: Rows = rows.clamp_(-self.clip, self.clip).numpy()
            if not self.classes.n_inputs:
                return plain
            # Of torch, for its arrays begin where detectors want them to.
            inputs: Rows = torch.empty(len(values), self.n_inputs).numpy()
        inputs[:, : plain.shape[1]] = plain
        self.classes.apply(values, inputs[:, plain.shape[1] :])
        return inputs

    def observed(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The columns used, (n_rows, C), in their own units; of a class the index of its word."""
        return values[:, self.index].astype(np.float64)

    @property
    def column_of(self) -> NDArray[np.int64]:
        """The column, as a place in `columns`, that each input is of, (I,)."""
        return np.concatenate([self._plain_at, self._class_at[self.classes.column_of]])

    def to_units(self, rows: Rows) -> NDArray[np.float64]:
        """Undo `apply`: inputs (n_rows, I) to columns (n_rows, C), within what training showed.

        A reconstruction may lie outside of what the training rows showed; through the exponential
        that would be an absurd count of bytes, so the nearest value that was seen is told instead.
        """
        n_plain = len(self.scale)
        values = rows[:, :n_plain].astype(np.float64) * self.scale + self.center
        if self.method == "log_z":
            # 600: the exponential stays finite, over any resolution too; the range cuts it anyway.
            values = np.sign(values) * np.expm1(np.minimum(np.abs(values), 600.0))
        values = np.clip(values / self.resolution, self.low, self.high)
        if not self.classes.n_inputs:
            return values
        return self._in_order(values, self.classes.to_words(rows[:, n_plain:]))

    def _in_order(
        self, plain: NDArray[np.float64], classes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Plain columns (n, P) and classes (n, K) as the columns used, (n, C)."""
        columns = np.empty((len(plain), len(self.columns)))
        columns[:, self._plain_at] = plain
        columns[:, self._class_at] = classes
        return columns

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything fitted."""
        return {name: getattr(self, name) for name in _ARRAYS}

    def words(self, schema: Schema) -> dict[str, list[str]]:
        """Class columns that are used, by name -> the words seen in training, in their order."""
        used = [schema.columns[k] for k in self.classes.index]
        named = {
            column.name: [column.categories[word] for word in seen]
            for column, seen in zip(used, self.classes.seen, strict=True)
        }
        return dict(sorted(named.items()))

    @classmethod
    def from_arrays(
        cls,
        method: Method,
        clip: float,
        columns: Sequence[str],
        words: Mapping[str, Sequence[str]],
        schema: Schema,
        arrays: Arrays,
        class_height: float | None = None,
    ) -> "Preprocess":
        """Build from a bundle's arrays; `words` are those of the class columns, as `words()` gives.

        Raises
        ------
        ArtifactError
            An array is not as wanted, a scale or resolution is not above 0, or words are not those
            of the class columns.
        """
        place = {name: k for k, name in enumerate(schema.names)}
        index = np.array([place[name] for name in columns], np.int64)
        is_class = _is_class(schema, index)
        plain = (int((~is_class).sum()),)
        resolution = take_array(arrays, "resolution", plain, np.float32)
        center = take_array(arrays, "center", plain, np.float32)
        scale = take_array(arrays, "scale", plain, np.float32)
        low = take_array(arrays, "low", plain, np.float64)
        high = take_array(arrays, "high", plain, np.float64)
        refuse_others(arrays, frozenset(_ARRAYS))
        # The smallest normal float32 still has a finite inverse.
        for name, array in (("scale", scale), ("resolution", resolution)):
            if not (array >= np.finfo(np.float32).tiny).all():
                raise ArtifactError(f"array {name}: {array.min()!r} found: want values above 0")
        if not (low <= high).all():
            raise ArtifactError("array low: above array high: want low <= high")
        height = usual_height(clip) if class_height is None else class_height
        classes = read_classes(schema, index[is_class], words, height)
        return cls(
            method, clip, tuple(columns), index, resolution, center, scale, low, high, classes
        )


def fit_preprocess(
    values: NDArray[np.float32],
    schema: Schema,
    columns: Sequence[str],
    *,
    method: Method = "log_z",
    clip: float = 5.0,
    watch_constants: bool = False,
    class_height: float | None = None,
) -> tuple[Preprocess, tuple[str, ...]]:
    """Fit on training rows.

    Parameters
    ----------
    values : float32 (n_rows, len(schema.columns))
    schema : Schema
    columns : sequence of str
        Names of those to use.
    method : {"log_z", "z", "min_max"}
    clip : float
        Preprocessed values are kept within plus and minus this.
    watch_constants : bool
        Keep the columns that are constant here, so that any other value lies at the clip.
    class_height : float, optional
        Of the input of the word that a row has; by default clip / sqrt(2).

    Returns
    -------
    preprocess : Preprocess
    constant : tuple of str
        Columns that were asked for but are constant here; among the columns used where they are
        watched.

    Raises
    ------
    ConfigError
        No rows, or no column that varies.
    """
    if not len(values):
        raise ConfigError("training rows", 0, "at least 1")
    wanted, names = set(columns), schema.names
    index = np.array([k for k, name in enumerate(names) if name in wanted], np.int64)
    low, high = values.min(axis=0)[index], values.max(axis=0)[index]
    is_class, varies = _is_class(schema, index), low < high
    plain = index[~is_class]
    resolution = _resolutions(schema, plain, method)
    center, scale = _centre_and_scale(values, plain, resolution, method)
    # A column may vary by less than float32 resolves after the transform: that is constant too.
    varies[~is_class] &= scale >= np.finfo(np.float32).tiny
    if not varies.any():
        raise ConfigError("columns", list(columns), "one that varies over the training rows")
    step = np.spacing(np.maximum(np.abs(center), np.float32(1)))
    watched = (_WATCHED_STEPS * step / max(clip, 1.0)).astype(np.float32)
    keep = np.ones_like(varies) if watch_constants else varies
    kept, kept_plain = index[keep], keep[~is_class]
    height = usual_height(clip) if class_height is None else class_height
    preprocess = Preprocess(
        method=method,
        clip=clip,
        columns=tuple(names[k] for k in kept),
        index=kept,
        resolution=resolution[kept_plain],
        center=center[kept_plain],
        scale=np.where(varies[~is_class], scale, watched)[kept_plain],
        low=low[keep & ~is_class].astype(np.float64),
        high=high[keep & ~is_class].astype(np.float64),
        classes=fit_classes(values, schema, index[keep & is_class], height),
    )
    return preprocess, tuple(names[k] for k in index[~varies])


def _is_class(schema: Schema, index: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.array([bool(schema.columns[k].categories) for k in index], np.bool_)


def _resolutions(schema: Schema, index: NDArray[np.int64], method: Method) -> NDArray[np.float32]:
    if method != "log_z":
        return np.ones(len(index), np.float32)
    return np.array([RESOLUTION.get(schema.columns[k].unit, 1.0) for k in index], np.float32)


def _centre_and_scale(
    values: NDArray[np.float32],
    index: NDArray[np.int64],
    resolution: NDArray[np.float32],
    method: Method,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation, or minimum and range, of the transformed columns."""
    import torch

    def parts() -> Any:
        for start in range(0, len(values), _FIT_ROWS):
            part = torch.from_numpy(values[start : start + _FIT_ROWS][:, index])
            # A product beyond float32 would make the mean infinite, and every row with it.
            part.mul_(torch.from_numpy(resolution)).clamp_(-_LARGEST, _LARGEST)
            yield _transform(part, method).numpy().astype(np.float64)

    if method == "min_max":
        low = np.min([part.min(axis=0) for part in parts()], axis=0)
        high = np.max([part.max(axis=0) for part in parts()], axis=0)
        return low.astype(np.float32), (high - low).astype(np.float32)
    # Two passes: the sum of squares minus the square of sums would cancel for large means.
    mean = sum(part.sum(axis=0) for part in parts()) / len(values)
    variance = sum(((part - mean) ** 2).sum(axis=0) for part in parts()) / len(values)
    return mean.astype(np.float32), np.sqrt(variance).astype(np.float32)


def _transform(chosen: "Tensor", method: Method) -> "Tensor":
    """Logarithm with sign for log_z; may write to `chosen` or return it."""
    import torch

    return torch.log1p(chosen.abs()).copysign_(chosen) if method == "log_z" else chosen


def _tensor(values: NDArray[Any]) -> "Tensor":
    import torch

    if values.dtype != np.float32 or not values.flags.writeable:
        # torch warns of arrays that it must not write to; nothing here writes.
        values = values.astype(np.float32)
    return torch.from_numpy(values)
