"""`vaegmm`: as `aegmm`, with a variational autoencoder in place of the plain one.

The encoder gives a normal density over latent places; in training a place is drawn from it, in use
its mean is taken, so that a row has one score. Kingma and Welling 2014, appendix B, for the
divergence.
"""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tapwatch.detect.detectors.aegmm import Aegmm, AegmmParameters

if TYPE_CHECKING:
    from torch import Tensor


class VaegmmParameters(AegmmParameters):
    """What may be set of a `vaegmm`."""

    beta: Annotated[float, Field(ge=0, le=1e6)] = 0.01
    """Weight of the divergence from the standard normal density, against the squared error summed
    over columns."""


class Vaegmm(Aegmm):
    """A mixture over the mean of a variational code and measures of its reconstruction."""

    name = "vaegmm"
    parameters_type = VaegmmParameters
    code_outputs = 2  # mean, logarithm of the variance

    @classmethod
    def batch_code(
        cls, encoded: "Tensor", parameters: AegmmParameters, generator: Any
    ) -> tuple["Tensor", "Tensor | float"]:
        """Draw a latent place for each row; the divergence is what it costs."""
        import torch

        assert isinstance(parameters, VaegmmParameters)
        mean = encoded[:, : parameters.latent]
        log_variance = encoded[:, parameters.latent :]
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1).mean()
        if generator is None:
            return mean, parameters.beta * divergence
        drawn = torch.randn(mean.shape, generator=generator).to(mean)
        return mean + drawn * (0.5 * log_variance).exp(), parameters.beta * divergence
