"""What tshark says of the same frames, field by field and both ways, over a large external corpus.

docs/conformance.md names the classes of differences and their reasons; any other one fails here.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tapwatch.decode import DecodeStatus
from tests.decode.oracle import FIELDS, Corpus, corpus

Mask = NDArray[np.bool_]


def _one(*names: str) -> Callable[[str], bool]:
    return lambda field: field in names


def _any(_field: str) -> bool:
    return True


def _prints(text: str, column: str) -> Callable[[Corpus], Mask]:
    return lambda c: np.asarray(c.theirs[column].fill_null("")) == text


#: Reasons why a value differs: name -> (of which fields, in which frames).
DIFFERENT: dict[str, tuple[Callable[[str], bool], Callable[[Corpus], Mask]]] = {
    # tshark calls the identifier of an 802.1ad tag ieee8021ad.id, and vlan.id the next one.
    "service tag": (_one("vlan_id"), lambda c: c.has_layer("ieee8021ad")),
    # tshark shows the last stop of a source route as ip.dst; the header holds the next one.
    "source route": (_one("ip_dst"), lambda c: c.ours["ip_header_bytes"] > 20),
    # tshark takes a payload length of 0 at its word, even with 80 kB behind it.
    "length 0": (_one("ipv6_plen"), _prints("0", "ipv6_plen")),
    # ip.proto is 51 there; PACKET.proto is what the authentication header protects, as in IPv6.
    "authentication": (_one("ip_proto"), lambda c: c.has_layer("ah")),
    # tshark takes the last 4 bytes of a frame in Cisco FabricPath for a checksum.
    "fabricpath": (_one("tcp_len"), lambda c: c.has_layer("cfp")),
    # tshark ends the segment where PPPoE's length does, which contradicts that of IP.
    "pppoe length": (_one("tcp_len"), lambda c: c.has_layer("pppoes")),
    # A record that holds more bytes than were on the wire: we believe the bytes.
    "wire length": (
        _one("frame_len"),
        lambda c: c.ours["wire_bytes"] == c.ours["captured_bytes"],
    ),
    # Fractions of over a second overflow tshark's nanoseconds; negative times are unsigned there.
    "time": (
        _one("frame_time_epoch"),
        lambda c: c.is_of(
            "pcaps/tcpdump/timestamp_invalid_micro.pcap",
            "pcaps/tcpdump/timestamp_invalid_nano.pcap",
            "pcaps/nDPI/fuzz-2021-06-07-c6c72a0a56.pcap",
            "pcaps/tcpdump/rx_serviceid_oobr.pcap",
            "pcaps/PcapPlusPlus/PcapExamples_pcapng-example.pcapng",
        ),
    ),
}
#: Reasons why tshark prints a field that our row does not have.
MISSING: dict[str, tuple[Callable[[str], bool], Callable[[Corpus], Mask]]] = {
    # An ICMP error quotes the header of the packet that caused it.
    "quoted": (_any, lambda c: np.isin(c.ours["proto"], (1, 58)) & c.has_layer("icmp", "icmpv6")),
    # Our row is of the outer header: tunnels are opened where that is asked for.
    "inside": (_any, lambda c: c.has_second_header()),
    # ipv6.nxt is compared where no extension header follows; PACKET.proto is the last one's.
    "extension": (_one("ipv6_nxt"), lambda c: c.ours["ip_header_bytes"] > 40),
    # A fragment header whose offset and more-fragments flag are 0 makes no fragment (RFC 6946).
    "atomic": (_one("ipv6_fraghdr_offset"), lambda c: c.ours["is_fragment"] == 0),
}
#: Reasons why our row has a field that tshark does not print.
EXTRA: dict[str, tuple[Callable[[str], bool], Callable[[Corpus], Mask]]] = {
    # A simple packet block has no time: it takes that of the packet before it.
    "no time": (_one("frame_time_epoch"), lambda c: c.ours["number"] > 0),
    "service tag": DIFFERENT["service tag"],
    "fabricpath": (_any, lambda c: c.has_layer("cfp")),
    # tshark leaves the segment length of a fragment open.
    "fragment": (_one("tcp_len"), lambda c: c.ours["is_fragment"] == 1),
    # tshark reads no transport header where the IPv6 payload length is 0.
    "length 0": (_any, _prints("0", "ipv6_plen")),
    # Both read it as the ARP of ATM, of which we read the opcode only.
    "atm": (_one("arp_opcode"), lambda c: c.has_layer("atmarp")),
    # tshark stops at an option that runs past its extension header; we do not read those options.
    "ipv6 option": (_any, lambda c: c.ends_with("ipv6.dstopts")),
}


@pytest.fixture(scope="module")
def verdict() -> dict[str, Counter[Any]]:
    """Equal values by field, explained differences by reason, others in full; refusals."""
    found = corpus()
    counts: dict[str, Counter[Any]] = {name: Counter() for name in ("equal", "why", "unexplained")}
    is_ok = found.ours["status"] == DecodeStatus.OK
    kinds = {"differs": DIFFERENT, "only tshark": MISSING, "only ours": EXTRA}
    for field in FIELDS:
        theirs, is_theirs = found.answer(field)
        ours, is_ours = field.value(found.ours), field.has(found.ours)
        both = is_ok & is_theirs & is_ours
        counts["equal"][field.name] += int((both & (ours == theirs)).sum())
        left = {
            "differs": both & (ours != theirs),
            "only tshark": is_ok & is_theirs & ~is_ours,
            "only ours": is_ok & ~is_theirs & is_ours,
        }
        for kind, mask in left.items():
            for reason, (is_of, applies) in kinds[kind].items():
                if is_of(field.name) and mask.any():
                    explained = mask & applies(found)
                    counts["why"][kind, reason] += int(explained.sum())
                    mask = mask & ~explained
            for i in np.flatnonzero(mask).tolist():
                place = (*found.place(i), int(ours[i]), int(theirs[i]))
                counts["unexplained"][kind, field.name, *place] += 1
    return counts


def test_every_difference_to_tshark_has_a_known_reason(verdict):
    """Of eight million values, all are equal or of a class that is documented, both ways."""
    # With -rP these are the figures of docs/conformance.md.
    print({name: dict(counts) for name, counts in verdict.items()})  # noqa: T201

    assert not verdict["unexplained"]
    assert sum(verdict["equal"].values()) > 8_000_000
    assert sum(n for (kind, _), n in verdict["why"].items() if kind == "differs") < 200


def test_every_field_is_compared_often(verdict):
    """No field agrees only because no frame has it."""
    few = {field.name for field in FIELDS if verdict["equal"][field.name] < 100}

    assert not few


def test_every_reason_is_needed(verdict):
    """No class of differences outlives its cause."""
    kinds = {"differs": DIFFERENT, "only tshark": MISSING, "only ours": EXTRA}
    wanted = {(kind, reason) for kind, reasons in kinds.items() for reason in reasons}

    assert {key for key, n in verdict["why"].items() if n} == wanted


def test_what_is_refused_is_damaged():
    """Of the frames in which tshark sees an IP header, less than one in a thousand is refused."""
    found = corpus()
    has_ip = np.zeros(len(found.ours), bool)
    for field in FIELDS:
        if field.name in ("ip_proto", "ipv6_nxt"):
            has_ip |= found.answer(field)[1]
    is_refused = has_ip & (found.ours["status"] != DecodeStatus.OK)
    refused = Counter(DecodeStatus(s).name for s in found.ours["status"][is_refused].tolist())
    print(f"{dict(refused)} of {has_ip.sum()}")  # noqa: T201

    assert sum(refused.values()) < 0.001 * has_ip.sum()
    assert refused["LINK_TYPE_UNSUPPORTED"] + refused["ETHER_TYPE_UNSUPPORTED"] < 20
