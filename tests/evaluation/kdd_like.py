"""Files in the shape of KDD'99's and NSL-KDD's: 41 columns, a label, as many rows as asked for."""

import gzip

import numpy as np

from tapwatch.features.kdd.columns import KDD_COLUMNS, KDD_SCHEMA
from tapwatch.training.kdd_csv import open_table

#: Label -> what its rows have more of, and which service they use.
_KINDS = {
    "normal": ("src_bytes", "http"),
    "neptune": ("count", "private"),
    "satan": ("diff_srv_rate", "other"),
    "guess_passwd": ("num_failed_logins", "telnet"),
    "mscan": ("dst_host_count", "ftp"),
}


def line(label, random, dot=""):
    """One row; random is a numpy Generator."""
    more, service = _KINDS.get(label, ("hot", "http"))
    words = {
        "protocol_type": "tcp",
        "service": service,
        "flag": "SF" if label == "normal" else "S0",
    }
    cells = []
    for column in KDD_COLUMNS:
        if column.categories:
            cells.append(words[column.name])
        elif column.dtype == "float64":
            value = random.integers(60, 101) if column.name == more else random.integers(0, 30)
            cells.append(f"{value / 100:.2f}")
        else:
            cells.append(
                str(random.integers(80, 120) if column.name == more else random.integers(9))
            )
    return ",".join([*cells, label + dot])


def write(path, counts, seed=0, *, dot="", mixed=True):
    """Write as many rows of each label as `counts` says, mixed or in its order; path ends in .gz or
    not.
    """
    random = np.random.default_rng(seed)
    lines = [line(label, random, dot) for label, n in counts.items() for _ in range(n)]
    order = random.permutation(len(lines)) if mixed else range(len(lines))
    text = "".join(lines[k] + "\n" for k in order).encode()
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    return path


def rows(path):
    """Values and labels of such a file, as the loader reads them."""
    parts = list(open_table(path).parts())
    values = np.concatenate([part.values for part in parts])
    return values, np.array([label for part in parts for label in part.labels])


SCHEMA = KDD_SCHEMA
