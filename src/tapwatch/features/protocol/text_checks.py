"""Protocols of lines of text: HTTP, SIP, mail, FTP."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.rules import Table
from tapwatch.features.protocol.tables import AGAIN, label_index, rule_number
from tapwatch.features.protocol.tls import is_client_hello
from tapwatch.features.protocol.words import be8, be16, be24, be32, helper

_TCP = label_index("TCP")
_HTTP = label_index("HTTP")
_HTTP_JSON = label_index("HTTP/JSON")
_HTTP_XML = label_index("HTTP/XML")
_OCSP = label_index("OCSP")
_IPP = label_index("IPP")
_HTTP2 = label_index("HTTP2")
_SIP = label_index("SIP")
_SIP_SDP = label_index("SIP/SDP")
_R_TLS = rule_number("SSL", Table.TCP)
_R_HTTP = rule_number("HTTP", Table.TCP)
_R_WEBSOCKET = rule_number("WebSocket", Table.TCP)
_R_HTTP2 = rule_number("HTTP2", Table.TCP)

#: How far into a segment a header block is read.
_MAX_HEADER_BYTES: Final = 2048
_CR, _LF, _SPACE = 0x0D, 0x0A, 0x20
_LOWER: Final = 0x20202020
# Four characters as one number.
_HTTP_WORD: Final = 0x48545450  # "HTTP"
_CONNECT: Final = 0x434F4E4E  # "CONN"
_UPGRADED: Final = 0x313031  # "101"
_SIP_WORD: Final = 0x5349502F  # "SIP/"
_SEEN, _CONNECTED = 1, 2  # TALK.state: HTTP was spoken; a proxy was asked to pass on what comes
_METHODS: Final = (
    *(0x47455420, 0x504F5354, 0x48454144, 0x50555420),  # GET, POST, HEAD, PUT
    *(0x44454C45, 0x4F505449, 0x434F4E4E, 0x54524143),  # DELETE, OPTIONS, CONNECT, TRACE
    *(0x50415443, 0x50524F50, 0x4D4B434F, 0x4E4F5449),  # PATCH, PROPFIND, MKCOL, NOTIFY
    *(0x4D2D5345, 0x53554253, 0x554E5355, 0x5250435F),  # M-SEARCH, SUBSCRIBE, UNSUBSCRIBE, RPC_
    *(0x42495453, 0x434F5059, 0x4D4F5645, 0x4C4F434B),  # BITS_POST, COPY, MOVE, LOCK
    *(0x554E4C4F, 0x53454152, 0x5245504F, 0x43484543),  # UNLOCK, SEARCH, REPORT, CHECKOUT
)


@helper
def is_http(data: NDArray[np.uint8], lo: int, hi: int) -> bool:
    """Whether a request or response line begins here."""
    # Bounds: the first four bytes are read behind this line.
    if hi - lo < 5:
        return False
    # All of them begin with a capital letter from B to U.
    if not 0x42 <= be8(data, lo) <= 0x55:
        return False
    word = be32(data, lo)
    return word == _HTTP_WORD or word in _METHODS


@helper
def http_label(data: NDArray[np.uint8], lo: int, hi: int, talk: Any, is_certain: int) -> int:
    """Label of a TCP segment that may be HTTP; 0 where it is not.

    On its ports, what comes before any request or response is nobody's.
    """
    if not is_http(data, lo, hi) or not _has_line(data, lo, hi):
        if not is_certain:
            return 0
        # Bounds: the preface of HTTP/2 (RFC 9113 section 3.4) is told by its first five bytes.
        if hi - lo >= 5 and be32(data, lo) == 0x50524920 and be8(data, lo + 4) == 0x2A:
            talk["rule"] = _R_HTTP2
            return _HTTP2
        if talk["state"] == _CONNECTED and is_client_hello(data, lo, hi):
            talk["rule"] = _R_TLS
            return AGAIN
        label = _HTTP if talk["state"] else _TCP
        # The beginning of a line is enough for what comes next.
        if is_http(data, lo, hi):
            talk["state"] = max(int(talk["state"]), _SEEN)
        return label
    stop = min(hi, lo + _MAX_HEADER_BYTES)
    if not is_certain and not _has_version(data, lo, stop):
        return 0
    talk["state"] = _CONNECTED if be32(data, lo) == _CONNECT else max(int(talk["state"]), _SEEN)
    return _read_header(data, lo, stop, talk)


@helper
def _has_line(data: NDArray[np.uint8], lo: int, hi: int) -> bool:
    """Whether the first line is complete."""
    # Bounds: one byte at a time, below hi.
    here = lo
    while here < hi and be8(data, here) != _LF:
        here += 1
    return here < hi


@helper
def _has_version(data: NDArray[np.uint8], lo: int, end: int) -> bool:
    """Whether "HTTP/" stands in the first line."""
    # Bounds: five bytes are read at `here`, which stays below end - 4.
    for here in range(lo, end - 4):
        if be8(data, here) == _LF:
            return False
        if be8(data, here) == 0x48 and be32(data, here) == _HTTP_WORD:
            return be8(data, here + 4) == 0x2F
    return False


@helper
def _read_header(data: NDArray[np.uint8], lo: int, stop: int, talk: Any) -> int:
    """What the header block says of the body, where some of it is here, and of what comes next."""
    media = _HTTP
    # Bounds: the status stands in bytes 9 to 11.
    is_status = be32(data, lo) == _HTTP_WORD and stop - lo >= 12
    is_upgraded = is_status and be16(data, lo + 9) << 8 | be8(data, lo + 11) == _UPGRADED
    here = lo
    # Bounds: four bytes of each line are read, which begins at most at stop - 4. So two bytes of a
    # body have to be here.
    while here < stop - 4:
        if be8(data, here) != _LF:
            here += 1
            continue
        here += 1
        word = be32(data, here) | _LOWER
        if word >> 16 == 0x2D2A:  # a blank line, with the lower-case bits set
            return media
        # Bounds: names and the beginning of a value are within 13 bytes.
        if stop - here < 13:
            continue
        # "content-type": at 8 stands "type".
        if word == 0x636F6E74 and be32(data, here + 8) | _LOWER == 0x74797065:
            media = _media_type(data, here + 13, stop)
        # "upgrade: websocket".
        if is_upgraded and word == 0x75706772 and be32(data, here + 9) | _LOWER == 0x77656273:
            talk["rule"] = _R_WEBSOCKET
        # "upgrade: h2c".
        if is_upgraded and word == 0x75706772 and be24(data, here + 9) | 0x202020 == 0x683263:
            talk["rule"] = _R_HTTP2
    return _HTTP


@helper
def _media_type(data: NDArray[np.uint8], here: int, end: int) -> int:
    """Label of a Content-Type value."""
    if here < end and be8(data, here) == _SPACE:
        here += 1
    # Bounds: the words below are within the first 20 bytes.
    if end - here < 20:
        return _HTTP
    major = be32(data, here) | _LOWER
    if major == 0x74657874:  # "text/"
        return _xml(data, here + 5)
    if major == 0x696D6167:  # "image/svg+xml"
        return _HTTP_XML if be32(data, here + 6) | 0x202020 == 0x7376672B else _HTTP
    if major != 0x6170706C:  # "application/"
        return _HTTP
    minor = be32(data, here + 12) | _LOWER
    if minor == 0x6A736F6E:  # "json"
        return _HTTP_JSON
    if minor == 0x6F637370:  # "ocsp"
        return _OCSP
    if minor >> 8 == 0x697070:  # "ipp"
        return _IPP
    if minor == 0x70726F62:  # "problem+json"
        return _HTTP_JSON
    if minor in (0x736F6170, 0x7273732B):  # "soap+xml", "rss+xml"
        return _HTTP_XML
    return _xml(data, here + 12)


@helper
def _xml(data: NDArray[np.uint8], here: int) -> int:
    # Bounds: the caller has 20 bytes from the value's beginning, and these are among them.
    word = be16(data, here) << 8 | be8(data, here + 2)
    return _HTTP_XML if word | 0x202020 == 0x786D6C else _HTTP


@helper
def is_sip(data: NDArray[np.uint8], lo: int, hi: int) -> bool:
    """Whether a request line or status line of SIP (RFC 3261 section 7) begins here."""
    end = min(hi, lo + _MAX_HEADER_BYTES)
    # Bounds: "SIP/2.0" is seven bytes; `here` stays below end - 6.
    for here in range(lo, end - 6):
        byte = be8(data, here)
        if byte in (_CR, _LF):
            return False
        if byte == 0x53 and be32(data, here) == _SIP_WORD and be8(data, here + 4) == 0x32:
            return True
    return False


@helper
def sip_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """SIP, with or without a session description behind it; 0 where it is not SIP."""
    if not is_sip(data, lo, hi):
        return 0
    # Bounds: five bytes are read at `here`, which stays below hi - 4.
    for here in range(lo, hi - 4):
        # A blank line, then "v=0" (RFC 8866 section 5.1).
        if be8(data, here) == _LF and be32(data, here + 1) == 0x0D0A763D:
            return _SIP_SDP
    return _SIP


@helper
def plain_label(
    data: NDArray[np.uint8], lo: int, hi: int, talk: Any, label: int, is_proxy: int
) -> int:
    """A protocol that may turn into TLS (STARTTLS and its kin), or, a proxy's, into HTTP."""
    if is_client_hello(data, lo, hi):
        talk["rule"] = _R_TLS
        talk["memory"] = 0
        return AGAIN
    if is_proxy and is_http(data, lo, hi):
        talk["rule"] = _R_HTTP
        return AGAIN
    return label
