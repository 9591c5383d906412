"""Every capture of a large external corpus, damaged ones included, through every view."""

import numpy as np
import pytest

from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.errors import CaptureError
from tapwatch.pipeline import House, imbalances, run
from tests.shared_data import shared_data
from tests.test_pipeline import EveryRow

#: Captures that no reader can open, or files that are none.
REFUSED_AT_MOST = 60


class Finite(EveryRow):
    """A scorer that flags nothing and looks at every value."""

    def score(self, batch):
        """As the other, but without flags."""
        assert np.isfinite(batch.values).all()
        made = super().score(batch)
        made.flagged[:] = False
        return made


@pytest.mark.slow
def test_the_ledger_balances_on_every_capture_and_every_value_is_finite():
    """No exception but CaptureError; equations hold; no NaN or infinity in any view."""
    captures = sorted(p for p in (shared_data() / "pcaps").rglob("*") if _is_capture(p))
    refused, unbalanced, packets = [], {}, 0
    for path in captures:
        try:
            source = open_captures([str(path)])
        except CaptureError:
            refused.append(path.name)
            continue
        house = House(Config(), source, [Finite("flow"), Finite("packet")], [])
        run(source, house, lambda: False)
        summary = house.summary()
        packets += summary["capture"]["packets"]
        if broken := imbalances(summary):
            unbalanced[path.name] = broken

    assert unbalanced == {}
    assert len(refused) <= REFUSED_AT_MOST, refused
    assert packets > 400_000


def _is_capture(path):
    kinds = {".pcap", ".pcapng", ".cap", ".gz", ".trace", ".dmp"}
    return path.is_file() and path.suffix in kinds
