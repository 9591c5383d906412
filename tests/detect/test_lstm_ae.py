"""The autoencoder of sequences: against a pencil, what is absent, and what order tells."""

import math

import numpy as np
import pytest
import torch

from tapwatch.detect.detectors.lstm_ae import LstmAe, LstmAeParameters
from tapwatch.detect.preprocess import fit_preprocess
from tapwatch.detect.sequences import inputs_of, newest, with_absent
from tapwatch.errors import ConfigError
from tests.detect import made
from tests.detect.kinds import shaped
from tests.detect.made import preprocessed

NAN = np.float32(np.nan)


def fitted(n=4, **settings):
    parameters = LstmAeParameters.model_validate(
        {"sequence_rows": n, "epochs": 1, "balance": 0} | settings
    )
    rows, held = preprocessed(300), preprocessed(50, seed=1)
    return LstmAe.fit(shaped(rows, parameters), shaped(held, parameters), parameters, seed=0)


def step(arrays, part, row, state, memory):
    """One step of a long short-term memory, a gate of a unit at a time."""
    into, own, bias = (arrays[f"{part}.{name}"].tolist() for name in ("input", "state", "bias"))
    units = len(state)
    gates = [
        math.fsum([b, *map(math.prod, zip(w, row, strict=True))])
        + math.fsum(map(math.prod, zip(r, state, strict=True)))
        for w, r, b in zip(into, own, bias, strict=True)
    ]
    take, keep, show = (
        [1 / (1 + math.exp(-g)) for g in gates[k * units : (k + 1) * units]] for k in range(3)
    )
    new = [math.tanh(g) for g in gates[3 * units :]]
    memory = [k * m + t * c for k, m, t, c in zip(keep, memory, take, new, strict=True)]
    return [s * math.tanh(m) for s, m in zip(show, memory, strict=True)], memory


def by_hand(arrays, block):
    """Code of a block, and its real rows, newest first, each with its reconstruction."""
    nothing = [0.0] * arrays["encoder.state"].shape[1]
    real = [row for row in block.tolist() if not all(map(math.isnan, row))]
    state, memory = nothing, nothing
    for row in real:
        state, memory = step(arrays, "encoder", row, state, memory)
    code, pairs = state, []
    state, memory = nothing, nothing
    for row in reversed(real):
        state, memory = step(arrays, "decoder", code, state, memory)
        pairs.append((row, arrays["output.weight"] @ np.array(state) + arrays["output.bias"]))
    return code, pairs


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("error", ["last", "mean"])
@pytest.mark.parametrize("units", [3, 20])
def test_scores_are_what_a_pencil_computes(n, error, units):
    """Code, expected row, error and shares of blocks with 1 to N real rows."""
    detector = fitted(n, error=error, units=units)
    blocks = shaped(preprocessed(20, seed=2), detector.parameters)
    codes, expected, errors, shares = [], [], [], []
    for block in blocks:
        code, pairs = by_hand(detector.arrays(), block)
        squared = [(made - np.array(row)) ** 2 for row, made in pairs]
        counted = squared if error == "mean" else squared[:1]
        codes.append(code)
        expected.append(pairs[0][1])
        errors.append(np.mean(counted))
        shares.append(np.sum(counted, axis=0) / np.sum(counted))

    np.testing.assert_allclose(detector.latent(blocks), codes, atol=1e-5)
    np.testing.assert_allclose(detector.expected(blocks), expected, atol=1e-5)
    np.testing.assert_allclose(detector.score(blocks), errors, rtol=1e-5)
    np.testing.assert_allclose(detector.contributions(blocks), shares, rtol=1e-3, atol=1e-6)


def test_the_loss_told_is_the_mean_error_of_all_rows():
    """Over rows and columns of each block, what is absent left out, whatever `error` is."""
    told = []
    parameters = LstmAeParameters(sequence_rows=3, epochs=1, moment=1.0, error="mean")
    rows, held = (shaped(preprocessed(k, seed=k), parameters) for k in (200, 40))
    detector = LstmAe.fit(rows, held, parameters, seed=0, progress=told.append)

    assert told[0].validation_loss == pytest.approx(detector.score(held).mean(), rel=1e-4)


def test_what_is_broken_is_not_absent():
    """A newest row of NaN alone, or a NaN in an older real row, leaves no score."""
    detector = fitted(3)
    blocks = shaped(preprocessed(40, seed=2), detector.parameters)[-4:].copy()
    blocks[0, -1] = NAN
    blocks[1, 1, 5] = NAN
    blocks[2, 1] = NAN  # between real rows: no row of an entity is missing there
    error = detector.score(blocks)

    assert np.isfinite(error).tolist() == [False, False, False, True]


def test_blocks_are_left_as_they_are():
    """Also where they lie step by step in memory, as torch would have its own arrays."""
    detector = fitted()
    blocks = torch.zeros(4, 64, 13).numpy().transpose(1, 0, 2)
    blocks[:] = shaped(preprocessed(64), detector.parameters)
    before = blocks.copy()
    first = detector.score(blocks)

    assert np.isnan(before).any()
    np.testing.assert_array_equal(blocks, before)
    assert detector.score(before).tobytes() == first.tobytes()


def test_order_tells():
    """Rows that are ordinary one by one stand out where they come out of turn."""
    random = np.random.default_rng(0)
    two = np.array([[3, -3, 1, 0], [-3, 3, 0, 1]], np.float32)
    turn = two[np.arange(600) % 2] + random.normal(scale=0.1, size=(600, 4)).astype(np.float32)
    settings = {"units": 3, "epochs": 3, "batch_rows": 64, "learning_rate": 2e-2}
    parameters = LstmAeParameters(sequence_rows=4, error="mean", **settings)
    blocks = np.stack([turn[k : k + 597] for k in range(4)], axis=1)
    detector = LstmAe.fit(blocks, blocks[:100], parameters, seed=0)
    odd = blocks[:50].copy()
    odd[:, 2] = odd[:, 3]

    assert detector.score(odd).min() > 3 * detector.score(blocks).max()


def test_single_rows_are_refused():
    """And blocks of another length: nobody knows whose rows they are."""
    parameters = LstmAeParameters(sequence_rows=3)
    for rows in (preprocessed(20), preprocessed(20).reshape(10, 2, -1)):
        with pytest.raises(ConfigError, match="want blocks of 3 rows of one entity for lstm_ae"):
            LstmAe.fit(rows, rows, parameters, seed=0)


def test_lengths_become_nan_in_front():
    """The zeros of rows that are not there turn to NaN; nothing is written to."""
    values = np.arange(1, 25, dtype=np.float32).reshape(2, 3, 4)
    before = values.tobytes()
    made = with_absent(values, np.array([3, 1], np.int32))

    assert np.isnan(made).any(axis=2).tolist() == [[False] * 3, [True, True, False]]
    assert np.array_equal(made[0], values[0])
    assert np.array_equal(newest(made), values[:, -1])
    assert values.tobytes() == before
    assert with_absent(values[0], None) is not None


def test_a_block_is_preprocessed_row_by_row():
    """As each of its rows alone, classes too; what is absent stays so."""
    schema = made.schema(6, c02={"categories": ("tcp", "udp", "icmp")})
    rows = made.with_classes(made.benign(40, 6), schema)
    preprocess, _ = fit_preprocess(rows, schema, schema.names)
    blocks = np.stack([rows[:38], rows[1:39], rows[2:]], axis=1)
    blocks[:5, :2] = NAN
    inputs = inputs_of(preprocess, blocks)

    assert inputs.shape == (38, 3, preprocess.n_inputs)
    assert np.isnan(inputs).all(axis=2).sum() == np.isnan(inputs).any(axis=2).sum() == 10
    for k in range(3):
        real = slice(5 if k < 2 else 0, None)
        assert np.array_equal(inputs[real, k], preprocess.apply(rows[k : k + 38])[real])
