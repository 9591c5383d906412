"""From benign inputs to a bundle on disk."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError

import tapwatch
from tapwatch.config import Config, Section
from tapwatch.detect.bundle import check_target, describe_schema, write_bundle
from tapwatch.detect.detector import Detector, Epoch, Parameters, silent
from tapwatch.detect.manifest import Manifest, check_name
from tapwatch.detect.preprocess import Method, Preprocess, fit_preprocess
from tapwatch.detect.registry import DETECTORS
from tapwatch.detect.threshold import Threshold, ThresholdMethod, calibrate, summarise
from tapwatch.errors import ConfigError
from tapwatch.features import schema_of
from tapwatch.tables import Schema
from tapwatch.training.calibrate import Held, measure, measure_tail, score_rows
from tapwatch.training.datasets import (
    Part,
    ReadProgress,
    check_filter,
    describe_input,
    expand,
    no_progress,
    read_rows,
)
from tapwatch.training.reservoir import Reservoir


class TrainSettings(Section):
    """What `--set` may change apart from the detector's own hyper-parameters."""

    model_config = ConfigDict(strict=False)  # what comes from the command line is text

    scaling: Method = "log_z"
    """How columns are brought to one scale."""
    clip: Annotated[float, Field(gt=0, le=1e6)] = 5.0
    """Preprocessed values are kept within plus and minus this."""
    constants: Literal["watch", "drop"] = "watch"
    """Whether columns that are constant in training are watched for any other value."""
    threshold: ThresholdMethod = "conformal"
    """Rule of the threshold."""
    factor: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Multiplies the quantile of the quantile rule."""
    beyond: Annotated[float, Field(ge=1, le=1e6)] = 1.25
    """Multiplies the largest error where the budget is rarer than the calibration rows can show."""
    max_rows: Annotated[int, Field(ge=100, le=1 << 24)] = 500_000
    """Rows learnt from at most; of more, a random sample."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training rows, the last in time, that calibrates where no other input does."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the training rows, at random, that tells when to stop."""


@dataclass(frozen=True)
class Order:
    """What to train, from what, to where."""

    inputs: Sequence[Path]
    view: str
    detector: str
    output: Path
    time: str
    """UTC, as 2006-01-02T15:04:05Z; put on record as it is."""
    name: str = ""
    """Of the bundle; by default that of the output directory."""
    calibration_inputs: Sequence[Path] = ()
    budget_per_hour: float = 1.0
    columns: Sequence[str] = ()
    """To use; by default all."""
    drop: Sequence[str] = ()
    """Not to use."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Fields of TrainSettings or of the detector's parameters."""
    device: str = "cpu"
    seed: int = 0
    workers: int = 1
    filter: str | None = None
    """Only packets that match are learnt from and calibrated with."""
    config: Config = field(default_factory=Config)


@dataclass(frozen=True)
class Listener:
    """Who is told how far it is; each has a silent default."""

    reading: ReadProgress = no_progress
    epoch: Callable[[Epoch], None] = silent
    warning: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class _Learnt:
    preprocess: Preprocess
    constant: tuple[str, ...]
    detector: Detector
    rows: int
    validation_rows: int
    epochs: int
    median: float


def train(order: Order, listener: Listener | None = None) -> Manifest:
    """Train a detector on benign inputs, calibrate its threshold, write the bundle.

    Returns
    -------
    manifest : Manifest
        As written to `order.output`.

    Raises
    ------
    ConfigError
        The view, the detector, a column, a setting or the output cannot be; or no rows come.
    CaptureError
        An input cannot be read.
    ArtifactError
        A Parquet input is of another schema.
    """
    listener = listener or Listener()
    schema = schema_of(order.view)
    settings, parameters = split_settings(order.detector, order.settings)
    columns = choose_columns(schema, order.columns, order.drop)
    check_name(_name(order))
    check_device(order.device)
    check_target(order.output)
    training_files = expand(order.inputs)
    calibration_files = expand(order.calibration_inputs)
    check_filter(order.filter, [*training_files, *calibration_files])

    def rows_of(files: Sequence[Path]) -> Iterable[Iterable[Part]]:
        return read_rows(
            files,
            schema,
            order.config,
            workers=order.workers,
            filter=order.filter,
            warn=listener.warning,
            progress=listener.reading,
        )

    reservoir = Reservoir(settings.max_rows, len(schema.names), order.seed)
    for parts in rows_of(training_files):
        for part in parts:
            reservoir.add(part.values, part.time_ns)
    if not reservoir.seen:
        raise ConfigError("training rows", 0, f"at least 1 row of view {order.view}")
    values, time_ns = reservoir.take()
    rows_seen = reservoir.seen
    del reservoir  # as large as the sample itself

    # Time order, so that what calibrates comes after what was learnt, as it will in use.
    held_out = 0 if calibration_files else max(1, int(len(values) * settings.holdout))
    cut = len(values) - held_out
    learnt = _learn(values[:cut], schema, columns, order, settings, parameters, listener)
    if calibration_files:
        held = measure(rows_of(calibration_files), learnt.preprocess, learnt.detector)
    else:
        share_kept = len(values) / rows_seen
        held = measure_tail(
            values[cut:], time_ns[cut:], share_kept, learnt.preprocess, learnt.detector
        )
    threshold = calibrate(
        held.errors,
        held.rows_per_hour,
        order.budget_per_hour,
        method=settings.threshold,
        factor=settings.factor,
        beyond=settings.beyond,
    )
    inputs = [describe_input(path, "training") for path in training_files]
    inputs += [describe_input(path, "calibration") for path in calibration_files]
    manifest = _manifest(order, schema, learnt, threshold, held, inputs, rows_seen)
    return write_bundle(
        order.output, manifest, learnt.preprocess, learnt.detector, summarise(held.errors)
    )


def split_settings(detector: str, given: dict[str, Any]) -> tuple[TrainSettings, Parameters]:
    """Sort `--set KEY=VALUE` into settings of the training and parameters of the detector.

    Raises
    ------
    ConfigError
        The detector or a key is not known, or a value is refused.
    """
    if detector not in DETECTORS:
        raise ConfigError("detector", detector, "one of " + ", ".join(DETECTORS))
    kind = DETECTORS[detector].parameters_type
    known = [*TrainSettings.model_fields, *kind.model_fields]
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"--set {key}", value, "one of the keys " + ", ".join(known))
    ours = {k: v for k, v in given.items() if k in TrainSettings.model_fields}
    theirs = {k: v for k, v in given.items() if k in kind.model_fields}
    try:
        return TrainSettings.model_validate(ours), kind.model_validate(theirs)
    except ValidationError as error:
        first = error.errors()[0]
        want = first["msg"].removeprefix("Input should be ")
        raise ConfigError(f"--set {first['loc'][0]}", first["input"], want) from error


def choose_columns(schema: Schema, only: Sequence[str], drop: Sequence[str]) -> tuple[str, ...]:
    """Columns to learn from, in the schema's order.

    Raises
    ------
    ConfigError
        A name is not a column of the view, or none is left.
    """
    for key, names in (("--columns", only), ("--drop", drop)):
        for name in names:
            if name not in schema.names:
                near = get_close_matches(name, schema.names, n=3)
                hint = f"near it: {', '.join(near)}" if near else ""
                raise ConfigError(key, name, f"columns of view {schema.view}", hint)
    chosen = [n for n in schema.names if (not only or n in only) and n not in drop]
    if not chosen:
        raise ConfigError("--drop", ",".join(drop), "at least one column left to learn from")
    return tuple(chosen)


def check_device(device: str) -> None:
    """Raise ConfigError where the device is absent."""
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        raise ConfigError("--device", device, "cpu", "torch finds no CUDA device here")


def _name(order: Order) -> str:
    return order.name or order.output.absolute().name


def _learn(
    values: NDArray[np.float32],
    schema: Schema,
    columns: tuple[str, ...],
    order: Order,
    settings: TrainSettings,
    parameters: Parameters,
    listener: Listener,
) -> _Learnt:
    if not len(values):
        want = f"at least 2 rows of view {order.view}: one to learn from, one to calibrate with"
        raise ConfigError("training rows", 1, want)
    preprocess, constant = fit_preprocess(
        values,
        schema,
        columns,
        method=settings.scaling,
        clip=settings.clip,
        watch_constants=settings.constants == "watch",
    )
    # One row may be all there is: then it has to be its own validation.
    n_validation = min(int(len(values) * settings.validation), len(values) - 1)
    shuffled = np.random.default_rng(order.seed).permutation(len(values))
    is_validation = np.zeros(len(values), np.bool_)
    is_validation[shuffled[:n_validation]] = True
    n_epochs = 0

    def count(epoch: Epoch) -> None:
        nonlocal n_epochs
        n_epochs = epoch.number
        listener.epoch(epoch)

    detector = DETECTORS[order.detector].fit(
        preprocess.apply(values[~is_validation]),
        preprocess.apply(values[is_validation]),
        parameters,
        seed=order.seed,
        device=order.device,
        progress=count,
    )
    median = float(np.median(score_rows(values[~is_validation], preprocess, detector)))
    n_rows = len(values) - n_validation
    return _Learnt(preprocess, constant, detector, n_rows, n_validation, n_epochs, median)


def _manifest(
    order: Order,
    schema: Schema,
    learnt: _Learnt,
    threshold: Threshold,
    held: Held,
    inputs: list[dict[str, Any]],
    rows_seen: int,
) -> Manifest:
    flagged = int(np.count_nonzero(held.errors > threshold.value))
    document = {
        "format": 1,
        "name": _name(order),
        "detector": {
            "name": learnt.detector.name,
            "parameters": learnt.detector.parameters.model_dump(mode="json"),
        },
        "feature_schema": describe_schema(schema).model_dump(),
        "preprocess": {
            "method": learnt.preprocess.method,
            "clip": learnt.preprocess.clip,
            "columns": list(learnt.preprocess.columns),
            "constant": list(learnt.constant),
            "dropped": [
                n for n in schema.names if n not in learnt.preprocess.columns + learnt.constant
            ],
        },
        "threshold": {
            **asdict(threshold),
            "warnings": list(threshold.warnings),
            "calibration_rows": len(held.errors),
            "calibration_hours": held.hours,
        },
        "training": {
            "inputs": inputs,
            "rows_seen": rows_seen,
            "rows": learnt.rows,
            "validation_rows": learnt.validation_rows,
            "epochs": learnt.epochs,
            "seed": order.seed,
            "filter": order.filter,
            "time": order.time,
            "versions": {
                "tapwatch": tapwatch.__version__,
                "torch": version("torch"),
                "numpy": version("numpy"),
            },
        },
        "quality": {
            "calibration_flagged_rows": flagged,
            "calibration_flagged_rate": flagged / len(held.errors),
            "calibration_error_median": float(np.median(held.errors)),
            "calibration_error_max": float(held.errors.max()),
            "training_error_median": learnt.median,
            "floor": None,
            "labelled": None,
        },
        "arrays": {"sha256": "0" * 64, "bytes": 1},  # write_bundle knows them
    }
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(key, first["input"], first["msg"]) from error
