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
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

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

    `scale` is never 0, of watched constants neither.
    """

    method: Method
    clip: float
    columns: tuple[str, ...]  # C names, in the schema's order
    index: NDArray[np.int64]  # (C,) their places in the schema
    resolution: NDArray[np.float32]  # (C,) steps of a unit that log_z tells apart
    center: NDArray[np.float32]  # (C,)
    scale: NDArray[np.float32]  # (C,)
    low: NDArray[np.float64]  # (C,) smallest training value, in the column's unit
    high: NDArray[np.float64]  # (C,) largest

    def __post_init__(self) -> None:
        object.__setattr__(self, "_inverse_scale", (1 / self.scale).astype(np.float32))
        object.__setattr__(self, "_is_fine", bool((self.resolution != 1).any()))

    def apply(self, values: NDArray[Any]) -> Rows:
        """Preprocess rows of all columns of the schema.

        Parameters
        ----------
        values : float32 or float64 (n_rows, n_schema_columns)
            Left as they are.

        Returns
        -------
        rows : float32 (n_rows, C)
        """
        import torch

        with torch.inference_mode():
            chosen = torch.index_select(_tensor(values), 1, torch.from_numpy(self.index))  # (n, C)
            if self._is_fine:  # type: ignore[attr-defined]
                chosen.mul_(torch.from_numpy(self.resolution))
            rows = _transform(chosen, self.method)
            rows.sub_(torch.from_numpy(self.center)).mul_(torch.from_numpy(self._inverse_scale))  # type: ignore[attr-defined]
            preprocessed: Rows = rows.clamp_(-self.clip, self.clip).numpy()
        return preprocessed

    def observed(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The columns used, (n_rows, C), in their own units."""
        return values[:, self.index].astype(np.float64)

    def to_units(self, rows: Rows) -> NDArray[np.float64]:
        """Undo `apply`, (n_rows, C), within the range of values seen in training.

        A reconstruction may lie outside of what the training rows showed; through the exponential
        that would be an absurd count of bytes, so the nearest value that was seen is told instead.
        """
        values = rows.astype(np.float64) * self.scale + self.center
        if self.method == "log_z":
            # 600: the exponential stays finite, over any resolution too; the range cuts it anyway.
            values = np.sign(values) * np.expm1(np.minimum(np.abs(values), 600.0))
        return np.clip(values / self.resolution, self.low, self.high)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything fitted."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(
        cls,
        method: Method,
        clip: float,
        columns: Sequence[str],
        names: Sequence[str],
        arrays: Arrays,
    ) -> "Preprocess":
        """Build from a bundle's arrays; `names` are all columns of the schema.

        Raises
        ------
        ArtifactError
            An array is not as wanted, or a scale or resolution is not above 0.
        """
        shape = (len(columns),)
        resolution = take_array(arrays, "resolution", shape, np.float32)
        center = take_array(arrays, "center", shape, np.float32)
        scale = take_array(arrays, "scale", shape, np.float32)
        low = take_array(arrays, "low", shape, np.float64)
        high = take_array(arrays, "high", shape, np.float64)
        refuse_others(arrays, frozenset(_ARRAYS))
        # The smallest normal float32 still has a finite inverse.
        for name, array in (("scale", scale), ("resolution", resolution)):
            if not (array >= np.finfo(np.float32).tiny).all():
                raise ArtifactError(f"array {name}: {array.min()!r} found: want values above 0")
        if not (low <= high).all():
            raise ArtifactError("array low: above array high: want low <= high")
        place = {name: k for k, name in enumerate(names)}
        index = np.array([place[name] for name in columns], np.int64)
        return cls(method, clip, tuple(columns), index, resolution, center, scale, low, high)


def fit_preprocess(
    values: NDArray[np.float32],
    schema: Schema,
    columns: Sequence[str],
    *,
    method: Method = "log_z",
    clip: float = 5.0,
    watch_constants: bool = False,
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
    resolution = _resolutions(schema, index, method)
    low, high = values.min(axis=0)[index], values.max(axis=0)[index]
    center, scale = _centre_and_scale(values, index, resolution, method)
    # A column may vary by less than float32 resolves after the transform: that is constant too.
    varies = (low < high) & (scale >= np.finfo(np.float32).tiny)
    constant = tuple(names[k] for k in index[~varies])
    if not varies.any():
        raise ConfigError("columns", list(columns), "one that varies over the training rows")
    step = np.spacing(np.maximum(np.abs(center), np.float32(1)))
    scale = np.where(varies, scale, (_WATCHED_STEPS * step / max(clip, 1.0)).astype(np.float32))
    keep = np.ones_like(varies) if watch_constants else varies
    kept = index[keep]
    preprocess = Preprocess(
        method=method,
        clip=clip,
        columns=tuple(names[k] for k in kept),
        index=kept,
        resolution=resolution[keep],
        center=center[keep],
        scale=scale[keep],
        low=low[keep].astype(np.float64),
        high=high[keep].astype(np.float64),
    )
    return preprocess, constant


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
