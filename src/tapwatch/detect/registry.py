"""All detectors by name; being listed here is what puts one under the shared checks."""

from typing import Final

from tapwatch.detect.detector import Detector
from tapwatch.detect.detectors.ae import Ae
from tapwatch.detect.detectors.aegmm import Aegmm
from tapwatch.detect.detectors.deep_ae import DeepAe
from tapwatch.detect.detectors.ensemble import Ensemble
from tapwatch.detect.detectors.hst import Hst
from tapwatch.detect.detectors.iforest import Iforest
from tapwatch.detect.detectors.kitnet import Kitnet
from tapwatch.detect.detectors.lstm_ae import LstmAe
from tapwatch.detect.detectors.memory_ae import MemoryAe
from tapwatch.detect.detectors.neighbours import Neighbours
from tapwatch.detect.detectors.ocsvm import Ocsvm
from tapwatch.detect.detectors.pca import Pca
from tapwatch.detect.detectors.rarity import Rarity
from tapwatch.detect.detectors.robust_z import RobustZ
from tapwatch.detect.detectors.vae import Vae
from tapwatch.detect.detectors.vaegmm import Vaegmm

#: In the order in which they are told; their modules load what is heavy when they are used.
_ALL: Final[tuple[type[Detector], ...]] = (
    Ae,
    DeepAe,
    Vae,
    LstmAe,
    Aegmm,
    Vaegmm,
    Pca,
    Ocsvm,
    Iforest,
    Kitnet,
    MemoryAe,
    Hst,
    Neighbours,
    Rarity,
    Ensemble,
    RobustZ,
)

DETECTORS: Final[dict[str, type[Detector]]] = {cls.name: cls for cls in _ALL}
