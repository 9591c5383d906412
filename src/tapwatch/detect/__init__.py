"""ROOM 5: FeatureBatch -> Scores. Importing it loads no torch; loading a bundle or scoring does."""

from tapwatch.detect.bundle import Bundle, load_bundle
from tapwatch.detect.registry import DETECTORS
from tapwatch.detect.scorer import Scorer
from tapwatch.detect.shadow import Shadow

__all__ = ["DETECTORS", "Bundle", "Scorer", "Shadow", "load_bundle"]
