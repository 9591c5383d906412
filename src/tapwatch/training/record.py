"""What a bundle says of its own making."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

import tapwatch
from tapwatch.config import Config
from tapwatch.detect.bundle import describe_schema
from tapwatch.detect.detector import Detector
from tapwatch.detect.export import settings_given
from tapwatch.detect.manifest import Manifest
from tapwatch.detect.preprocess import Preprocess
from tapwatch.detect.threshold import Threshold
from tapwatch.errors import ConfigError
from tapwatch.features.settings import settings_of
from tapwatch.training.calibrate import Held
from tapwatch.training.datasets import describe_input
from tapwatch.training.order import Order
from tapwatch.training.published import Published


@dataclass(frozen=True, slots=True)
class Figures:
    """How good a bundle is: figures by name, of a detector and of the floor, on the same rows."""

    labelled: dict[str, float]
    floor: dict[str, float]


@dataclass(frozen=True)
class Learnt:
    """A fitted model, and what the fit took."""

    preprocess: Preprocess
    constant: tuple[str, ...]
    detector: Detector
    rows: int
    validation_rows: int
    epochs: int
    median: float  # error of the rows learnt from
    errors: NDArray[np.float64]  # of all training rows, those of validation too, in their order


def make_manifest(
    order: Order,
    published: Published,
    learnt: Learnt,
    threshold: Threshold,
    held: Held,
    inputs: Sequence[Mapping[str, Any]],
    rows_seen: int,
    figures: Figures | None = None,
) -> Manifest:
    """Put on record what was trained, from what, and how good it is.

    Raises
    ------
    ConfigError
        Something does not fit into a manifest.
    """
    schema, preprocess = published.schema, learnt.preprocess
    flagged = int(np.count_nonzero(held.errors > threshold.value))
    document = {
        "format": 1,
        "name": order.bundle_name,
        "detector": {
            "name": learnt.detector.name,
            "parameters": learnt.detector.parameters.model_dump(mode="json"),
        },
        "feature_schema": describe_schema(schema).model_dump(),
        "rows": "wireshark_export" if published.is_export else "live",
        "configuration": _configuration(published, order.config),
        "preprocess": _describe_preprocess(preprocess, published, learnt),
        "threshold": {
            **asdict(threshold),
            "warnings": list(threshold.warnings),
            "calibration_rows": len(held.errors),
            "calibration_hours": held.hours,
        },
        "training": {
            "inputs": list(inputs),
            "benign": sorted(set(order.benign)),
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
            "floor": figures.floor if figures else None,
            "labelled": figures.labelled if figures else None,
        },
        "arrays": {"sha256": "0" * 64, "bytes": 1},  # write_bundle knows them
    }
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(key, first["input"], first["msg"]) from error


def _configuration(published: Published, config: Config) -> Mapping[str, object]:
    settings = settings_of(published.schema.view, config)
    return settings_given(settings) if published.is_export else settings


def describe(
    path: Path, used_for: Literal["training", "calibration"], published: Published
) -> dict[str, Any]:
    """One input; of a published table its kind, and how many rows were left out or mended, why.

    Raises
    ------
    CaptureError
        It cannot be read again.
    """
    described = describe_input(path, used_for)
    if path in published.tables:
        table = published.tables[path]
        described |= {"kind": table.kind, "left_out": {k: n for k, n in table.counts.items() if n}}
    return described


def _describe_preprocess(
    preprocess: Preprocess, published: Published, learnt: Learnt
) -> dict[str, Any]:
    """Which columns are used and how, and of each other one why not."""
    accounted = {*preprocess.columns, *learnt.constant, *published.withheld}
    return {
        "method": preprocess.method,
        "clip": preprocess.clip,
        "columns": list(preprocess.columns),
        "constant": list(learnt.constant),
        "dropped": [name for name in published.schema.names if name not in accounted],
        "withheld": dict(published.withheld),
        "classes": preprocess.words(published.schema),
        "class_height": preprocess.classes.height,
    }
