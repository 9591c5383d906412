"""The streams of MemStream's protocol: which rows warm up, and which are tested."""

from dataclasses import replace

import numpy as np
import pytest

from tapwatch.evaluation.protocol import Labelled, Tables
from tapwatch.evaluation.protocols import memstream
from tapwatch.evaluation.run import contend
from tapwatch.features import schema_of
from tests.evaluation import kdd_like

N_ROWS = memstream.LONG_WARM_UP_ROWS * 2


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
    assert split.is_anomaly.tolist() == [False, True] * ((N_ROWS - warm_up) // 2)
    assert split.facts["anomalies_in_the_warm_up"] == warm_up // 2


def test_as_published_the_first_attacks_warm_up_and_stay_in_the_stream():
    """Classes are turned round: an anomaly is a normal connection."""
    split = memstream.PUBLISHED.split(tables(), 0)

    assert split.train[:, 0].tolist() == list(range(1, N_ROWS, 2))[: memstream.WARM_UP_ROWS]
    assert split.test[:, 0].tolist() == list(range(N_ROWS))
    assert split.is_anomaly.tolist() == [True, False] * (N_ROWS // 2)


def test_adapting_the_first_rows_warm_up_in_two_halves_and_are_not_tested():
    """One for the memory, one for beta; labels are asked for neither."""
    split = memstream.ADAPTS.split(tables(), 0)
    half = memstream.LONG_WARM_UP_ROWS // 2

    assert split.train[:, 0].tolist() == list(range(half))
    assert split.calibration[:, 0].tolist() == list(range(half, 2 * half))
    assert split.test[:, 0].tolist() == list(range(2 * half, N_ROWS))
    assert split.facts["anomalies_in_the_warm_up"] == half


def test_updates_are_the_rows_that_the_memory_takes_in(monkeypatch):
    """Held against the memory's own count; without a beta there are none."""
    monkeypatch.setitem(memstream._FIT_SETTINGS, "adapting", memstream.ADAPTING | {"epochs": 2})
    random = np.random.default_rng(0)
    made = tables()
    rows = random.lognormal(size=made.train.values.shape).astype(np.float32)
    for k, column in enumerate(made.train.schema.columns):
        if column.categories:
            rows[:, k] = random.integers(len(column.categories), size=len(rows))
    split = memstream.ADAPTS.split(Tables(replace(made.train, values=rows)), 0)
    found = {}
    for contender in memstream.ADAPTS.contenders:
        told = contend(contender, memstream.ADAPTS, split, 0)
        found[contender.name] = memstream.updates(split, told)
        stream, _ = memstream._stream(split, 0, contender.settings)
        _, n_remembered = stream.detector.copy().stream(stream.inputs(split.test))
        assert found[contender.name]["updates"] == n_remembered

    assert found["memory_ae, adapting"]["updates"] > 50
    assert found["memory_ae, the same frozen"]["updates"] == 0
    least = [found[c.name]["updates"] for c in memstream.ADAPTS.contenders[:2]]
    assert least == sorted(least)
    held = memstream._stream(split, 0, memstream.ADAPTING)[0]
    errors = held.detector.score(held.inputs(split.calibration))
    assert found["memory_ae, adapting"]["beta"] == pytest.approx(np.quantile(errors, 0.9))


def test_a_scale_takes_logarithms_of_its_units_with_the_sign_and_leaves_others():
    """A warm-up of two rows; a deviation below 1, and that of a constant, count as 1."""
    schema = schema_of("packet")
    signed, constant, plain = (
        schema.names.index(name) for name in ("tcp_seq_advance", "frame_len", "ip_ttl")
    )
    assert [schema.columns[k].unit for k in (signed, constant)] == ["B", "B"]
    assert schema.columns[plain].unit not in ("B", "s")
    rows = np.zeros((3, len(schema.names)), np.float32)
    rows[:, signed] = -(np.e**4 - 1), np.e**2 - 1, -(np.e**7 - 1)
    rows[:, constant] = np.e**3 - 1, np.e**3 - 1, np.e**5 - 1
    rows[:, plain] = 10, 30, 50
    scale = memstream.Scale.of(rows[:2], schema, frozenset({"B", "s"}))

    scaled = scale.inputs(rows)

    at = [place_of(schema, k) for k in (signed, constant, plain)]
    # -4 and 2: mean -1, deviation 3; 3 and 3: deviation 0, so 1; 10 and 30: 20 and 10.
    np.testing.assert_allclose(scaled[:, at[0]], [-1, 1, -2], atol=1e-5)
    np.testing.assert_allclose(scaled[:, at[1]], [0, 0, 2], atol=1e-5)
    np.testing.assert_allclose(scaled[:, at[2]], [-1, 1, 3], atol=1e-5)
    np.testing.assert_array_equal(scale.inputs(rows[2:]), scaled[2:])


def place_of(schema, k):
    """Of a plain column among inputs: each word of the columns before it has one."""
    return sum(len(column.categories) or 1 for column in schema.columns[:k])
