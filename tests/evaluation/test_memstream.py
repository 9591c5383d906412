"""The streams of MemStream's protocol: which rows warm up, and which are tested."""

import numpy as np

from tapwatch.evaluation.protocol import Labelled, Tables
from tapwatch.evaluation.protocols import memstream
from tests.evaluation import kdd_like

N_ROWS = memstream.WARM_UP_ROWS * 2


def tables() -> Tables:
    """Rows that hold their own number; every second one is an attack."""
    values = np.zeros((N_ROWS, len(kdd_like.SCHEMA.names)), np.float32)
    values[:] = np.arange(N_ROWS)[:, None]
    labels = np.array(["normal", "smurf"] * (N_ROWS // 2))
    return Tables(Labelled(values, labels, np.arange(N_ROWS), kdd_like.SCHEMA))


def test_by_time_the_first_rows_warm_up_and_are_not_tested():
    """Whatever they are; all others test, normal ones being normal."""
    split = memstream.BY_TIME.split(tables(), 0)
    warm_up = memstream.WARM_UP_ROWS

    assert split.train[:, 0].tolist() == list(range(warm_up))
    assert split.test[:, 0].tolist() == list(range(warm_up, N_ROWS))
    assert split.is_anomaly.tolist() == [False, True] * (warm_up // 2)
    assert split.facts["anomalies_in_the_warm_up"] == warm_up // 2


def test_as_published_the_first_attacks_warm_up_and_stay_in_the_stream():
    """Classes are turned round: an anomaly is a normal connection."""
    split = memstream.PUBLISHED.split(tables(), 0)

    assert split.train[:, 0].tolist() == list(range(1, N_ROWS, 2))[: memstream.WARM_UP_ROWS]
    assert split.test[:, 0].tolist() == list(range(N_ROWS))
    assert split.is_anomaly.tolist() == [True, False] * (N_ROWS // 2)
