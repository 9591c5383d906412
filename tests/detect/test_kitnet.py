"""The ensemble against a twin that learns and scores row by row, and how inputs are grouped."""

import numpy as np
import pytest

from tapwatch.detect.detectors.kitnet import Kitnet, KitnetParameters, _initial
from tapwatch.detect.detectors.kitnet_map import groups_of
from tapwatch.errors import ArtifactError
from tests.detect import naive_online as naive
from tests.detect.made import preprocessed


def fitted(rows, **more):
    given = {"inputs": 5, "epochs": 2, "least_steps": 1} | more
    return Kitnet.fit(rows, rows[:0], KitnetParameters.model_validate(given), seed=3)


def twin_of(arrays):
    """A twin with the weights of arrays."""
    groups = [[int(j) for j in line if j >= 0] for line in arrays["member"]]
    nets = []
    for k, group in enumerate(groups):
        n, hidden = len(group), max(1, int(np.ceil(0.75 * len(group))))
        nets.append(
            naive.Net(
                arrays["weight"][k, :n, :hidden],
                arrays["hidden_bias"][k, :hidden],
                arrays["input_bias"][k, :n],
            )
        )
    output = (arrays[f"output.{key}"] for key in ("weight", "hidden_bias", "input_bias"))
    return naive.Kitnet(groups, nets, naive.Net(*output))


def scaled(detector, rows):
    low, high = (detector.arrays()[key].astype(float) for key in ("low", "high"))
    return ((rows.astype(float) - low) / np.maximum(high - low, 1)).tolist()


@pytest.mark.kernel
@pytest.mark.parametrize("mapping", ["packed", "published"])
def test_a_fit_and_what_is_learnt_later_are_those_of_the_twin(mapping):
    """Same rows, same order, to 1e-9: two passes, then online steps with rows beyond the range."""
    rows = preprocessed(25, n_columns=12)
    rows[:, 4] = 1.0  # constant
    detector = fitted(rows, mapping=mapping, online_rate=0.05)
    groups = groups_of(rows, 5, as_published=mapping == "published")
    first = _initial(groups, detector.parameters, np.random.default_rng(3))
    twin = twin_of(first)
    for _ in range(2):
        twin.low, twin.high = ([x] * len(twin.nets) for x in (np.inf, -np.inf))
        for x in scaled(detector, rows):
            twin.learn(x, 0.1, widens=True)
    others = preprocessed(9, seed=5, n_columns=12) * np.float32(2)
    others[::2, 4] = 5.0

    for _ in range(2):
        want = [twin.score(x) for x in scaled(detector, others)]
        np.testing.assert_allclose(detector.score(others), want, atol=1e-9, rtol=0)
        detector = detector.copy()
        detector.learn(others)
        for x in scaled(detector, others):
            twin.learn(x, 0.05, widens=False)


@pytest.mark.kernel
def test_a_row_scores_the_same_alone_and_in_any_batch():
    """The kernel has a way for single rows and one for many: not one bit differs."""
    detector = fitted(preprocessed(20, n_columns=7))
    rows = preprocessed(70, seed=2, n_columns=7)
    whole = detector.score(rows)

    for size in (1, 2, 3, 4, 5, 63, 64, 65, 67, 68, 69):
        assert detector.score(rows[:size]).tobytes() == whole[:size].tobytes()
    assert len(set(whole.tolist())) > 60


def test_shares_are_of_the_squared_error():
    """An input that alone is off has nearly all of its autoencoder's part, and is the largest."""
    rows = preprocessed(2000, n_columns=12)
    detector = fitted(rows, epochs=3, least_steps=20_000)
    odd = rows[:50].copy()
    odd[:, 7] = np.where(odd[:, 7] > 0, -5, 5)

    assert (detector.contributions(odd).argmax(axis=1) == 7).mean() > 0.9


def test_inputs_that_vary_together_share_an_autoencoder():
    """Three causes, four inputs each, shuffled; constant inputs stand by themselves."""
    random = np.random.default_rng(0)
    causes = random.normal(size=(500, 3))
    rows = np.repeat(causes, 4, axis=1) + 0.1 * random.normal(size=(500, 12))
    rows = np.concatenate([rows, np.full((500, 2), 3.0)], axis=1).astype(np.float32)
    order = random.permutation(14)
    groups = groups_of(rows[:, order], 4, as_published=False)

    assert sorted(sorted(order[group].tolist()) for group in groups) == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
        [12, 13],
    ]


@pytest.mark.parametrize("as_published", [True, False])
@pytest.mark.parametrize("most", [1, 2, 5, 100])
def test_each_input_is_in_one_group_that_is_small_enough(most, as_published):
    """Also where inputs are copies of each other, or there is one row."""
    rows = preprocessed(50, n_columns=11)
    rows[:, 3:9] = rows[:, :1]
    for given in (rows, rows[:1], rows[:, :1]):
        groups = groups_of(given, most, as_published=as_published)

        assert sorted(j for group in groups for j in group) == list(range(given.shape[1]))
        assert max(map(len, groups)) <= most


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda m: m.__setitem__((0, 0), m[0, 1]), "each input from 0 to 6 once"),
        (lambda m: m.__setitem__((0, 0), 7), "each input from 0 to 6 once"),
        (lambda m: m.__setitem__(0, np.roll(m[0], 1)), "each input from 0 to 6 once"),
    ],
)
def test_refuses_groups_that_would_read_elsewhere(change, text):
    """An input twice, one that there is not, a gap in front: the kernel trusts `member`."""
    detector = fitted(preprocessed(20, n_columns=7), inputs=4)
    arrays = {key: array.copy() for key, array in detector.arrays().items()}
    arrays["member"] = (
        arrays["member"][::-1].copy() if arrays["member"][0, -1] >= 0 else arrays["member"]
    )
    change(arrays["member"])
    with pytest.raises(ArtifactError, match=text):
        Kitnet.from_arrays(detector.parameters, 7, arrays)


def test_refuses_a_range_upside_down():
    """Low above high would turn errors round."""
    detector = fitted(preprocessed(20, n_columns=7))
    arrays = detector.arrays() | {"low": detector.arrays()["high"] + np.float32(1)}
    with pytest.raises(ArtifactError, match="array low: above array high"):
        Kitnet.from_arrays(detector.parameters, 7, arrays)
