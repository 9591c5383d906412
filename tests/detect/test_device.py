"""Fits on another device: what is fitted there comes back, and nothing is mixed on the way.

The device is made up: a tensor that has been sent to it computes as ever, but refuses to meet one
that has not, or to become an array.
"""

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from tapwatch.detect.registry import DETECTORS
from tests.detect.kinds import shaped
from tests.detect.made import preprocessed

PLACE = "elsewhere"
_to = torch.Tensor.to


class Elsewhere(torch.Tensor):
    """A tensor on the made-up device."""

    device = PLACE

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for other in tree_leaves((args, kwargs)):
            if type(other) is torch.Tensor and other.ndim:
                raise RuntimeError(f"{function}: tensors on two devices")
        made = super().__torch_function__(function, types, args, kwargs)
        # Of slopes torch gives the plain tensor.
        return made.as_subclass(cls) if type(made) is torch.Tensor else made

    def numpy(self, **_):
        raise TypeError("cannot turn a tensor of another device into an array")

    def cpu(self):
        with torch._C.DisableTorchFunctionSubclass():
            return self.as_subclass(torch.Tensor)


def sent(tensor, where, *more, **named):
    """As `Tensor.to`, which knows the made-up device too."""
    if where != PLACE:
        return _to(tensor, where, *more, **named)
    return tensor if isinstance(tensor, Elsewhere) else tensor.clone().as_subclass(Elsewhere)


@pytest.mark.parametrize("name", ["ae", "deep_ae", "vae", "lstm_ae"])
def test_what_is_fitted_elsewhere_is_stored_as_if_it_had_been_fitted_here(monkeypatch, name):
    """All steps run there, and the arrays are those of a fit on the CPU, bit for bit."""
    monkeypatch.setattr(torch.Tensor, "to", sent)
    kind = DETECTORS[name]
    settings = {"epochs": 2, "balance": 0.0} | ({"sequence_rows": 3} if name == "lstm_ae" else {})
    parameters = kind.parameters_type.model_validate(settings)
    rows, held = (shaped(preprocessed(n, seed=n), parameters) for n in (600, 50))
    met = []
    backward = Elsewhere.backward
    monkeypatch.setattr(Elsewhere, "backward", lambda loss: met.append(1) or backward(loss))
    here, there = (
        kind.fit(rows, held, parameters, seed=0, device=device) for device in ("cpu", PLACE)
    )

    assert len(met) == 6  # all steps of the second fit: 600 rows are three batches, twice
    for key, array in here.arrays().items():
        assert type(there.arrays()[key]) is np.ndarray
        assert there.arrays()[key].tobytes() == array.tobytes(), key
    assert there.score(rows).tobytes() == here.score(rows).tobytes()


def test_the_made_up_device_refuses_what_a_real_one_refuses():
    """Tensors of two devices do not meet, and one of it is no array."""
    there = sent(torch.ones(3), PLACE)
    with pytest.raises(RuntimeError, match="two devices"):
        there + torch.ones(3)
    with pytest.raises(TypeError):
        there.numpy()

    assert (there + 1).cpu().tolist() == [2, 2, 2]
