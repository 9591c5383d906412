"""Parquet files of the real schemas with made rows, for training without a capture."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tapwatch.features import SCHEMAS
from tapwatch.tables import Schema

SCHEMA = SCHEMAS["flow"]


def values(n_rows: int, seed: int = 0, schema: Schema = SCHEMA) -> np.ndarray:
    """Whole numbers with three causes behind them; the last two columns never vary."""
    n_columns = len(schema.columns)
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, n_columns))
    rows = np.rint(np.exp(random.normal(size=(n_rows, 3)) @ mixing + 2))
    rows[:, -2:] = 1
    return rows


def parquet(
    path: Path,
    n_rows: int = 400,
    *,
    seed: int = 0,
    schema: Schema = SCHEMA,
    digest: str | None = None,
    start_s: int = 0,
    change=lambda table: table,
) -> Path:
    """One row every 10 seconds, columns in another order than the schema's, others between."""
    rows = values(n_rows, seed, schema)
    table = {"src": ["10.0.0.1"] * n_rows}
    table["last_ts_ns"] = (start_s + 10 * np.arange(n_rows)) * 10**9
    for k in reversed(range(len(schema.columns))):
        table[schema.columns[k].name] = rows[:, k].astype(schema.columns[k].dtype)
    metadata = {"tapwatch.schema_digest": schema.digest if digest is None else digest}
    pq.write_table(change(pa.table(table).replace_schema_metadata(metadata)), path)
    return path
