"""The list of planted faults fits the code: each can be planted, in exactly one place."""

from pathlib import Path

import pytest

from tests.mutants.fault import SOURCES
from tests.mutants.faults import FAULTS

ROOT = Path(__file__).resolve().parents[2]


def test_there_are_enough_and_all_differ():
    """Sixty or more, in decode, flows, features and detect."""
    assert len(FAULTS) >= 60
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert {fault.file.split("/")[0] for fault in FAULTS} == {
        "decode",
        "flows",
        "features",
        "detect",
    }


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted(fault):
    """What it replaces stands once in its file, the result is Python, its tests exist."""
    planted = fault.planted((ROOT / SOURCES / fault.file).read_text())

    compile(planted, fault.file, "exec")
    assert all((ROOT / path.split("::")[0]).exists() for path in fault.paths)
