"""`deep_ae`: an autoencoder with hidden layers of a half, a quarter and a half of the inputs."""

from tapwatch.detect.detectors.autoencoder import Autoencoder


class DeepAe(Autoencoder):
    """C, C/2, C/4, C/2, C: the same bottleneck as `ae`, with a layer to bend space before it."""

    name = "deep_ae"
    fractions = (1 / 2, 1 / 4, 1 / 2)
