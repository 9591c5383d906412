"""Rules against payloads: which rule takes it, and what it says of the conversation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol import binary_checks as binary
from tapwatch.features.protocol.rules import Check, Table
from tapwatch.features.protocol.tables import Knowledge
from tapwatch.features.protocol.text_checks import http_label, plain_label, sip_label
from tapwatch.features.protocol.tls import dtls_label, quic_label, tls_label
from tapwatch.features.protocol.words import be8, helper, number

_ETHER = int(Table.ETHER)
_PATTERN, _PLAIN, _SOCKS = int(Check.PATTERN), int(Check.PLAIN), int(Check.SOCKS)
_TLS, _DTLS, _QUIC = int(Check.TLS), int(Check.DTLS), int(Check.QUIC)
_HTTP, _SIP, _SSH = int(Check.HTTP), int(Check.SIP), int(Check.SSH)
_RPC_TCP, _RPC_UDP = int(Check.RPC_TCP), int(Check.RPC_UDP)
_STUN, _RDP = int(Check.STUN), int(Check.RDP)
_DHCP, _DNS_ANY = int(Check.DHCP), int(Check.DNS_ANY)


@helper
def fits(data: NDArray[np.uint8], lo: int, hi: int, end: int, row: Any, know: Knowledge) -> bool:
    """Whether a payload has the length of a rule, and begins with one of its patterns, if any."""
    n_bytes = end - lo
    if n_bytes < int(np.int64(row["least"])) or n_bytes > int(np.int64(row["most"])):
        return False
    if row["whole"]:
        # Bounds: the length field, before it is read.
        at = lo + int(np.int64(row["pdu_at"]))
        if hi - at < int(np.int64(row["pdu_n_bytes"])):
            return False
        told = number(data, at, int(np.int64(row["pdu_n_bytes"])), int(np.int64(row["pdu_little"])))
        if told + int(np.int64(row["pdu_add"])) != n_bytes:
            return False
    first, last = int(np.int64(row["first_pattern"])), int(np.int64(row["end_pattern"]))
    if first == last:
        return True
    for p in range(first, last):
        pattern = know.patterns[p]
        is_match = True
        for t in range(int(np.int64(pattern["first_test"])), int(np.int64(pattern["end_test"]))):
            test = know.tests[t]
            at = lo + int(np.int64(test["at"]))
            # Bounds: one byte, only where the payload was captured that far.
            if at >= hi or be8(data, at) & int(np.int64(test["mask"])) != int(
                np.int64(test["value"])
            ):
                is_match = False
                break
        if is_match:
            return True
    return False


@helper
def header_label(data: NDArray[np.uint8], what: int, lo: int, hi: int, know: Knowledge) -> int:
    """Label of what a number in a header announces; 0 where no rule takes it.

    Parameters
    ----------
    what : int
        EtherType, or the number and, from bit 16 on, of what it is; see `links`.
    """
    table = _ETHER + (what >> 16) - (1 if what > 0xFFFF else 0)
    at = int(np.int64(know.ports[table, what & 0xFFFF]))
    while know.chains[at] != 0:
        row = know.rules[int(np.int64(know.chains[at]))]
        if fits(data, lo, hi, hi, row, know):
            return int(np.int64(row["label"]))
        at += 1
    return 0


@helper
def judge(
    data: NDArray[np.uint8],
    lo: int,
    hi: int,
    end: int,
    rule: int,
    certainty: int,
    is_server: int,
    talk: Any,
    know: Knowledge,
) -> int:
    """Label of a payload by one rule; 0 if it is refused, AGAIN if another rule shall be asked.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    lo, hi, end : int
        Where the payload begins, and where it ends in the capture and on the wire; lo < hi <= end.
    rule : int
        Number of the rule.
    certainty : int
        2 where the conversation speaks for the rule, 1 where a port does, 0 where only the payload
        can. What a conversation has been recognised as need not begin every payload.
    is_server : int
        1 where the sender has the server's port.
    talk : TALK record
        Updated.
    know : Knowledge
    """
    row = know.rules[rule]
    label, check = int(np.int64(row["label"])), int(np.int64(row["check"]))
    if certainty < 2 and not fits(data, lo, hi, end, row, know):
        return 0
    if check == _PATTERN:
        return label
    if check == _TLS:
        return tls_label(data, lo, hi, end, talk, certainty)
    if check == _HTTP:
        return http_label(data, lo, hi, talk, certainty)
    if check == _QUIC:
        return quic_label(data, lo, hi, talk, certainty)
    if check == _DTLS:
        return dtls_label(data, lo, hi, talk)
    if check in (_RPC_UDP, _RPC_TCP):
        # On TCP comes a record mark (RFC 5531 section 11) before the message.
        skip = 4 if check == _RPC_TCP else 0
        return binary.rpc_label(data, lo + skip, hi, talk, certainty, know)
    if check == _SIP:
        return sip_label(data, lo, hi)
    if check in (_PLAIN, _SOCKS):
        return plain_label(data, lo, hi, talk, label, 1 if check == _SOCKS else 0)
    if check == _SSH:
        return binary.ssh_label(data, lo, hi, talk, is_server)
    if check == _STUN:
        return binary.stun_label(data, lo, hi, end, certainty)
    if check == _RDP:
        return binary.rdp_label(data, lo, hi, end, talk)
    if check == _DHCP:
        return binary.dhcp_label(data, lo, hi)
    return label if certainty or binary.is_dns_query(data, lo, hi) else 0
