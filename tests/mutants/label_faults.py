"""Faults in what tells protocols, and in the pairs of the `packet` view."""

from tests.mutants.fault import Fault

_LABELS = ("tests/features/test_labels.py",)
_PAIRS = ("tests/features/test_packet_pairs.py",)

LABEL_FAULTS = tuple(
    Fault(f"features/{file}", before, after, tests)
    for file, before, after, tests in (
        (
            "protocol/tls.py",
            "record_end = here + _RECORD_BYTES + be16(data, here + 3)",
            "record_end = here + be16(data, here + 3)",
            _LABELS,
        ),
        (
            "protocol/tls.py",
            "if not 0x20 <= byte <= 0x7E:",
            "if not 0x20 <= byte <= 0x7F:",
            _LABELS,
        ),
        (
            "protocol/tls.py",
            "here = lo + 39 + be8(data, lo + 38) + 3",
            "here = lo + 39 + be8(data, lo + 38)",
            _LABELS,
        ),
        (
            "protocol/kernel.py",
            "and not analysis & _LOOKED_INTO",
            "and analysis & _LOOKED_INTO",
            _LABELS,
        ),
        (
            "protocol/kernel.py",
            'skip = rest_of_earlier(talk, segment) if talk["in_pdu"] else 0',
            "skip = 0",
            _LABELS,
        ),
        ("packet/pairs.py", "b + a if way else a + b", "a + b", _PAIRS),
        (
            "packet/pairs.py",
            "if k == 0 or age_ns < oldest_ns:",
            "if k == 0 or age_ns > oldest_ns:",
            _PAIRS,
        ),
        (
            "packet/pairs.py",
            'last_ns = max(this_way_ns, pair["last_ns"][1 - way])',
            "last_ns = this_way_ns",
            _PAIRS,
        ),
    )
)
