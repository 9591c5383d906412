"""Files that several tests measure with."""

import pytest

from tapwatch.evaluation.protocol import Inputs
from tests.evaluation import kdd_like

TRAIN = {"normal": 120, "neptune": 40, "satan": 20}
TEST = {"normal": 60, "neptune": 20, "satan": 10, "mscan": 10}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A training file and a test file."""
    folder = tmp_path_factory.mktemp("files")
    return Inputs(
        train=(kdd_like.write(folder / "train", TRAIN),),
        test=(kdd_like.write(folder / "test.gz", TEST, 1),),
    )
