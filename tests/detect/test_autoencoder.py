"""Autoencoders: against a pencil, and what their fit makes small, draws and keeps."""

import numpy as np
import pytest

from tapwatch.detect.detector import CHUNK_ROWS, Epoch
from tapwatch.detect.detectors.autoencoder import (
    AutoencoderParameters,
    _chances,
    _epoch,
    _power_mean,
    _validation_loss,
)
from tapwatch.detect.registry import DETECTORS
from tests.detect import naive
from tests.detect.made import N_PREPROCESSED as N_COLUMNS
from tests.detect.made import preprocessed as rows_of


@pytest.mark.parametrize("name", ["ae", "deep_ae"])
def test_an_autoencoder_is_what_a_pencil_computes(name):
    """Scores agree with multiplication by hand in double precision."""
    kind = DETECTORS[name]
    detector = kind.fit(rows_of(500), rows_of(100, seed=1), kind.parameters_type(epochs=2), seed=0)
    arrays = detector.arrays()
    layers = [
        (arrays[f"layer{k}.weight"].tolist(), arrays[f"layer{k}.bias"].tolist())
        for k in range(len(arrays) // 2)
    ]
    rows = rows_of(20)
    by_hand = [naive.error(row, layers) for row in rows.tolist()]

    np.testing.assert_allclose(detector.score(rows), by_hand, rtol=1e-5)
    np.testing.assert_allclose(
        detector.expected(rows), [naive.forward(row, layers) for row in rows.tolist()], atol=1e-5
    )


def test_hidden_widths_follow_the_input_unless_they_are_set():
    """A quarter for ae; a half, a quarter and a half for deep_ae; never 0."""
    ae, deep = DETECTORS["ae"], DETECTORS["deep_ae"]

    assert ae.widths(ae.parameters_type(), 76) == [76, 19, 76]
    assert deep.widths(deep.parameters_type(), 76) == [76, 38, 19, 38, 76]
    assert deep.widths(deep.parameters_type(), 1) == [1, 1, 1, 1, 1]
    assert ae.widths(ae.parameters_type(hidden=[8, 3]), 76) == [76, 8, 3, 76]


def test_the_best_epoch_is_kept_and_patience_ends_the_fit():
    """The weights are those of the lowest validation loss; the fit ends when it stands still.

    The loss is the power mean of the errors that the detector gives to the validation rows.
    """
    kind = DETECTORS["ae"]
    told: list[Epoch] = []
    rows, validation = rows_of(300), rows_of(100, seed=1)
    detector = kind.fit(
        rows,
        validation,
        kind.parameters_type(epochs=500, learning_rate=0.1, patience=4),
        seed=0,
        progress=told.append,
    )
    best = [epoch for epoch in told if epoch.is_best][-1]

    assert told[-1].number == len(told) < 500
    assert len(told) - best.number == 4
    errors = detector.score(validation).tolist()
    assert best.validation_loss == min(epoch.validation_loss for epoch in told)
    assert naive.power_mean(errors, 2.0) == pytest.approx(best.validation_loss, rel=1e-5)


def rows_with_a_rare_kind(n_rows):
    """Eight kinds of rows, and a ninth that is 1 of 2000; True where it is."""
    random = np.random.default_rng(0)
    kinds = np.random.default_rng(7).integers(-2, 3, (9, 8))
    kind = random.integers(0, 8, n_rows)
    kind[999::2000] = 8
    rows = kinds[kind] + random.normal(scale=0.05, size=(n_rows, 8))
    return rows.astype(np.float32), kind == 8


def test_balance_and_moment_fit_a_rare_kind_of_row():
    """After as many steps its error is less than half, and that of the others is much the same."""
    kind, (rows, is_rare) = DETECTORS["ae"], rows_with_a_rare_kind(4000)

    def errors(balance, moment, seed):
        parameters = kind.parameters_type(hidden=[4], epochs=2, balance=balance, moment=moment)
        told: list[Epoch] = []
        error = kind.fit(rows, rows, parameters, seed=seed, progress=told.append).score(rows)
        assert len(told) == 2
        return error[is_rare].mean(), error[~is_rare].mean()

    for seed in (0, 2, 3):
        (plain_rare, plain), (rare, common) = errors(0, 1, seed), errors(0.75, 2, seed)
        assert rare < 0.5 * plain_rare
        assert common < 1.25 * plain


@pytest.mark.parametrize("balance", [0.0, 0.5, 0.75, 1.0])
def test_chances_are_what_counting_kinds_gives(balance):
    """Rows of one kind agree after rounding; at 1 each kind is as likely, at 0 each row."""
    import torch

    random = np.random.default_rng(3)
    rows = random.choice([-200.0, -1.4, -0.5, 0.3, 0.5, 1.5, 130.0, 900.0], (300, 2))
    rows = rows.astype(np.float32)
    running = _chances(torch.from_numpy(rows), balance).numpy()

    assert running.dtype == np.float64
    np.testing.assert_allclose(running, naive.chances(rows.tolist(), balance), rtol=1e-12)
    if balance == 0:
        assert running.tolist() == list(range(1, 301))
    if balance == 1:
        assert running[-1] == pytest.approx(25)  # -127, -1, 0, 2 and 127 in each of two columns


def test_chances_do_not_depend_on_how_many_rows_are_looked_at_once():
    """Kinds are counted over all rows, past the border of a chunk too."""
    import torch

    rows = np.zeros((CHUNK_ROWS + 3, 1), np.float32)
    rows[-1] = 4.0
    weights = np.diff(_chances(torch.from_numpy(rows), 1.0).numpy(), prepend=0)

    np.testing.assert_allclose(weights[:-1], 1 / (CHUNK_ROWS + 2), rtol=1e-9)
    assert weights[-1] == pytest.approx(1)


def test_rows_are_drawn_as_often_as_their_chances_say():
    """All steps of an epoch together, against a share of 1 in 9 for the rare kind at balance 1."""
    import torch

    rows, is_rare = rows_with_a_rare_kind(4000)
    marked = torch.from_numpy(rows)
    drawn = []

    class Marked:
        """Rows that note which of them were asked for."""

        def __len__(self):
            return len(marked)

        def __getitem__(self, index):
            drawn.append(index.numpy())
            return marked[index]

    parameters = AutoencoderParameters(balance=1.0, batch_rows=50)
    weights = [torch.zeros(8, 8).requires_grad_(), torch.zeros(8).requires_grad_()]
    _epoch(
        weights,
        Marked(),
        _chances(marked, 1.0),
        parameters,
        torch.optim.SGD(weights, lr=0.0),
        torch.Generator().manual_seed(0),
    )
    index = np.concatenate(drawn)

    assert len(drawn) == 200  # of 80 that one pass would take
    assert is_rare[index].mean() == pytest.approx(1 / 9, abs=0.01)
    assert len(set(index.tolist())) > 3000


@pytest.mark.parametrize("moment", [1.0, 1.5, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("size", [1e-7, 1e-3, 1.0, 1e3, 1e10])
def test_the_loss_is_the_power_mean_of_a_pencil(moment, size):
    """In value and in slope, also where the powers alone would leave float32's range."""
    import torch

    errors = (np.random.default_rng(4).exponential(size, 64)).astype(np.float32)
    tensor = torch.from_numpy(errors).requires_grad_()
    loss = _power_mean(tensor, moment)
    loss.backward()
    mean = naive.power_mean(errors.tolist(), moment)
    # d mean / d e = (e / mean) ** (moment - 1) / n
    slope = [(e / mean) ** (moment - 1) / 64 for e in errors.tolist()]

    assert loss.item() == pytest.approx(mean, rel=1e-4)
    np.testing.assert_allclose(tensor.grad, slope, rtol=1e-3, atol=1e-6)


def test_errors_of_nothing_have_a_finite_slope():
    """A batch that is reproduced exactly does not turn the weights into NaN."""
    import torch

    for moment in (1.0, 2.0, 8.0):
        errors = torch.zeros(16, requires_grad=True)
        _power_mean(errors, moment).backward()
        assert torch.isfinite(errors.grad).all()


def test_the_validation_loss_is_the_power_mean_over_all_chunks():
    """Weights of 0 reconstruct nothing: the errors are the mean squares of the rows."""
    import torch

    rows = rows_of(CHUNK_ROWS + 5)
    weights = [torch.zeros(N_COLUMNS, N_COLUMNS), torch.zeros(N_COLUMNS)]
    errors = (rows.astype(np.float64) ** 2).mean(axis=1).tolist()

    for moment in (1.0, 2.0, 8.0):
        loss = _validation_loss(weights, torch.from_numpy(rows), moment)
        assert loss == pytest.approx(naive.power_mean(errors, moment), rel=1e-5)
