"""All detectors by name; being listed here is what puts one under the shared checks."""

from typing import Final

from tapwatch.detect.ae import Ae
from tapwatch.detect.deep_ae import DeepAe
from tapwatch.detect.detector import Detector

DETECTORS: Final[dict[str, type[Detector]]] = {cls.name: cls for cls in (Ae, DeepAe)}
