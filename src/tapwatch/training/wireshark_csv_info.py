"""What Wireshark's column Info says of a packet, as values of the packet view.

All patterns are RE2 (pyarrow): their time is linear in the text, whatever it holds.

    any     "[TCP Retransmission] ...", "[TCP Dup ACK 5#1] ..." in front: tcp_analysis_*
    TCP     "SRC → DST [SYN, ACK] Seq= Ack= Win= Len= MSS= WS= SACK_PERM TSval= SLE=": port classes,
            flags, window, length, options; ports and sequence number
    UDP     "SRC → DST Len=N": port classes, length; Len is that of the payload
    ARP     "Who has A? Tell B", "A is at M", "Gratuitous ARP for A (Reply)", "ARP Announcement for
            A", others: the operation, and whether it is gratuitous
    ICMP    "Echo (ping) request ...", "Destination unreachable (Host unreachable)": the type. The
            code has words in a few types alone, so that it is never given.
    ICMPv6  the same
    IPv4    "Fragmented IP protocol (proto=UDP 17, off=1480, ID=..)": the offset
    IPv6    "IPv6 fragment (off=1448 more=n ...)": the offset

`→` is `>` in older versions, and other things where it was saved in another encoding: any three
characters do. A port that is given by its name has no class, and the row counts as not read.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tapwatch.training.wireshark_csv_icmp import ICMP_TYPES, ICMPV6_TYPES

#: Column -> its values on the rows that were looked at.
Columns = dict[str, NDArray[Any]]
#: What TCP's Info says and no column is: -1 where one of them is not there.
NUMBERS: Final = ("src_port", "dst_port", "seq")

_MARKS: Final = {
    "retransmission": r"\[TCP Retransmission\]",
    "fast_retransmission": r"\[TCP Fast Retransmission\]",
    "spurious_retransmission": r"\[TCP Spurious Retransmission\]",
    "out_of_order": r"\[TCP Out-Of-Order\]",
    "lost_segment": r"\[TCP Previous segment (?:not captured|lost)\]",
    "ack_lost_segment": r"\[TCP ACKed (?:unseen|lost) segment\]",
    "duplicate_ack": r"\[TCP Dup ACK [^\]]*\]",
    "keep_alive": r"\[TCP Keep-Alive\]",
    "keep_alive_ack": r"\[TCP Keep-Alive ACK\]",
    "window_update": r"\[TCP Window Update\]",
    "window_full": r"\[TCP Window Full\]",
    "zero_window": r"\[TCP Zero ?Window\]",
    "zero_window_probe": r"\[TCP Zero ?Window ?Probe\]",
    "zero_window_probe_ack": r"\[TCP Zero ?Window ?Probe ?A[Cc][Kk]\]",
    "reused_ports": r"\[TCP Port numbers reused\]",
}
#: SSH names the side before the marks are put there.
_SIDE: Final = r"^(?:Client: |Server: )?"
#: Brackets in front, with what dissectors put between them and their own text.
_FRONT: Final = rf"{_SIDE}(?:\s*\[[^\]]*\][ ,]*)+"
_ARROW: Final = r"\s+\S{1,3}\s+"
_TCP: Final = rf"^(?P<src>\S+){_ARROW}(?P<dst>\S+)\s+\[(?P<flags>[^\]]*)\]\s+(?P<rest>Seq=.*)$"
_UDP: Final = rf"^(?P<src>\S+){_ARROW}(?P<dst>\S+)\s+(?P<rest>(?:\[BAD |Len=).*)$"
#: "443", or "https(443)" as older versions write.
_PORT: Final = r"^(?:[\w.-]+\()?(?P<n>\d{1,5})\)?$"
_FLAGS: Final = {
    "fin": "FIN",
    "syn": "SYN",
    "reset": "RST",
    "push": "PSH",
    "ack": "ACK",
    "urg": "URG",
    "ece": "EC[EN]",
    "cwr": "CWR",
    "ae": "AE|NS",
}
_OPTIONS: Final = {
    "mss": r"\bMSS=",
    "wscale": r"\bWS=",
    "sack_perm": r"\bSACK_PERM\b",
    "sack": r"\bSLE=",
    "timestamp": r"\bTSval=",
}
_FIRST_REGISTERED, _FIRST_DYNAMIC = 1024, 49_152  # RFC 6335 6
_UDP_HEADER_BYTES: Final = 8
#: Words, and what ends them: brackets, an address, or what belongs to this message.
_ICMP: Final = (
    r"^(?P<type>(?:[a-z0-9-]+ ?)+?)\s*"
    r"(?:$|\[|id=|for |from |[0-9a-f]*:|\((?P<bracket>[^()]*)\)?)"
)


def _matches(texts: pa.Array, pattern: str) -> NDArray[np.bool_]:
    return np.asarray(pc.match_substring_regex(texts, pattern))


def _groups(texts: pa.Array, pattern: str) -> dict[str, pa.Array]:
    found = pc.extract_regex(texts, pattern)
    return {field.name: pc.struct_field(found, field.name) for field in found.type}


def _numbers(texts: pa.Array, pattern: str) -> NDArray[np.int64]:
    """The number in the first group, -1 where there is none."""
    digits = _groups(texts, pattern)["n"]
    return np.asarray(pc.fill_null(pc.cast(digits, pa.int64()), -1))


def read_marks(info: pa.Array) -> tuple[pa.Array, Columns]:
    """Take the brackets from the front of Info: what is left of it, and `tcp_analysis_*`.

    A mark inside the text, where a host could write it, counts for nothing.
    """
    columns = {f"tcp_analysis_{name}": np.zeros(len(info), np.bool_) for name in _MARKS}
    places = np.flatnonzero(_matches(info, rf"{_SIDE}\s*\["))
    if len(places) == 0:
        return info, columns
    marked = info.take(pa.array(places))
    bodies = pc.replace_substring_regex(marked, _FRONT, "")
    front_chars = np.asarray(pc.utf8_length(marked)) - np.asarray(pc.utf8_length(bodies))
    # Few texts differ in front, so that the marks are looked for once each.
    fronts = pa.array(
        [text[:n] for text, n in zip(marked.to_pylist(), front_chars.tolist(), strict=True)]
    ).dictionary_encode()
    which = np.asarray(fronts.indices)
    for name, pattern in _MARKS.items():
        columns[f"tcp_analysis_{name}"][places] = _matches(fronts.dictionary, pattern)[which]
    columns["tcp_analysis_retransmission"] |= (
        columns["tcp_analysis_fast_retransmission"]
        | columns["tcp_analysis_spurious_retransmission"]
    )
    mask = np.zeros(len(info), np.bool_)
    mask[places] = True
    return pc.replace_with_mask(info, pa.array(mask), bodies), columns


def _port_classes(end: str, ports: NDArray[np.int64]) -> tuple[Columns, NDArray[np.bool_]]:
    is_port = (ports >= 0) & (ports < 1 << 16)
    columns: Columns = {
        f"{end}_port_system": is_port & (ports < _FIRST_REGISTERED),
        f"{end}_port_registered": (ports >= _FIRST_REGISTERED) & (ports < _FIRST_DYNAMIC),
        f"{end}_port_dynamic": is_port & (ports >= _FIRST_DYNAMIC),
    }
    return columns, is_port


def _amount(texts: pa.Array, name: str) -> NDArray[np.int64]:
    return _numbers(texts, rf"\b{name}=(?P<n>\d{{1,10}})\b")


def _last_amount(texts: pa.Array, name: str) -> NDArray[np.int64]:
    return _numbers(texts, rf"^.*\b{name}=(?P<n>\d{{1,10}})\b")


def _read_tcp(info: pa.Array) -> tuple[Columns, NDArray[np.bool_]]:
    parts = _groups(info, _TCP)
    is_read = np.asarray(pc.is_valid(parts["src"]))
    flags, rest = pc.fill_null(parts["flags"], ""), pc.fill_null(parts["rest"], "")
    src, dst = _numbers(parts["src"], _PORT), _numbers(parts["dst"], _PORT)
    columns, has_src = _port_classes("src", src)
    of_dst, has_dst = _port_classes("dst", dst)
    columns |= of_dst
    columns["tcp"] = is_read
    seq, length = _amount(rest, "Seq"), _amount(rest, "Len")
    # A first fragment has no length: what comes next is not known.
    is_whole = has_src & has_dst & (seq >= 0) & (length >= 0)
    for name, some in zip(NUMBERS, (src, dst, seq), strict=True):
        columns[name] = np.where(is_whole, some, -1)
    columns["tcp_len"] = np.maximum(length, 0)
    columns["payload_len_bytes"] = columns["tcp_len"]
    columns["tcp_window_size"] = np.maximum(_amount(rest, "Win"), 0)
    words = flags.dictionary_encode()
    which = np.asarray(words.indices)
    for name, word in _FLAGS.items():
        columns[f"tcp_flags_{name}"] = _matches(words.dictionary, rf"\b(?:{word})\b")[which]
    for name, pattern in _OPTIONS.items():
        columns[f"tcp_options_{name}"] = _matches(rest, pattern)
    # Of an option that is there twice the last one counts.
    columns["tcp_options_mss_val"] = np.maximum(_last_amount(rest, "MSS"), 0)
    # Info has the factor, a power of two: frexp gives its exponent plus one, without rounding.
    factor = np.clip(_last_amount(rest, "WS"), 1, 1 << 14)
    columns["tcp_options_wscale_shift"] = np.frexp(factor.astype(np.float64))[1] - 1
    return columns, is_read & has_src & has_dst


def _read_udp(info: pa.Array) -> tuple[Columns, NDArray[np.bool_]]:
    parts = _groups(info, _UDP)
    is_read = np.asarray(pc.is_valid(parts["src"]))
    columns, has_src = _port_classes("src", _numbers(parts["src"], _PORT))
    of_dst, has_dst = _port_classes("dst", _numbers(parts["dst"], _PORT))
    columns |= of_dst
    payload_bytes = _amount(pc.fill_null(parts["rest"], ""), "Len")
    has_length = payload_bytes >= 0
    # The length field of a jumbogram holds 0 (RFC 2675 4).
    is_jumbo = _matches(info, r"\[Jumbogram\]$")
    columns["udp"] = is_read
    columns["udp_length"] = (payload_bytes + _UDP_HEADER_BYTES) * (has_length & ~is_jumbo)
    return columns, is_read & has_length & has_src & has_dst


def _read_arp(info: pa.Array) -> tuple[Columns, NDArray[np.bool_]]:
    is_own = _matches(info, r"^(?:Gratuitous ARP|ARP Announcement) for ")
    is_reply = _matches(info, r"^(?:\S+ is at |Gratuitous ARP for \S+ \(Reply\))")
    is_request = _matches(info, r"^(?:Who has |ARP Probe |Gratuitous ARP |ARP Announcement )")
    is_request &= ~is_reply
    # Whatever else is worded is another operation, "Unknown ARP opcode 0x0007" and the like.
    is_other = ~(is_request | is_reply) & _matches(info, r"^[A-Z]")
    is_read = is_request | is_reply | is_other
    columns: Columns = {
        "arp": is_read,
        "arp_opcode_request": is_request,
        "arp_opcode_reply": is_reply,
        "arp_opcode_other": is_other,
        "arp_isgratuitous": is_own,
    }
    return columns, is_read


def _read_icmp(
    flag: str, types: Mapping[str, int], info: pa.Array
) -> tuple[Columns, NDArray[np.bool_]]:
    # "(ping) " is no bracket; numbers and addresses behind the words are cut off.
    texts = pc.replace_substring(pc.utf8_lower(info), "(ping) ", "")
    heads = pc.utf8_slice_codeunits(texts, 0, 96).dictionary_encode()
    parts = _groups(heads.dictionary, _ICMP)
    words = [" ".join(word.split()) for word in pc.fill_null(parts["type"], "").to_pylist()]
    brackets = pc.fill_null(parts["bracket"], "").to_pylist()
    # Names that hold what ends the others.
    long_words = tuple(word for word in types if " for " in word)
    kinds = np.zeros(len(words), np.int64)
    is_read = np.ones(len(words), np.bool_)
    for k, (word, bracket, text) in enumerate(
        zip(words, brackets, heads.dictionary.to_pylist(), strict=True)
    ):
        whole = next((name for name in long_words if text.startswith(name)), word)
        if whole in types:
            kinds[k] = types[whole]
        elif word == "unknown" and bracket.isascii() and bracket.isdigit():
            kinds[k] = min(int(bracket), 255)
        else:
            is_read[k] = False
    which = np.asarray(heads.indices)
    # What the label says needs no words: "Reserved" and "Unknown ICMP" are of many types.
    return {flag: np.ones(len(info), np.bool_), "icmp_type": kinds[which]}, is_read[which]


def _read_fragment(info: pa.Array) -> tuple[Columns, NDArray[np.bool_]]:
    is_fragment = _matches(info, r"^(?:Fragmented IP protocol|IPv6 fragment) \(")
    offset = _numbers(info, r"\boff=(?P<n>\d{1,5})\b")
    return {"ip_frag_offset": np.maximum(offset, 0) * is_fragment}, np.ones(len(info), np.bool_)


#: Label -> how Info is read on its rows: columns, and which rows said what they should.
READERS: Final[dict[str, Callable[[pa.Array], tuple[Columns, NDArray[np.bool_]]]]] = {
    "TCP": _read_tcp,
    "UDP": _read_udp,
    "ARP": _read_arp,
    "ICMP": lambda info: _read_icmp("icmp", ICMP_TYPES, info),
    "ICMPv6": lambda info: _read_icmp("icmpv6", ICMPV6_TYPES, info),
    "IPv4": _read_fragment,
    "IPv6": _read_fragment,
}
