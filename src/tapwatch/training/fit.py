"""From benign inputs to a bundle on disk."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tapwatch.detect.bundle import check_target, write_bundle
from tapwatch.detect.detector import Epoch, Parameters, silent
from tapwatch.detect.manifest import Manifest, check_name
from tapwatch.detect.preprocess import fit_preprocess
from tapwatch.detect.registry import DETECTORS
from tapwatch.detect.sequences import inputs_of, newest
from tapwatch.detect.threshold import Threshold, calibrate, summarise
from tapwatch.errors import ConfigError
from tapwatch.features import schema_of
from tapwatch.tables import Schema
from tapwatch.training.calibrate import Held, measure, measure_tail, score_rows
from tapwatch.training.datasets import (
    Part,
    check_filter,
    expand,
    read_rows,
)
from tapwatch.training.order import Listener, Order, TrainSettings
from tapwatch.training.published import Published, open_published, tell_withheld
from tapwatch.training.quality import measure_quality
from tapwatch.training.record import Learnt, describe, make_manifest
from tapwatch.training.reservoir import Reservoir


def train(order: Order, listener: Listener | None = None) -> Manifest:
    """Train a detector on benign inputs, calibrate its threshold, write the bundle.

    Returns
    -------
    manifest : Manifest
        As written to `order.output`.

    Raises
    ------
    ConfigError
        The view, the detector, a column, a setting or the output cannot be; inputs are not of one
        kind; or no rows come.
    CaptureError
        An input cannot be read.
    ArtifactError
        A Parquet input is of another schema or configuration.
    """
    listener = listener or Listener()
    settings, parameters = split_settings(order.detector, order.settings)
    view = schema_of(order.view)
    check_name(order.bundle_name)
    check_device(order.device)
    check_target(order.output)
    training_files = expand(order.inputs)
    calibration_files = expand(order.calibration_inputs)
    files = [*training_files, *calibration_files]
    published = open_published(
        files, view, keep_defective=order.keep_defective, benign=order.benign
    )
    check_filter(order.filter, files, published.tables)
    columns = choose_columns(published.schema, order.columns, order.drop, published.withheld)
    tell_withheld(published.withheld, listener.note)

    n = getattr(parameters, "sequence_rows", 0)
    sample = _sample(training_files, published, order, settings.max_rows, listener, n)
    values, time_ns = sample.take()
    rows_seen = sample.seen
    del sample  # as large as what was taken

    # Time order, so that what calibrates comes after what was learnt, as it will in use.
    held_out = 0 if calibration_files else max(1, int(len(values) * settings.holdout))
    cut = len(values) - held_out
    if not cut:
        want = f"at least 2 rows of view {order.view}: one to learn from, one to calibrate with"
        raise ConfigError("training rows", 1, want)
    learnt = fit_rows(
        values[:cut],
        published.schema,
        columns,
        order.detector,
        settings,
        parameters,
        seed=order.seed,
        device=order.device,
        epoch=listener.epoch,
    )
    if calibration_files:
        rows = _rows_of(calibration_files, published, order, listener, n)
        held = measure(rows, learnt.preprocess, learnt.detector)
    else:
        share_kept = len(values) / rows_seen
        held = measure_tail(
            values[cut:], time_ns[cut:], share_kept, learnt.preprocess, learnt.detector
        )
    threshold = _threshold(held, order, settings, learnt.detector.most_error)
    inputs = [describe(path, "training", published) for path in training_files]
    inputs += [describe(path, "calibration", published) for path in calibration_files]
    figures = None
    if not n:
        # Read once more, only where labels are.
        again = _values_of(calibration_files, published, order, listener)
        held_rows = again if calibration_files else [values[cut:]]
        figures = measure_quality(values[:cut], held_rows, published, order, learnt)
    manifest = make_manifest(order, published, learnt, threshold, held, inputs, rows_seen, figures)
    return write_bundle(
        order.output, manifest, learnt.preprocess, learnt.detector, summarise(held.errors)
    )


def _threshold(held: Held, order: Order, settings: TrainSettings, most_error: float) -> Threshold:
    return calibrate(
        held.errors,
        held.rows_per_hour,
        order.budget_per_hour,
        method=settings.threshold,
        factor=settings.factor,
        beyond=settings.beyond,
        risk=settings.risk,
        most_error=most_error,
    )


def _values_of(
    files: Sequence[Path], published: Published, order: Order, listener: Listener
) -> Iterator[NDArray[np.float32]]:
    quiet = replace(listener, note=lambda _: None)
    for parts in _rows_of(files, published, order, quiet, 0):
        for part in parts:
            yield part.values


def _rows_of(
    files: Sequence[Path],
    published: Published,
    order: Order,
    listener: Listener,
    sequence_rows: int,
) -> Iterable[Iterable[Part]]:
    return read_rows(
        files,
        published.schema,
        order.config,
        published=published,
        benign=order.benign,
        workers=order.workers,
        filter=order.filter,
        sequence_rows=sequence_rows,
        warn=listener.warning,
        note=listener.note,
        progress=listener.reading,
    )


def _sample(
    files: Sequence[Path],
    published: Published,
    order: Order,
    max_rows: int,
    listener: Listener,
    sequence_rows: int,
) -> Reservoir:
    """Read all training rows, and keep as many as are learnt from.

    A block counts as its rows, so that blocks take no more memory than rows do.
    """
    n_columns = len(published.schema.names)
    shape = (sequence_rows, n_columns) if sequence_rows else (n_columns,)
    reservoir = Reservoir(max(1, max_rows // max(1, sequence_rows)), shape, order.seed)
    for parts in _rows_of(files, published, order, listener, sequence_rows):
        for part in parts:
            reservoir.add(part.values, part.time_ns)
    if not reservoir.seen:
        is_left_out = any(table.others for table in published.tables.values())
        labels = ", of those that may be learnt from (--benign)" if is_left_out else ""
        want = f"at least 1 row of view {order.view}{labels}"
        raise ConfigError("training rows", 0, want)
    return reservoir


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


def choose_columns(
    schema: Schema,
    only: Sequence[str],
    drop: Sequence[str],
    withheld: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Columns to learn from, in the schema's order; those withheld by an input are not.

    Raises
    ------
    ConfigError
        A name is not a column of the view, or is withheld, or none is left.
    """
    withheld = withheld or {}
    for name in only:
        if name in withheld:
            raise ConfigError("--columns", name, "columns that every input gives", withheld[name])
    for key, names in (("--columns", only), ("--drop", drop)):
        for name in names:
            if name not in schema.names:
                near = get_close_matches(name, schema.names, n=3)
                hint = f"near it: {', '.join(near)}" if near else ""
                raise ConfigError(key, name, f"columns of view {schema.view}", hint)
    chosen = [
        name
        for name in schema.names
        if (not only or name in only) and name not in drop and name not in withheld
    ]
    if not chosen:
        raise ConfigError("--drop", ",".join(drop), "at least one column left to learn from")
    return tuple(chosen)


def check_device(device: str) -> None:
    """Raise ConfigError where the device is absent."""
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        raise ConfigError("--device", device, "cpu", "torch finds no CUDA device here")


def fit_rows(
    values: NDArray[np.float32],
    schema: Schema,
    columns: tuple[str, ...],
    detector: str,
    settings: TrainSettings,
    parameters: Parameters,
    *,
    seed: int,
    device: str = "cpu",
    epoch: Callable[[Epoch], None] = silent,
) -> Learnt:
    """Fit preprocessing and a detector on benign rows, or on blocks of them.

    Parameters
    ----------
    values : float32 (n_rows, n_schema_columns)
        At least 1 row. Of blocks (n_rows, N, n_schema_columns) with NaN for rows that are not
        there; preprocessing is fitted on the newest row of each.
    schema : Schema
    columns : tuple of str
        To learn from.
    detector : str
        As registered.
    settings, parameters
        As `split_settings` gives them.
    seed : int
    device : str
    epoch : callable
        Told after every epoch.
    """
    preprocess, constant = fit_preprocess(
        newest(values),
        schema,
        columns,
        method=settings.scaling,
        clip=settings.clip,
        watch_constants=settings.constants == "watch",
        class_height=settings.class_height,
    )
    # One row may be all there is: then it has to be its own validation.
    n_validation = min(int(len(values) * settings.validation), len(values) - 1)
    shuffled = np.random.default_rng(seed).permutation(len(values))
    is_validation = np.zeros(len(values), np.bool_)
    is_validation[shuffled[:n_validation]] = True
    n_epochs = 0

    def count(told: Epoch) -> None:
        nonlocal n_epochs
        n_epochs = told.number
        epoch(told)

    fitted = DETECTORS[detector].fit(
        inputs_of(preprocess, values[~is_validation]),
        inputs_of(preprocess, values[is_validation]),
        parameters,
        seed=seed,
        device=device,
        progress=count,
    )
    errors = score_rows(values, preprocess, fitted)
    median = float(np.median(errors[~is_validation]))
    n_rows = len(values) - n_validation
    return Learnt(preprocess, constant, fitted, n_rows, n_validation, n_epochs, median, errors)
