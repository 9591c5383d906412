"""Our rows against other programs: how much agrees, and that each difference has a known reason."""

from pathlib import Path

import pytest

from tests.conformance import against_arkime, against_ipfixprobe, against_nfstream, against_tshark
from tests.conformance.agreement import Agreement
from tests.shared_data import shared_data


def captures(name: str) -> Path:
    """A folder of the external corpus; skips the test where it is absent."""
    folder = shared_data() / "pcaps" / name
    if not folder.exists():
        pytest.skip(f"{folder} is absent")
    return folder


def assert_known(told: Agreement, reasons: dict[str, str], least: float) -> None:
    """Nothing is unexplained, no reason is without a case of its own kind, and most is equal."""
    assert told.unexplained == []
    assert set(told.counts) - {"equal"} <= set(reasons)
    assert told.equal / told.n >= least


def test_expected_rows_are_what_tshark_says():
    """All but 71 of some 20,000 values of the golden captures."""
    told = against_tshark.compared()

    assert_known(told, against_tshark.REASONS, 0.996)
    assert set(told.counts) == {"equal", *against_tshark.REASONS}


def test_conversations_are_those_that_arkime_expects():
    """Packets and bytes of 765 conversations, with tunnels opened."""
    whole, single, ids = against_arkime.compared(captures("arkime"))

    assert_known(whole, against_arkime.REASONS, 0.94)
    assert_known(single, against_arkime.REASONS, 0.998)
    assert set(whole.counts) | set(single.counts) == {"equal", *against_arkime.REASONS}
    assert ids.counts == {"equal": ids.n}
    assert ids.n > 500


def test_conversations_are_those_that_ipfixprobe_expects():
    """Packets and bytes of IP each way, and the times of the first and the last."""
    told = against_ipfixprobe.compared(captures("ipfixprobe"))

    assert_known(told, against_ipfixprobe.REASONS, 0.99)
    assert told.n > 200


@pytest.mark.skipif(not against_nfstream.installed(), reason="NFStream is not installed")
def test_conversations_are_those_of_nfstream():
    """Packets and bytes each way, over every eighth capture of nDPI's tests."""
    told = against_nfstream.compared(captures("nDPI"))

    assert_known(told, against_nfstream.REASONS, 0.97)
    assert told.n > 1000
