"""Rules against payloads: which rule takes it, and what it says of the conversation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol import binary_checks as binary
from tapwatch.features.protocol.rules import Check
from tapwatch.features.protocol.tables import Knowledge
from tapwatch.features.protocol.text_checks import http_label, plain_label, sip_label
from tapwatch.features.protocol.tls import dtls_label, quic_label, tls_label
from tapwatch.features.protocol.words import be8, helper, number

_PATTERN = int(Check.PATTERN)
_TLS, _DTLS, _QUIC = int(Check.TLS), int(Check.DTLS), int(Check.QUIC)
_HTTP, _SIP, _PLAIN = int(Check.HTTP), int(Check.SIP), int(Check.PLAIN)
_SSH, _NBSS, _TPKT, _SOCKS = int(Check.SSH), int(Check.NBSS), int(Check.TPKT), int(Check.SOCKS)
_RPC_TCP, _RPC_UDP = int(Check.RPC_TCP), int(Check.RPC_UDP)
_STUN_TCP, _STUN = int(Check.STUN_TCP), int(Check.STUN)
_NBDGM, _DHCP, _ISAKMP_NAT = int(Check.NBDGM), int(Check.DHCP), int(Check.ISAKMP_NAT)
_RIP, _HSRP, _BVLC, _RX = int(Check.RIP), int(Check.HSRP), int(Check.BVLC), int(Check.RX)
_IEC104, _ENIP, _DROPBOX = int(Check.IEC104), int(Check.ENIP), int(Check.DROPBOX)
_SKINNY, _DNS_ANY, _WIREGUARD = int(Check.SKINNY), int(Check.DNS_ANY), int(Check.WIREGUARD)

#: Messages that are followed within one segment; what is behind them begins anew.
_MAX_PDUS = 64


@helper
def fits(data: NDArray[np.uint8], lo: int, hi: int, row: Any, know: Knowledge) -> bool:
    """Whether a payload begins with one of the patterns of a rule, or the rule has none."""
    first, last = int(row["first_pattern"]), int(row["end_pattern"])
    if first == last:
        return True
    for p in range(first, last):
        pattern = know.patterns[p]
        is_match = True
        for t in range(int(pattern["first_test"]), int(pattern["end_test"])):
            test = know.tests[t]
            at = lo + int(test["at"])
            # Bounds: one byte, only where the payload was captured that far.
            if at >= hi or be8(data, at) & int(test["mask"]) != int(test["value"]):
                is_match = False
                break
        if is_match:
            return True
    return False


@helper
def judge(
    data: NDArray[np.uint8],
    lo: int,
    hi: int,
    end: int,
    rule: int,
    certainty: int,
    is_server: int,
    server_port: int,
    talk: Any,
    know: Knowledge,
) -> int:
    """Label of a payload by one rule; 0 where it is refused.

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
    server_port : int
    talk : TALK record
        Updated.
    know : Knowledge
    """
    row = know.rules[rule]
    label, check = int(row["label"]), int(row["check"])
    if certainty < 2 and (end - lo < int(row["least"]) or not fits(data, lo, hi, row, know)):
        return 0
    if check == _PATTERN:
        return label
    if check == _TLS:
        return tls_label(data, lo, hi, end, talk, certainty)
    if check == _HTTP:
        return http_label(data, lo, hi, end, talk, certainty)
    if check == _QUIC:
        return quic_label(data, lo, hi, talk, certainty)
    if check == _DTLS:
        return dtls_label(data, lo, hi, talk)
    if check in (_STUN, _STUN_TCP):
        return _judge_stun(data, lo, hi, end, check)
    if check == _RPC_UDP:
        return binary.rpc_label(data, lo, hi, talk, certainty)
    if check == _RPC_TCP:
        # The record mark (RFC 5531 section 11), then the message.
        return binary.rpc_label(data, lo + 4, hi, talk, certainty)
    if check == _SIP:
        return sip_label(data, lo, hi)
    if check == _PLAIN:
        return plain_label(data, lo, hi, end, talk, label)
    if check == _SSH:
        return binary.ssh_label(data, lo, hi, talk, is_server)
    if check == _TPKT:
        return binary.tpkt_label(data, lo, hi, server_port)
    if check == _SOCKS:
        return binary.socks_label(data, lo, hi, end, talk)
    if check == _DNS_ANY:
        return label if certainty or binary.is_dns_query(data, lo, hi) else 0
    if check == _WIREGUARD:
        return label if binary.is_wireguard(data, lo, hi, end) else 0
    return _judge_rare(data, lo, hi, check, label)


@helper
def _judge_stun(data: NDArray[np.uint8], lo: int, hi: int, end: int, check: int) -> int:
    if check == _STUN_TCP:
        # RFC 4571: a length comes first where STUN shares a stream with media.
        label = binary.stun_label(data, lo + 2, hi, end, 0)
        if label != 0:
            return label
    return binary.stun_label(data, lo, hi, end, 0)


@helper
def _judge_rare(data: NDArray[np.uint8], lo: int, hi: int, check: int, label: int) -> int:
    if check == _NBSS:
        return binary.nbss_label(data, lo, hi)
    if check == _DHCP:
        return binary.dhcp_label(data, lo, hi)
    if check == _NBDGM:
        return binary.nbdgm_label(data, lo, hi)
    if check == _ISAKMP_NAT:
        return binary.isakmp_label(data, lo, hi)
    if check == _RIP:
        return binary.rip_label(data, lo, hi)
    if check == _HSRP:
        return binary.hsrp_label(data, lo, hi)
    if check == _BVLC:
        return binary.bvlc_label(data, lo, hi)
    if check == _RX:
        return binary.rx_label(data, lo, hi)
    if check == _IEC104:
        return binary.iec104_label(data, lo, hi)
    if check == _ENIP:
        return binary.enip_label(data, lo, hi)
    if check == _DROPBOX:
        return binary.dropbox_label(data, lo, hi)
    if check == _SKINNY:
        return label if binary.skinny_fits(data, lo, hi) else 0
    return label


@helper
def rest_of_message(
    data: NDArray[np.uint8], lo: int, hi: int, end: int, rule: int, know: Knowledge
) -> int:
    """How many bytes of the last message are still to come in later segments."""
    row = know.rules[rule]
    header_bytes = int(row["pdu_header_bytes"])
    if header_bytes == 0:
        return 0
    here = lo
    for _ in range(_MAX_PDUS):
        # Bounds: the length field lies within the header, which was captured.
        if hi - here < header_bytes:
            return 0
        at, n_bytes = here + int(row["pdu_at"]), int(row["pdu_n_bytes"])
        n = number(data, at, n_bytes, int(row["pdu_little"])) + int(row["pdu_add"])
        here += max(n, header_bytes)
        if here > end:
            return here - end
    return 0
