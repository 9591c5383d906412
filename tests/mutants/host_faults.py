"""Faults in the `host` view."""

from tests.mutants.fault import Fault

_TESTS = ("tests/features/test_host.py", "tests/features/test_host_twin.py")

HOST_FAULTS = tuple(
    Fault(f"features/host/{file}", before, after, _TESTS)
    for file, before, after in (
        ("rows.py", "out / np.maximum(in_, 1)", "in_ / np.maximum(out, 1)"),
        (
            "rows.py",
            '_per(records["group"], records["packets"][:, 0])',
            '_per(records["group"], records["packets"][:, 1])',
        ),
        (
            "rows.py",
            'values[:, AT.own_port_entropy] = summaries["port_entropy"][:, 1]',
            'values[:, AT.own_port_entropy] = summaries["port_entropy"][:, 0]',
        ),
        ("flows.py", 'host["flows"][way] += 1', 'host["flows"][1 - way] += 1'),
        ("flows.py", "OWN_PORTS if way else PEER_PORTS", "PEER_PORTS if way else OWN_PORTS"),
        ("flows.py", "& (_ACK | _RST) == 0", "& _ACK == 0"),
        (
            "flows.py",
            "is_first and flags & _ACK != 0 and flags & (_SYN | _RST) != 0",
            "is_first and flags & _ACK != 0 and flags & _SYN != 0",
        ),
        (
            "flows.py",
            'memory.hosts[other]["new_peers"][1] += 1',
            'memory.hosts[row]["new_peers"][1] += 1',
        ),
    )
)
