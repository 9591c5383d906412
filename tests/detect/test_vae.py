"""The variational autoencoder: against a pencil, its loss, its code, and where chance is."""

import math

import numpy as np
import pytest

from tapwatch.detect.detectors.vae import Vae, VaeParameters, _loss, divergence
from tests.detect import naive
from tests.detect.made import preprocessed as rows_of


def fitted(**settings):
    parameters = VaeParameters.model_validate({"epochs": 1, "balance": 0} | settings)
    return Vae.fit(rows_of(300), rows_of(50, seed=1), parameters, seed=0)


def by_hand(detector, rows):
    """Mean and log-variance of each row's code, and what is decoded of the mean."""
    arrays = detector.arrays()
    activation, output = detector.parameters.activation, detector.parameters.output

    def layers(part):
        n = sum(key.startswith(part) for key in arrays) // 2
        return [
            (arrays[f"{part}{k}.weight"].tolist(), arrays[f"{part}{k}.bias"].tolist())
            for k in range(n)
        ]

    codes = [naive.forward(row, layers("encoder"), activation, "linear") for row in rows.tolist()]
    half = len(codes[0]) // 2
    decoded = [naive.forward(c[:half], layers("decoder"), activation, output) for c in codes]
    return np.array(codes)[:, :half], np.array(codes)[:, half:], np.array(decoded)


def kl(mean, log_variance):
    """Kingma and Welling 2014, appendix B, a term at a time."""
    terms = [1 + v - m * m - math.exp(v) for m, v in zip(mean, log_variance, strict=True)]
    return -0.5 * math.fsum(terms)


@pytest.mark.parametrize("beta", [0.0, 1 / 256, 1.0])
@pytest.mark.parametrize("score", ["reconstruction", "absolute", "elbo"])
@pytest.mark.parametrize(("activation", "output"), [("relu", "linear"), ("tanh", "sigmoid")])
def test_scores_are_what_a_pencil_computes(score, beta, activation, output):
    """Through the mean of the code, in double precision; the latent space is that mean."""
    detector = fitted(
        score=score, beta=beta, activation=activation, output=output, hidden=[7, 5], latent=3
    )
    rows = rows_of(20)
    mean, log_variance, decoded = by_hand(detector, rows)
    wanted = ((decoded - rows) ** 2).mean(axis=1)
    if score == "absolute":
        wanted = np.abs(decoded - rows).mean(axis=1)
    if score == "elbo":
        wanted += beta / rows.shape[1] * np.array(list(map(kl, mean, log_variance)))

    np.testing.assert_allclose(detector.score(rows), wanted, rtol=1e-5)
    np.testing.assert_allclose(detector.expected(rows), decoded, atol=1e-5)
    np.testing.assert_allclose(detector.latent(rows), mean, atol=1e-5)


@pytest.mark.parametrize(("score", "power"), [("reconstruction", 2), ("absolute", 1), ("elbo", 2)])
def test_shares_are_those_of_the_reconstruction(score, power):
    """What the divergence adds is shared out in the same proportion."""
    detector = fitted(score=score, beta=1.0)
    rows = rows_of(20)
    parts = np.abs(detector.expected(rows) - rows).astype(np.float64) ** power

    np.testing.assert_allclose(
        detector.contributions(rows), parts / parts.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-7
    )


def test_the_divergence_is_that_of_normal_clouds():
    """0 of the standard one, more of any other, and finite however wide a cloud is said to be."""
    import torch

    random = np.random.default_rng(0)
    mean, spread = random.normal(size=(2, 50, 4)).astype(np.float32)
    made = divergence(torch.from_numpy(mean), torch.from_numpy(spread)).numpy()

    np.testing.assert_allclose(
        made, [kl(*pair) for pair in zip(mean.tolist(), spread.tolist(), strict=True)], rtol=1e-4
    )
    assert (made > 0).all()
    assert divergence(torch.zeros(1, 4), torch.zeros(1, 4)).item() == 0
    assert divergence(torch.zeros(2, 1), torch.tensor([[1e9], [-1e9]])).isfinite().all()


def test_chance_is_in_the_fit_alone():
    """A loss with a generator scatters about another value; without one it is the same each time.

    The scatter of the code is the root of the variance that the encoder says.
    """
    import torch

    detector = fitted(hidden=[1], latent=1, beta=0.0)
    # The code is 2 with variance 9, whatever the row; the decoder hands it on to every column.
    encoder = [
        (torch.zeros(1, 3), torch.zeros(1)),
        (torch.zeros(2, 1), torch.tensor([2.0, math.log(9)])),
    ]
    decoder = [
        (torch.ones(1, 1), torch.tensor([100.0])),
        (torch.ones(3, 1), torch.full((3,), -100.0)),
    ]
    rows = torch.full((20_000, 3), 2.0)
    generator = torch.Generator().manual_seed(0)
    drawn = _loss(rows, encoder, decoder, detector.parameters, generator)
    plain = _loss(rows, encoder, decoder, detector.parameters, None)

    assert drawn.mean().item() == pytest.approx(9, rel=0.05)
    assert plain.abs().max().item() < 1e-8


def test_the_fit_makes_the_loss_small_that_is_written_down():
    """With the textbook's weight codes tend to nothing; with a small one they tell rows apart."""
    rows = rows_of(600)

    def codes(beta):
        parameters = VaeParameters(epochs=4, beta=beta, learning_rate=1e-2)
        return Vae.fit(rows, rows[:100], parameters, seed=0).latent(rows).std(axis=0).max()

    assert codes(100.0) < 0.05
    assert codes(1 / 256) > 0.5


def test_widths_follow_the_input_unless_they_are_set():
    """Half and a quarter of the columns; the decoder is the encoder the other way round."""
    assert Vae.widths(VaeParameters(), 116) == ([116, 58, 58], [29, 58, 116])
    assert Vae.widths(VaeParameters(), 1) == ([1, 1, 2], [1, 1, 1])
    wanted = ([76, 40, 20, 16], [8, 20, 40, 76])
    assert Vae.widths(VaeParameters(hidden=[40, 20], latent=8), 76) == wanted
