"""The rules as arrays, for the kernel."""

from collections.abc import Iterable
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.label_names import LABELS
from tapwatch.features.protocol import header_rules
from tapwatch.features.protocol.rules import Rule, Table, first_bytes
from tapwatch.features.protocol.tcp_rules import TCP_RULES
from tapwatch.features.protocol.udp_rules import UDP_RULES

#: One rule; rule 0 is none. Patterns and tests are ranges of the other arrays.
RULE: Final = np.dtype(
    [
        ("label", "<u2"),
        ("least", "<u2"),
        ("most", "<u2"),
        ("first_pattern", "<u2"),
        ("end_pattern", "<u2"),
        ("check", "u1"),
        ("holds", "u1"),
        ("pdu_header_bytes", "u1"),  # 0 where messages do not tell their length
        ("pdu_at", "u1"),
        ("pdu_n_bytes", "u1"),
        ("pdu_add", "u1"),
        ("pdu_little", "u1"),
        ("whole", "u1"),
    ],
    align=True,
)
PATTERN: Final = np.dtype([("first_test", "<u2"), ("end_test", "<u2")], align=True)
TEST: Final = np.dtype([("at", "u1"), ("mask", "u1"), ("value", "u1")], align=True)

_N_PORTS: Final = 1 << 16

#: Instead of a label: the conversation has got another rule, which is to be asked.
AGAIN: Final = -3

#: The lists of rules, by the table that their numbers are of.
RULES: Final[dict[Table, tuple[Rule, ...]]] = {
    Table.TCP: TCP_RULES,
    Table.UDP: UDP_RULES,
    Table.ETHER: header_rules.ETHER_RULES,
    Table.IP: header_rules.IP_RULES,
    Table.SAP: header_rules.SAP_RULES,
    Table.PPP: header_rules.PPP_RULES,
}
#: All of them one after the other, numbered from 1 on.
ALL_RULES: Final[tuple[tuple[Table, Rule], ...]] = tuple(
    (table, rule) for table, rules in RULES.items() for rule in rules
)


class Knowledge(NamedTuple):
    """Everything the kernel knows of protocols."""

    rules: NDArray[Any]  # RULE (n_rules + 1,)
    patterns: NDArray[Any]  # PATTERN
    tests: NDArray[Any]  # TEST
    ports: NDArray[np.uint16]  # (len(Table), 65536) where in `chains` a number's rules begin
    any_port: NDArray[np.uint16]  # (2, 256) the same by first byte, of rules for any port
    chains: NDArray[np.uint16]  # rules one after the other, ended by 0; the first entry is 0
    snap: NDArray[np.int64]  # (n, 2) organisation and protocol, label
    link_types: NDArray[np.uint16]  # (65536,) labels
    programs: NDArray[np.int64]  # (n, 2) program number of ONC RPC, label
    tunnel_ports: NDArray[np.uint8]  # (65536,) of UDP, 1 where a tunnel may be
    gtp: NDArray[np.uint16]  # (n_labels,) label of each label inside of GTP


def label_index(name: str) -> int:
    """Class of a label; a rule with a label that does not exist is a fault of ours."""
    return LABELS.index(name)


def rule_number(label: str, table: Table) -> int:
    """Give the first rule of this name in a table."""
    return next(
        n for n, (of, rule) in enumerate(ALL_RULES, 1) if (of, rule.label) == (table, label)
    )


@cache
def knowledge() -> Knowledge:
    """All rules as arrays, made once."""
    rules = np.zeros(len(ALL_RULES) + 1, RULE)
    patterns: list[tuple[int, int]] = []
    tests: list[tuple[int, int, int]] = []
    for number, (_, rule) in enumerate(ALL_RULES, 1):
        row = rules[number]
        row["label"] = label_index(rule.label)
        row["least"], row["most"] = rule.least, rule.most or 0xFFFF
        row["check"], row["holds"], row["whole"] = rule.check, rule.holds, rule.whole
        row["first_pattern"] = len(patterns)
        for pattern in rule.starts:
            patterns.append((len(tests), len(tests) + len(pattern)))
            tests.extend((test.at, test.mask, test.value) for test in pattern)
        row["end_pattern"] = len(patterns)
        if rule.pdu:
            row["pdu_header_bytes"], row["pdu_at"] = rule.pdu.header_bytes, rule.pdu.at
            row["pdu_n_bytes"], row["pdu_add"] = rule.pdu.n_bytes, rule.pdu.add
            row["pdu_little"] = rule.pdu.little
    ports, any_port, chains = _chains()
    return Knowledge(
        rules,
        np.array(patterns, PATTERN),
        np.array(tests, TEST),
        ports,
        any_port,
        chains,
        np.array([(k, label_index(v)) for k, v in header_rules.SNAP_PROTOCOLS.items()], np.int64),
        _labels(header_rules.LINK_TYPES, 1 << 16),
        np.array([(k, label_index(v)) for k, v in header_rules.PROGRAMS.items()], np.int64),
        _tunnel_ports(),
        _gtp_labels(),
    )


def _numbers(table: Table) -> list[tuple[int, Rule]]:
    return [(number, rule) for number, (of, rule) in enumerate(ALL_RULES, 1) if of == table]


def _chains() -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint16]]:
    """Rules by number, and by first byte on any port, in the order of the list."""
    ports = np.zeros((len(Table), _N_PORTS), np.uint16)
    any_port = np.zeros((2, 256), np.uint16)
    chains = [0]
    places: dict[tuple[int, ...], int] = {(): 0}

    def place(numbers: Iterable[int]) -> int:
        chain = tuple(numbers)
        if chain not in places:
            places[chain] = len(chains)
            chains.extend((*chain, 0))
        return places[chain]

    for table in Table:
        by_port: dict[int, list[int]] = {}
        for number, rule in _numbers(table):
            for port in rule.ports:
                by_port.setdefault(port, []).append(number)
        for port, numbers in by_port.items():
            ports[table, port] = place(numbers)
    for table in (Table.TCP, Table.UDP):
        rules = [(n, first_bytes(rule)) for n, rule in _numbers(table) if rule.heuristic]
        for byte in range(256):
            any_port[table, byte] = place(n for n, opens in rules if byte in opens)
    return ports, any_port, np.array(chains, np.uint16)


def _labels(names: dict[int, str], n: int) -> NDArray[np.uint16]:
    labels = np.zeros(n, np.uint16)
    for number, name in names.items():
        labels[number] = label_index(name)
    return labels


def _tunnel_ports() -> NDArray[np.uint8]:
    ports = np.zeros(_N_PORTS, np.uint8)
    ports[list(header_rules.TUNNEL_PORTS)] = 1
    return ports


def _gtp_labels() -> NDArray[np.uint16]:
    """Wireshark writes what GTP carries in angle brackets."""
    names = [name if (name := f"GTP <{label}>") in LABELS else "GTP" for label in LABELS]
    return np.array([label_index(name) for name in names], np.uint16)
