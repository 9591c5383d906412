"""Mixtures over what an autoencoder makes of a row: energies, statistics, fits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.detect.detectors import aegmm
from tapwatch.detect.detectors.aegmm import Aegmm, AegmmParameters, _Nets, features_of
from tapwatch.detect.detectors.mixture import Mixture, _expect, batch_energy, fit_mixture
from tapwatch.detect.detectors.vaegmm import Vaegmm, VaegmmParameters
from tapwatch.errors import ArtifactError, ConfigError
from tests.detect import naive_gmm
from tests.detect.made import preprocessed

QUICK = {"epochs": 2, "batch_rows": 128, "components": 3}


def made(seed=0, n_components=3, n_features=3):
    """Weights, means, covariances that are all different."""
    random = np.random.default_rng(seed)
    weight = random.dirichlet(np.ones(n_components))
    mean = random.normal(size=(n_components, n_features))
    cholesky = np.tril(random.normal(size=(n_components, n_features, n_features)))
    for factor in cholesky:
        np.fill_diagonal(factor, random.uniform(0.3, 2.0, n_features))
    return Mixture(weight, mean, cholesky)


def parts_of(mixture):
    return [
        (weight, mean.tolist(), (factor @ factor.T).tolist())
        for weight, mean, factor in zip(mixture.weight, mixture.mean, mixture.cholesky, strict=True)
    ]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 4))
def test_an_energy_is_minus_the_logarithm_of_the_density(seed, n_components, n_features):
    """Agrees with determinants and Cramer's rule, near the means and far out."""
    mixture = made(seed, n_components, n_features)
    rows = np.random.default_rng(seed + 1).normal(size=(4, n_features)) * [[0.1], [1], [5], [50]]
    want = [naive_gmm.energy(row, parts_of(mixture)) for row in rows.tolist()]

    np.testing.assert_allclose(mixture.energy(rows), want, rtol=1e-9, atol=1e-9)


def test_no_row_has_less_than_the_least_energy():
    """It is that of one component at its mean; of several it bounds a dense grid from below."""
    one = made(3, n_components=1)
    assert one.energy(one.mean)[0] == pytest.approx(one.least_energy, abs=1e-12)

    mixture = made(4, n_features=2)
    grid = np.stack(np.meshgrid(*[np.linspace(-4, 4, 81)] * 2), 2).reshape(-1, 2)
    energies = np.concatenate([mixture.energy(grid), mixture.energy(mixture.mean)])
    assert energies.min() >= mixture.least_energy
    np.testing.assert_array_equal(
        mixture.excess(grid), np.maximum(mixture.energy(grid) - mixture.least_energy, 0)
    )
    same = Mixture(np.full(3, 1 / 3), np.tile(one.mean, (3, 1)), np.tile(one.cholesky, (3, 1, 1)))
    assert same.energy(one.mean)[0] == pytest.approx(same.least_energy, abs=1e-12)


def test_a_component_without_weight_is_no_part_of_the_density():
    """Its mean is a place like any other."""
    mixture = made(5)
    without = Mixture(np.array([0.0, 0.25, 0.75]), mixture.mean, mixture.cholesky)
    rows = np.concatenate([mixture.mean, mixture.mean + 0.3])
    want = [naive_gmm.energy(row, parts_of(without)) for row in rows.tolist()]

    np.testing.assert_allclose(without.energy(rows), want, rtol=1e-9)
    assert without.energy(rows)[0] > made(5).energy(rows)[0]


def memberships(n_rows, n_components, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(n_components), n_rows)


def test_statistics_are_those_of_the_memberships():
    """Weights, means, covariances with their ridge, for memberships that are shares."""
    rows = np.random.default_rng(1).normal(size=(40, 3)) * [1, 5, 0.2]
    shares = memberships(40, 3)
    mixture = fit_mixture(rows, shares, 0.01, 0)
    want = naive_gmm.mixture(rows.tolist(), shares.tolist(), (0.01 * rows.var(axis=0)).tolist())

    for got, (weight, mean, covariance) in zip(parts_of(mixture), want, strict=True):
        assert got[0] == pytest.approx(weight)
        np.testing.assert_allclose(got[1], mean, atol=1e-12)
        np.testing.assert_allclose(got[2], covariance, atol=1e-12)


def test_a_batch_has_the_energy_of_its_own_mixture():
    """Mean energy and sum of inverse variances, as the slow twin of statistics and energy has."""
    rows, shares = np.random.default_rng(2).normal(size=(30, 2)), memberships(30, 3, 1)
    epsilon = 0.05
    energy, penalty = batch_energy(torch.from_numpy(rows), torch.from_numpy(shares), epsilon)
    parts = naive_gmm.mixture(rows.tolist(), shares.tolist(), [epsilon] * 2)

    assert float(energy) == pytest.approx(
        np.mean([naive_gmm.energy(row, parts) for row in rows.tolist()])
    )
    assert float(penalty) == pytest.approx(
        sum(1 / cov[d][d] for _, _, cov in parts for d in range(2))
    )


def test_a_batch_whose_covariance_cannot_be_factored_teaches_nothing():
    """NaN, infinity, or a component without any row: None, not an exception."""
    rows, shares = torch.ones(8, 2, dtype=torch.float64), torch.full((8, 2), 0.5).double()
    odd = rows.clone()
    odd[3, 1] = float("nan")
    empty = torch.tensor([[1.0, 0.0]] * 8, dtype=torch.float64)

    assert batch_energy(odd, shares, 1e-6) is None
    assert batch_energy(odd.nan_to_num(nan=float("inf")), shares, 1e-6) is None
    assert batch_energy(rows, empty, 1e-6) is None
    assert batch_energy(rows, shares, 1e-6) is not None


def test_bad_batches_are_skipped(monkeypatch):
    """Every second batch teaches nothing: the others do."""
    calls = []

    def every_second(*given):
        calls.append(given)
        return batch_energy(*given) if len(calls) % 2 else None

    monkeypatch.setattr(aegmm, "batch_energy", every_second)
    told = []
    parameters = AegmmParameters(**QUICK | {"epochs": 3})
    Aegmm.fit(preprocessed(200), preprocessed(50, 1), parameters, seed=0, progress=told.append)

    assert len(calls) == 3 * (aegmm._EPOCH_STEPS[0] + 1)
    assert all(np.isfinite(epoch.train_loss) for epoch in told)


@pytest.mark.parametrize("kind", [Aegmm, Vaegmm])
def test_a_fit_that_learns_nothing_is_refused(kind):
    """Values whose squares no float32 holds: the detector is named, and what it wants."""
    rows = preprocessed(200) * np.float32(1e30)
    parameters = kind.parameters_type(**QUICK)
    with pytest.raises(ConfigError, match=f"detector = '{kind.name}': want scaled rows"):
        kind.fit(rows, rows[:50], parameters, seed=0)


def test_rows_too_few_to_make_the_mixture_do_not_tell_when_to_stop():
    """Nor do rows that are all alike: the training rows tell then, as where there are none."""
    rows, parameters = preprocessed(300), AegmmParameters(**QUICK)
    least = 3 * (parameters.n_features + 1)

    def losses(validation):
        told = []
        Aegmm.fit(rows, validation, parameters, seed=0, progress=told.append)
        return [epoch.validation_loss for epoch in told]

    by_training = losses(rows[:0])
    other = preprocessed(least, 1)
    assert losses(other) != by_training
    assert losses(other[:-1]) == by_training
    assert losses(np.repeat(other[:1], 100, axis=0)) == by_training


def test_the_loss_is_that_of_the_paper():
    """Squared error over columns, plus lambda 1 times energy, plus lambda 2 times penalty."""
    parameters = AegmmParameters(
        components=2, latent=2, hidden=[5], energy_weight=0.7, covariance_weight=0.02, epsilon=0.05
    )
    nets = _Nets(Aegmm, parameters, 4, torch.Generator().manual_seed(3), "cpu")
    batch = torch.from_numpy(preprocessed(30, n_columns=4))
    with torch.inference_mode():
        loss = float(nets._loss(batch, None))

    def net(values, layers):
        *hidden, (weight, bias) = [[w.detach().double().numpy() for w in pair] for pair in layers]
        for w, b in hidden:
            values = np.tanh(values @ w.T + b)
        return values @ weight.T + bias

    rows = batch.double().numpy()
    code = net(rows, nets.encoder)
    rebuilt = net(code, nets.decoder)
    looks = zip(rows.tolist(), code.tolist(), rebuilt.tolist(), strict=True)
    features = [naive_gmm.features(*look) for look in looks]
    shares = np.exp(net(np.array(features), nets.estimator))
    shares /= shares.sum(axis=1, keepdims=True)
    width = parameters.n_features
    parts = naive_gmm.mixture(features, shares.tolist(), [parameters.epsilon] * width)
    energy = np.mean([naive_gmm.energy(line, parts) for line in features])
    penalty = sum(1 / cov[d][d] for _, _, cov in parts for d in range(width))
    squared = ((rows - rebuilt) ** 2).sum(axis=1).mean()

    assert loss == pytest.approx(squared + 0.7 * energy + 0.02 * penalty, rel=1e-4)
    assert abs(energy - penalty) > 1


def test_chances_of_components_are_shares_of_their_densities():
    """Of each row they sum to 1; a component without weight has none."""
    mixture = made(8)
    without = Mixture(np.array([0.25, 0.0, 0.75]), mixture.mean, mixture.cholesky)
    rows = np.random.default_rng(9).normal(size=(40, 3)) * 3
    for one in (mixture, without):
        alone = [
            [math.exp(-naive_gmm.energy(row, [part])) if part[0] else 0.0 for part in parts_of(one)]
            for row in rows.tolist()
        ]
        want = np.array(alone) / np.sum(alone, axis=1, keepdims=True)

        np.testing.assert_allclose(_expect(one, rows), want, rtol=1e-8, atol=1e-12)


def test_refining_finds_clouds_that_the_memberships_did_not():
    """Two clouds, memberships that hardly tell them apart: the energy falls to that of two."""
    random = np.random.default_rng(6)
    rows = random.normal(size=(2000, 2)) * 0.1
    rows[1000:] += 3
    # Hardly: alike they would be a place where the steps stand still.
    shares = np.full((2000, 2), 0.5)
    shares[:1000] += [0.2, -0.2]
    before, after = (fit_mixture(rows, shares, 1e-6, steps) for steps in (0, 50))

    assert after.energy(rows).mean() < before.energy(rows).mean() - 1
    means = after.mean[np.argsort(after.mean[:, 0])]
    np.testing.assert_allclose(means, [[0, 0], [3, 3]], atol=0.02)
    np.testing.assert_allclose(after.weight, [0.5, 0.5], atol=0.01)


def test_features_are_code_distance_cosine_and_mean_square():
    """In this order; the last one only where it is asked for."""
    random = np.random.default_rng(7)
    rows, code, rebuilt = (random.normal(size=(5, k)).astype(np.float32) for k in (4, 2, 4))
    tensors = [torch.from_numpy(array) for array in (rows, code, rebuilt)]
    want = [
        naive_gmm.features(*line)
        for line in zip(rows.tolist(), code.tolist(), rebuilt.tolist(), strict=True)
    ]

    np.testing.assert_allclose(features_of(*tensors, absolute=True), want, rtol=1e-5)
    np.testing.assert_allclose(
        features_of(*tensors, absolute=False), [line[:-1] for line in want], rtol=1e-5
    )


def test_rows_of_nothing_have_features_and_slopes():
    """A row of zeros that is rebuilt exactly: finite, and so are the gradients."""
    rows, code = torch.zeros(3, 4), torch.zeros(3, 2)
    rebuilt = torch.zeros(3, 4, requires_grad=True)
    features = features_of(rows, code, rebuilt, absolute=True)
    features.sum().backward()

    assert torch.isfinite(features).all()
    assert torch.isfinite(rebuilt.grad).all()


def test_the_score_is_what_the_nets_and_the_mixture_say():
    """Encoder, decoder, measures and energy by hand, from the stored arrays alone."""
    parameters = AegmmParameters(**QUICK, hidden=[7], latent=2)
    detector = Aegmm.fit(preprocessed(300), preprocessed(50, 1), parameters, seed=3)
    rows, stored = preprocessed(20, 2), detector.arrays()

    def net(values, name):
        values = np.tanh(values @ stored[f"{name}0.weight"].T + stored[f"{name}0.bias"])
        return values @ stored[f"{name}1.weight"].T + stored[f"{name}1.bias"]

    code = net(rows, "encoder")
    rebuilt = net(code, "decoder")
    np.testing.assert_allclose(detector.latent(rows), code, atol=1e-5)
    np.testing.assert_allclose(detector.expected(rows), rebuilt, atol=1e-4)
    parts = [
        (weight, mean.tolist(), (factor @ factor.T).tolist())
        for weight, mean, factor in zip(
            *(stored[f"mixture.{key}"] for key in ("weight", "mean", "cholesky")), strict=True
        )
    ]
    looks = zip(rows.tolist(), code.tolist(), rebuilt.tolist(), strict=True)
    energies = [naive_gmm.energy(naive_gmm.features(*look), parts) for look in looks]
    np.testing.assert_allclose(
        detector.score(rows), np.array(energies) - detector.mixture.least_energy, rtol=1e-2
    )


def test_dropout_is_drawn_in_training_alone():
    """Without a generator memberships are the same at each call; with one they differ."""
    parameters = AegmmParameters(**QUICK)
    nets = _Nets(Aegmm, parameters, 13, torch.Generator().manual_seed(0), "cpu")
    features = torch.randn(20, parameters.n_features, generator=nets.generator).double()
    still = [nets._membership(features, None) for _ in range(2)]
    drawn = [nets._membership(features, nets.generator) for _ in range(2)]

    assert torch.equal(*still)
    assert not torch.equal(*drawn)
    torch.testing.assert_close(drawn[0].sum(1), torch.ones(20, dtype=torch.float64))


def test_a_variational_code_costs_its_divergence():
    """Mean and beta times the divergence without a generator; around the mean with one."""
    parameters = VaegmmParameters(**QUICK, latent=3, beta=0.5)
    encoded = torch.randn(6, 6, generator=torch.Generator().manual_seed(1))
    code, cost = Vaegmm.batch_code(encoded, parameters, None)
    want = [naive_gmm.divergence(line[:3], line[3:]) for line in encoded.tolist()]

    assert torch.equal(code, encoded[:, :3])
    assert float(cost) == pytest.approx(0.5 * np.mean(want), rel=1e-5)
    generator = torch.Generator().manual_seed(2)
    many = torch.cat([Vaegmm.batch_code(encoded, parameters, generator)[0] for _ in range(4000)])
    many = many.reshape(4000, 6, 3)
    torch.testing.assert_close(many.mean(0), encoded[:, :3], atol=0.15, rtol=0)
    torch.testing.assert_close(many.std(0), (encoded[:, 3:] / 2).exp(), atol=0.1, rtol=0.1)


@pytest.mark.parametrize(
    ("key", "change", "text"),
    [
        ("mixture.weight", lambda a: a * 2, "want shares"),
        ("mixture.weight", lambda a: a - 1, "want shares"),
        ("mixture.cholesky", lambda a: -a, "want lower triangles"),
        ("mixture.cholesky", lambda a: a + 1e-3, "want lower triangles"),
        ("mixture.cholesky", lambda a: a * 1e-160, "diagonals from 1e-150 on"),
        (
            "mixture.cholesky",
            lambda a: np.where(np.eye(len(a[0])), 1e-100, np.tril(np.full_like(a, 1e200), -1)),
            "want lower triangles with an inverse",
        ),
    ],
)
def test_refuses_a_mixture_that_is_none(key, change, text):
    """Weights that are no shares, factors that are no Cholesky factors."""
    detector = Aegmm.fit(preprocessed(200), preprocessed(50, 1), AegmmParameters(**QUICK), seed=0)
    arrays = detector.arrays()
    arrays[key] = change(arrays[key])

    with pytest.raises(ArtifactError, match=text):
        Aegmm.from_arrays(detector.parameters, detector.n_columns, arrays)


def test_parameters_of_the_paper_are_accepted():
    """One latent dimension, four components, nothing refined."""
    parameters = AegmmParameters(
        latent=1, components=4, absolute=False, refine=0, balance=0, epochs=1, batch_rows=128
    )
    detector = Aegmm.fit(preprocessed(300), preprocessed(50, 1), parameters, seed=0)

    assert detector.arrays()["mixture.mean"].shape == (4, 3)
    assert detector.latent(preprocessed(5)).shape == (5, 1)
