"""Autoencoders: against a pencil, and what their fit makes small, draws and keeps."""

from itertools import chain

import numpy as np
import pytest

from tapwatch.detect.detector import CHUNK_ROWS, Epoch
from tapwatch.detect.detectors.autoencoder import AutoencoderParameters
from tapwatch.detect.detectors.descent import (
    descend,
    power_mean,
    run_epoch,
    running_chances,
    validation_loss,
)
from tapwatch.detect.detectors.layers import activate, forward, paired
from tapwatch.detect.registry import DETECTORS
from tapwatch.errors import ConfigError
from tests.detect import naive
from tests.detect.kinds import shaped
from tests.detect.made import N_PREPROCESSED as N_COLUMNS
from tests.detect.made import preprocessed as rows_of

CURVES = [("relu", "linear"), ("relu", "sigmoid"), ("tanh", "linear"), ("tanh", "sigmoid")]


@pytest.mark.parametrize(("activation", "output"), CURVES)
@pytest.mark.parametrize("name", ["ae", "deep_ae"])
def test_an_autoencoder_is_what_a_pencil_computes(name, activation, output):
    """Scores, expectations and codes agree with multiplication by hand in double precision."""
    kind = DETECTORS[name]
    parameters = kind.parameters_type(epochs=2, activation=activation, output=output)
    detector = kind.fit(rows_of(500), rows_of(100, seed=1), parameters, seed=0)
    arrays = detector.arrays()
    layers = [
        (arrays[f"layer{k}.weight"].tolist(), arrays[f"layer{k}.bias"].tolist())
        for k in range(len(arrays) // 2)
    ]
    rows = rows_of(20)
    by_hand = [naive.forward(row, layers, activation, output) for row in rows.tolist()]
    encoder = layers[: (len(layers) + 1) // 2]
    codes = [naive.forward(row, encoder, activation, activation) for row in rows.tolist()]

    np.testing.assert_allclose(detector.expected(rows), by_hand, atol=1e-5)
    np.testing.assert_allclose(
        detector.score(rows), ((np.array(by_hand) - rows) ** 2).mean(axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(detector.latent(rows), codes, atol=1e-5)


@pytest.mark.parametrize(("activation", "output"), CURVES[1:])
@pytest.mark.parametrize("n_columns", [5, 29])
def test_curves_do_not_depend_on_the_batch(activation, output, n_columns):
    """Exponentials are vectorised too: not one bit differs with the number of rows."""
    kind = DETECTORS["deep_ae"]
    parameters = kind.parameters_type(epochs=1, balance=0, activation=activation, output=output)
    rows = rows_of(CHUNK_ROWS + 301, n_columns=n_columns)
    detector = kind.fit(rows[:300], rows[300:400], parameters, seed=0)
    looks = (detector.score, detector.expected, detector.latent)
    whole = [look(rows) for look in looks]

    for size in [*range(1, 70), 127, 255, 257, 777, 1025, 4097]:
        start = (size * 7) % 300
        for look, all_rows in zip(looks, whole, strict=True):
            part = look(rows[start : start + size])
            assert part.tobytes() == all_rows[start : start + size].tobytes(), size


def test_a_sigmoid_is_one_over_one_plus_the_exponential():
    """Down to float32's last digits, and without an overflow far out."""
    import torch

    x = np.linspace(-30, 30, 4001).astype(np.float32)
    made = activate(torch.from_numpy(x.copy()), "sigmoid").numpy()

    np.testing.assert_allclose(made, 1 / (1 + np.exp(-x.astype(np.float64))), atol=1.2e-7)
    assert activate(torch.tensor([-1e30, 1e30]), "sigmoid").tolist() == [0.0, 1.0]


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


def reproduce(weights):
    """Loss of each row of an autoencoder with these weights, as its fit has it."""
    layers = paired(weights)
    return lambda batch, _: (forward(batch, layers) - batch).square().mean(1)


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
        (plain_rare, plain), (rare, common) = errors(1e-9, 1, seed), errors(0.75, 2, seed)
        assert rare < 0.5 * plain_rare
        assert common < 1.25 * plain


@pytest.mark.parametrize("balance", [0.0, 0.5, 0.75, 1.0])
def test_chances_are_what_counting_kinds_gives(balance):
    """Rows of one kind agree after rounding; at 1 each kind is as likely, at 0 each row."""
    import torch

    random = np.random.default_rng(3)
    rows = random.choice([-200.0, -1.4, -0.5, 0.3, 0.5, 1.5, 130.0, 900.0], (300, 2))
    rows = rows.astype(np.float32)
    running = running_chances(torch.from_numpy(rows), balance).numpy()

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
    weights = np.diff(running_chances(torch.from_numpy(rows), 1.0).numpy(), prepend=0)

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

    weights = [torch.zeros(8, 8).requires_grad_(), torch.zeros(8).requires_grad_()]
    run_epoch(
        weights,
        reproduce(weights),
        Marked(),
        running_chances(marked, 1.0),
        AutoencoderParameters(balance=1.0, batch_rows=50),
        torch.optim.SGD(weights, lr=0.0),
        torch.Generator().manual_seed(0),
    )
    index = np.concatenate(drawn)

    assert len(drawn) == 200  # of 80 that one pass would take
    assert is_rare[index].mean() == pytest.approx(1 / 9, abs=0.01)
    assert len(set(index.tolist())) > 3000


@pytest.mark.parametrize(("n_rows", "n_steps"), [(100, 2), (101, 3), (30, 1)])
def test_an_epoch_without_balance_is_one_pass_over_the_shuffled_rows(n_rows, n_steps):
    """Each row once, in another order at each pass, the last batch as long as is left."""
    import torch

    marked, drawn = torch.arange(n_rows, dtype=torch.float32).view(-1, 1), []
    weights = [torch.zeros(1, 1).requires_grad_(), torch.zeros(1).requires_grad_()]
    generator = torch.Generator().manual_seed(0)

    def noted(batch, _):
        drawn.append(batch[:, 0].tolist())
        return reproduce(weights)(batch, None)

    parameters = AutoencoderParameters(balance=0, batch_rows=50)
    for _ in range(2):
        optimiser = torch.optim.SGD(weights, lr=0.0)
        run_epoch(weights, noted, marked, None, parameters, optimiser, generator)
    first, second = (list(chain(*part)) for part in (drawn[:n_steps], drawn[n_steps:]))

    assert [len(batch) for batch in drawn[: n_steps - 1]] == [50] * (n_steps - 1)
    assert sorted(first) == sorted(second) == list(range(n_rows))
    assert first != second
    assert first != sorted(first)


def test_a_fit_without_balance_draws_nothing():
    """An epoch of 512 rows is two steps, and not the 200 of drawn rows."""
    kind = DETECTORS["ae"]
    told: list[Epoch] = []
    parameters = kind.parameters_type(balance=0, epochs=3)
    kind.fit(rows_of(512), rows_of(50, seed=1), parameters, seed=0, progress=told.append)
    drawn: list[Epoch] = []
    kind.fit(
        rows_of(512),
        rows_of(50, seed=1),
        kind.parameters_type(epochs=3),
        seed=0,
        progress=drawn.append,
    )

    assert told[2].validation_loss > 3 * drawn[2].validation_loss


def test_a_constant_schedule_leaves_the_step_size():
    """Along the cosine the last of three steps is a quarter, and all the first are the same."""
    import torch

    for schedule, wanted in (("constant", [1, 1, 1]), ("cosine", [1, 0.75, 0.25])):
        weights = [torch.ones(1, 1).requires_grad_(), torch.zeros(1).requires_grad_()]
        sizes, before = [], 1.0

        def slope(batch, _, weights=weights):
            return (weights[0][0, 0] + weights[1][0] + 3).expand(len(batch))

        parameters = AutoencoderParameters(
            balance=0, weight_decay=0, schedule=schedule, learning_rate=1e-3, epochs=3
        )

        def note(_epoch, weights=weights, sizes=sizes):
            nonlocal before
            sizes.append(before - weights[0].item())
            before = weights[0].item()

        rows = torch.zeros(4, 1)
        descend(weights, slope, rows, rows, parameters, torch.Generator(), note, "ae")

        # Of a constant slope the step of Adam is its step size.
        assert sizes == pytest.approx([1e-3 * x for x in wanted], rel=1e-2)


def test_the_last_weights_are_kept_where_they_are_asked_for():
    """After all epochs, however the validation loss went; by default those of the best one."""
    kind = DETECTORS["ae"]
    rows, validation = rows_of(300), rows_of(100, seed=1)
    settings = {"epochs": 12, "learning_rate": 0.2, "patience": 1, "schedule": "constant"}
    told: list[Epoch] = []
    parameters = kind.parameters_type(keep="last", **settings)
    last = kind.fit(rows, validation, parameters, seed=0, progress=told.append)
    best = kind.fit(rows, validation, kind.parameters_type(**settings), seed=0)

    def loss(detector):
        return naive.power_mean(detector.score(validation).tolist(), 2.0)

    assert [epoch.number for epoch in told] == list(range(1, 13))
    assert loss(last) == pytest.approx(told[-1].validation_loss, rel=1e-5)
    assert loss(best) < 0.99 * loss(last)


@pytest.mark.parametrize("name", ["ae", "vae", "lstm_ae"])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_fit_that_learns_nothing_is_refused(name, keep):
    """Values whose squares no float32 holds: the detector is named, and what it wants."""
    kind = DETECTORS[name]
    parameters = kind.parameters_type.model_validate({"epochs": 2, "keep": keep})
    rows = shaped(rows_of(60) * np.float32(1e30), parameters)
    with pytest.raises(ConfigError, match=f"detector = '{name}': want scaled rows") as refused:
        kind.fit(rows, rows[:9], parameters, seed=0)

    assert "loss is not finite" in str(refused.value)


@pytest.mark.parametrize("moment", [1.0, 1.5, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("size", [1e-7, 1e-3, 1.0, 1e3, 1e10])
def test_the_loss_is_the_power_mean_of_a_pencil(moment, size):
    """In value and in slope, also where the powers alone would leave float32's range."""
    import torch

    errors = (np.random.default_rng(4).exponential(size, 64)).astype(np.float32)
    tensor = torch.from_numpy(errors).requires_grad_()
    loss = power_mean(tensor, moment)
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
        power_mean(errors, moment).backward()
        assert torch.isfinite(errors.grad).all()


def test_the_validation_loss_is_the_power_mean_over_all_chunks():
    """Weights of 0 reconstruct nothing: the errors are the mean squares of the rows."""
    import torch

    rows = rows_of(CHUNK_ROWS + 5)
    weights = [torch.zeros(N_COLUMNS, N_COLUMNS), torch.zeros(N_COLUMNS)]
    errors = (rows.astype(np.float64) ** 2).mean(axis=1).tolist()

    for moment in (1.0, 2.0, 8.0):
        loss = validation_loss(reproduce(weights), torch.from_numpy(rows), moment, "cpu")
        assert loss == pytest.approx(naive.power_mean(errors, moment), rel=1e-5)
