"""Schemas, rows and bundles made for the tests."""

import hashlib
from pathlib import Path

import numpy as np

from tapwatch.detect.bundle import describe_schema, write_bundle
from tapwatch.detect.manifest import Manifest
from tapwatch.detect.preprocess import fit_preprocess
from tapwatch.detect.registry import DETECTORS
from tapwatch.detect.threshold import calibrate, summarise
from tapwatch.tables import ROW, Column, FeatureBatch, Schema
from tests.detect.kinds import quick, shaped

N_PREPROCESSED = 13


def schema(n_columns: int = 12, version: int = 1, view: str = "flow", **changes) -> Schema:
    """A schema of made columns; `changes` replaces fields of a column: c03={"unit": "B"}."""
    columns = []
    for k in range(n_columns):
        fields = {"name": f"c{k:02}", "unit": "1", "dtype": "float64", "formula": f"f{k}"}
        fields |= changes.get(f"c{k:02}", {})
        columns.append(Column(**fields, source="made", meaning="made"))
    bound = repr([view, version, [(c.name, c.unit, c.dtype, c.formula) for c in columns]])
    bound += repr([c.categories for c in columns if c.categories])
    return Schema(view, version, tuple(columns), hashlib.sha256(bound.encode()).hexdigest())


def benign(n_rows: int, n_columns: int = 12, seed: int = 0) -> np.ndarray:
    """Rows of three hidden causes and some noise, heavy-tailed; column 5 is constant."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, n_columns))
    values = np.sinh(random.normal(size=(n_rows, 3)) @ mixing)
    values += random.normal(scale=0.1, size=values.shape)
    values[:, min(5, n_columns - 1)] = 7.0
    return values.astype(np.float32)


def with_classes(values: np.ndarray, of: Schema, seed: int = 0) -> np.ndarray:
    """Rows whose class columns hold words: each half as often as the one before, the last never."""
    random = np.random.default_rng(seed)
    for k, column in enumerate(of.columns):
        if column.categories:
            n_words = len(column.categories) - 1
            shares = 0.5 ** np.arange(n_words)
            values[:, k] = random.choice(n_words, len(values), p=shares / shares.sum())
    return values


def preprocessed(n_rows: int, seed: int = 0, n_columns: int = N_PREPROCESSED) -> np.ndarray:
    """Preprocessed rows with three causes behind them."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, n_columns))
    rows = random.normal(size=(n_rows, 3)) @ mixing + random.normal(
        scale=0.1, size=(n_rows, n_columns)
    )
    return np.clip(rows, -5, 5).astype(np.float32)


def batch(values: np.ndarray, of: Schema) -> FeatureBatch:
    rows = np.zeros(len(values), ROW)
    rows["last_ts_ns"] = rows["order_ns"] = np.arange(len(values)) * 10**9
    return FeatureBatch(of, values, rows)


def train(
    path: Path,
    of: Schema,
    *,
    detector: str = "ae",
    n_rows: int = 600,
    epochs: int | None = None,
    seed: int = 0,
    watch_constants: bool = False,
    configuration: dict | None = None,
    rows: str = "live",
    **threshold,
) -> Manifest:
    """Write a small bundle; rows come one a second."""
    values = with_classes(benign(n_rows, len(of.columns)), of)
    held = with_classes(benign(400, len(of.columns), seed=1), of, seed=1)
    preprocess, constant = fit_preprocess(values, of, of.names, watch_constants=watch_constants)
    parameters = quick(detector, **({"epochs": epochs} if epochs else {}))
    learnt, judged = (shaped(preprocess.apply(part), parameters) for part in (values, held))
    model = DETECTORS[detector].fit(learnt, judged, parameters, seed=seed)
    errors = model.score(judged)
    line = calibrate(errors, 3600.0, threshold.pop("budget", 36.0), **threshold)
    fields = {name: getattr(line, name) for name in line.__dataclass_fields__}
    manifest = Manifest.model_validate(
        {
            "format": 1,
            "name": path.name,
            "detector": {
                "name": detector,
                "parameters": model.parameters.model_dump(mode="json"),
            },
            "feature_schema": describe_schema(of).model_dump(),
            "configuration": configuration or {},
            "rows": rows,
            "preprocess": {
                "method": preprocess.method,
                "clip": preprocess.clip,
                "columns": list(preprocess.columns),
                "constant": list(constant),
                "dropped": [],
                "classes": preprocess.words(of),
            },
            "threshold": fields
            | {
                "warnings": list(line.warnings),
                "calibration_rows": len(held),
                "calibration_hours": len(held) / 3600,
            },
            "training": {
                "inputs": [],
                "rows_seen": n_rows,
                "rows": n_rows,
                "validation_rows": len(held),
                "epochs": epochs or 2,
                "seed": seed,
                "time": "2024-01-02T03:04:05Z",
                "versions": {},
            },
            "quality": {
                "calibration_flagged_rows": 0,
                "calibration_flagged_rate": 0.0,
                "calibration_error_median": 0.0,
                "calibration_error_max": 0.0,
                "training_error_median": 0.0,
                "floor": None,
                "labelled": None,
            },
            "arrays": {"sha256": "0" * 64, "bytes": 1},
        }
    )
    return write_bundle(path, manifest, preprocess, model, summarise(errors))
