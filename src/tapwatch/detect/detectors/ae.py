"""`ae`: an autoencoder with one hidden layer of a quarter of the inputs."""

from tapwatch.detect.detectors.autoencoder import Autoencoder


class Ae(Autoencoder):
    """C, C/4, C: shallow, quick to train, the yardstick of the deeper ones."""

    name = "ae"
    fractions = (1 / 4,)
