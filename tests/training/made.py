"""Parquet files of the real schemas with made rows, for training without a capture."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tapwatch.config import Config
from tapwatch.features import SCHEMAS
from tapwatch.features.settings import settings_of
from tapwatch.tables import Schema

SCHEMA = SCHEMAS["flow"]


def values(n_rows: int, seed: int = 0, schema: Schema = SCHEMA) -> np.ndarray:
    """Whole numbers with three causes behind them; the last two columns never vary."""
    n_columns = len(schema.columns)
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, n_columns))
    rows = np.rint(np.exp(random.normal(size=(n_rows, 3)) @ mixing + 2))
    rows[:, -2:] = 1
    for k, column in enumerate(schema.columns):
        if column.categories:
            rows[:, k] %= min(3, len(column.categories))
    return rows


def in_words(column, numbers) -> pa.Array:
    """A class column as `tapwatch features` writes it."""
    indices = pa.array(numbers.astype(np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array(column.categories))


def parquet(
    path: Path,
    n_rows: int = 400,
    *,
    seed: int = 0,
    schema: Schema = SCHEMA,
    digest: str | None = None,
    start_s: int = 0,
    configuration: dict | None = None,
    change=lambda table: table,
) -> Path:
    """One row every 10 seconds, columns in another order than the schema's, others between."""
    rows = values(n_rows, seed, schema)
    table = {"src": ["10.0.0.1"] * n_rows}
    table["last_ts_ns"] = (start_s + 10 * np.arange(n_rows)) * 10**9
    for k in reversed(range(len(schema.columns))):
        column = schema.columns[k]
        numbers = rows[:, k].astype(column.dtype)
        table[column.name] = in_words(column, numbers) if column.categories else numbers
    settings = settings_of(schema.view, Config()) if configuration is None else configuration
    metadata = {
        "tapwatch.schema_digest": schema.digest if digest is None else digest,
        "tapwatch.configuration": json.dumps(settings),
    }
    pq.write_table(change(pa.table(table).replace_schema_metadata(metadata)), path)
    return path
