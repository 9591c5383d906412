"""The rules as arrays, for the kernel."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.label_names import LABELS
from tapwatch.features.protocol import header_rules
from tapwatch.features.protocol.rules import Rule
from tapwatch.features.protocol.tcp_rules import TCP_RULES
from tapwatch.features.protocol.udp_rules import UDP_RULES

#: One rule; rule 0 is none. Patterns and tests are ranges of the other arrays.
RULE: Final = np.dtype(
    [
        ("label", "<u2"),
        ("least", "<u2"),
        ("first_pattern", "<u2"),
        ("end_pattern", "<u2"),
        ("check", "u1"),
        ("holds", "u1"),
        ("pdu_header_bytes", "u1"),  # 0 where messages do not tell their length
        ("pdu_at", "u1"),
        ("pdu_n_bytes", "u1"),
        ("pdu_add", "u1"),
        ("pdu_little", "u1"),
    ],
    align=True,
)
PATTERN: Final = np.dtype([("first_test", "<u2"), ("end_test", "<u2")], align=True)
TEST: Final = np.dtype([("at", "u1"), ("mask", "u1"), ("value", "u1")], align=True)

_N_PORTS: Final = 1 << 16
_N_ETHER_TYPES: Final = 1 << 16

#: All rules in one list: those of TCP, then those of UDP, from 1 on.
ALL_RULES: Final[tuple[Rule, ...]] = (*TCP_RULES, *UDP_RULES)
N_TCP_RULES: Final = len(TCP_RULES)


class Knowledge(NamedTuple):
    """Everything the kernel knows of protocols."""

    rules: NDArray[Any]  # RULE (n_rules + 1,)
    patterns: NDArray[Any]  # PATTERN
    tests: NDArray[Any]  # TEST
    ports: NDArray[np.uint16]  # (2, 65536) of TCP and UDP: where in `chains` their rules begin
    chains: NDArray[np.uint16]  # rules one after the other, ended by 0; the first entry is 0
    heuristics: NDArray[np.uint16]  # (2, n) rules that are tried on any port, ended by 0
    ether_types: NDArray[np.uint16]  # (65536,) labels; 0 where none is known
    ip_protocols: NDArray[np.uint16]  # (256,) labels
    ppp_protocols: NDArray[np.uint16]  # (65536,) labels
    saps: NDArray[np.uint16]  # (256,) labels
    snap: NDArray[np.int64]  # (n, 2) organisation and protocol, label
    link_types: NDArray[np.uint16]  # (65536,) labels
    tunnel_ports: NDArray[np.uint8]  # (65536,) of UDP, 1 where a tunnel may be
    gtp: NDArray[np.uint16]  # (n_labels,) label of each label inside of GTP


def label_index(name: str) -> int:
    """Class of a label; a rule with a label that does not exist is a fault of ours."""
    return LABELS.index(name)


def rule_number(label: str, *, udp: bool) -> int:
    """The first rule of this name on TCP or UDP."""
    for number, rule in enumerate(ALL_RULES, 1):
        if rule.label == label and udp == (number > N_TCP_RULES):
            return number
    raise KeyError(label)


@cache
def knowledge() -> Knowledge:
    """All rules as arrays, made once."""
    rules = np.zeros(len(ALL_RULES) + 1, RULE)
    patterns: list[tuple[int, int]] = []
    tests: list[tuple[int, int, int]] = []
    for number, rule in enumerate(ALL_RULES, 1):
        row = rules[number]
        row["label"] = label_index(rule.label)
        row["least"], row["check"], row["holds"] = rule.least, rule.check, rule.holds
        row["first_pattern"] = len(patterns)
        for pattern in rule.starts:
            patterns.append((len(tests), len(tests) + len(pattern)))
            tests.extend((test.at, test.mask, test.value) for test in pattern)
        row["end_pattern"] = len(patterns)
        if rule.pdu:
            row["pdu_header_bytes"], row["pdu_at"] = rule.pdu.header_bytes, rule.pdu.at
            row["pdu_n_bytes"], row["pdu_add"] = rule.pdu.n_bytes, rule.pdu.add
            row["pdu_little"] = rule.pdu.little
    ports, chains = _chains()
    return Knowledge(
        rules,
        np.array(patterns, PATTERN),
        np.array(tests, TEST),
        ports,
        chains,
        _heuristics(),
        _labels(header_rules.ETHER_TYPES, _N_ETHER_TYPES),
        _labels(header_rules.IP_PROTOCOLS, 256),
        _labels(header_rules.PPP_PROTOCOLS, 1 << 16),
        _labels(header_rules.LLC_SAPS, 256),
        np.array([(k, label_index(v)) for k, v in header_rules.SNAP_PROTOCOLS.items()], np.int64),
        _labels(header_rules.LINK_TYPES, 1 << 16),
        _tunnel_ports(),
        _gtp_labels(),
    )


def _numbers(udp: bool) -> Sequence[tuple[int, Rule]]:
    numbered = list(enumerate(ALL_RULES, 1))
    return numbered[N_TCP_RULES:] if udp else numbered[:N_TCP_RULES]


def _chains() -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Rules by port, in the order of the list."""
    ports = np.zeros((2, _N_PORTS), np.uint16)
    chains = [0]
    known: dict[tuple[int, ...], int] = {}
    for udp in (False, True):
        by_port: dict[int, list[int]] = {}
        for number, rule in _numbers(udp):
            for port in rule.ports:
                by_port.setdefault(port, []).append(number)
        for port, numbers in by_port.items():
            chain = tuple(numbers)
            if chain not in known:
                known[chain] = len(chains)
                chains.extend((*chain, 0))
            ports[int(udp), port] = known[chain]
    return ports, np.array(chains, np.uint16)


def _heuristics() -> NDArray[np.uint16]:
    lists = [[n for n, rule in _numbers(udp) if rule.heuristic] for udp in (False, True)]
    heuristics = np.zeros((2, max(map(len, lists)) + 1), np.uint16)
    for row, numbers in zip(heuristics, lists, strict=True):
        row[: len(numbers)] = numbers
    return heuristics


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
