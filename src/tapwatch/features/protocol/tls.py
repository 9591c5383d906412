"""TLS, DTLS and QUIC: whose payload is theirs, and which version a conversation has agreed on."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.tables import label_index
from tapwatch.features.protocol.words import be8, be16, be24, be32, helper

_SSL = label_index("SSL")
_SSLV2 = label_index("SSLv2")
_SSLV3 = label_index("SSLv3")
_TLS10 = label_index("TLSv1")
_TLS11 = label_index("TLSv1.1")
_TLS12 = label_index("TLSv1.2")
_TLS13 = label_index("TLSv1.3")
_DTLS = label_index("DTLS")
_DTLS10 = label_index("DTLSv1.0")
_DTLS12 = label_index("DTLSv1.2")
_DTLS13 = label_index("DTLSv1.3")
_DTLS_OLD = label_index("DTLS 1.0 (OpenSSL pre 0.9.8f)")
_QUIC = label_index("QUIC")
_GQUIC = label_index("GQUIC")

# RFC 8446 section 5.1 and appendix B.
_HANDSHAKE: Final = 22
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_RECORD_BYTES: Final = 5
_SUPPORTED_VERSIONS: Final = 43
_MAX_RECORDS: Final = 16
_DTLS_RECORD_BYTES: Final = 13
_CAPWAP_DTLS: Final = 0x0100_0000

_QUIC_V1: Final = 0x0000_0001  # RFC 9000
_QUIC_V2: Final = 0x6B33_43CF  # RFC 9369


@helper
def is_tls_record(data: NDArray[np.uint8], lo: int, hi: int) -> bool:
    """Whether a TLS record begins here."""
    # Bounds: the first three bytes are read behind this line.
    if hi - lo < 3:
        return False
    kind = be8(data, lo)
    return 20 <= kind <= 24 and be8(data, lo + 1) == 3 and be8(data, lo + 2) <= 4


@helper
def is_client_hello(data: NDArray[np.uint8], lo: int, hi: int) -> bool:
    """Whether a TLS conversation begins here, in the middle of another protocol or not."""
    # Bounds: type, version and length of record and message are the first nine bytes.
    if hi - lo < 9 or not is_tls_record(data, lo, hi) or be8(data, lo) != _HANDSHAKE:
        return False
    return be8(data, lo + 5) == _CLIENT_HELLO and be24(data, lo + 6) + 4 <= 1 << 16


@helper
def tls_label(
    data: NDArray[np.uint8], lo: int, hi: int, end: int, talk: Any, is_certain: int
) -> int:
    """Label of a TCP segment that may be TLS; 0 where it is not.

    A Server Hello tells the version of the conversation; before it, each record speaks for itself.
    """
    if not is_tls_record(data, lo, hi):
        return _not_a_record(data, lo, hi, talk, is_certain)
    label = int(talk["memory"])
    here = lo
    for _ in range(_MAX_RECORDS):
        # Bounds: header and first byte of each record that is read; this line makes that safe.
        if hi - here < _RECORD_BYTES + 1 or not is_tls_record(data, here, hi):
            break
        own = _version_label(be8(data, here + 2))
        message = be8(data, here + _RECORD_BYTES)
        record_end = here + _RECORD_BYTES + be16(data, here + 3)
        if be8(data, here) == _HANDSHAKE and message == _SERVER_HELLO and record_end <= hi:
            own = _server_version(data, here + _RECORD_BYTES, record_end)
            talk["memory"] = own
            label = own
        elif int(talk["memory"]) == 0 and record_end <= end:
            if be8(data, here) != _HANDSHAKE:
                talk["memory"] = own
            label = own
        here = record_end
    # A record that goes on in the next segment tells no version.
    return label if label != 0 else _SSL


@helper
def _not_a_record(data: NDArray[np.uint8], lo: int, hi: int, talk: Any, is_certain: int) -> int:
    # Bounds: an SSLv2 hello (draft-hickman-netscape-ssl-00) is told by its first five bytes.
    if hi - lo >= 5 and be8(data, lo) & 0x80 and be8(data, lo + 2) == 1:
        version = be16(data, lo + 3)
        if version == 0x0002 or 0x0300 <= version <= 0x0303:
            return _SSLV2
    if not is_certain:
        return 0
    # Bounds: four bytes of text mean that somebody speaks something else.
    if hi - lo >= 4 and _is_text(be32(data, lo)):
        return 0
    # The middle of a record.
    return int(talk["memory"]) if talk["memory"] != 0 else _SSL


@helper
def _is_text(word: int) -> bool:
    """Whether four bytes are printable ASCII."""
    for _ in range(4):
        byte = word & 0xFF
        if not 0x20 <= byte <= 0x7E:
            return False
        word >>= 8
    return True


@helper
def _version_label(minor: int) -> int:
    if minor == 0:
        return _SSLV3
    if minor == 1:
        return _TLS10
    if minor == 2:
        return _TLS11
    return _TLS12 if minor == 3 else _TLS13


@helper
def _server_version(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """Version of a Server Hello message, RFC 8446 section 4.1.3; `hi` is at most what we have."""
    # Bounds: 4 bytes of header, 2 of version, 32 of random and the session identifier's length.
    if hi - lo < 39:
        return _TLS12 if hi - lo < 6 else _version_label(be8(data, lo + 5))
    legacy = _version_label(be8(data, lo + 5))
    here = lo + 39 + be8(data, lo + 38) + 3  # session identifier, cipher suite, compression
    # Bounds: length of all extensions, then each one's own header before it is read.
    if hi - here < 2:
        return legacy
    here += 2
    while hi - here >= 4:
        kind, n_bytes = be16(data, here), be16(data, here + 2)
        if kind == _SUPPORTED_VERSIONS and n_bytes == 2 and hi - here >= 6:
            chosen = be16(data, here + 4)
            # Drafts of version 1.3 are 0x7fxx, Facebook's 0xfbxx.
            return _TLS13 if chosen == 0x0304 or chosen >> 8 in (0x7F, 0xFB) else legacy
        here += 4 + n_bytes
    return legacy


@helper
def dtls_label(data: NDArray[np.uint8], lo: int, hi: int, talk: Any) -> int:
    """Label of a datagram that may be DTLS (RFC 6347, 9147); 0 where it is not."""
    # Bounds: CAPWAP's preamble (RFC 5415 section 4.2) is four bytes.
    if hi - lo >= 4 and be32(data, lo) == _CAPWAP_DTLS:
        lo += 4
    # Bounds: header of a record and the first byte behind it.
    if hi - lo < _DTLS_RECORD_BYTES + 1:
        return 0
    kind, version = be8(data, lo), be16(data, lo + 1)
    if not 20 <= kind <= 25:
        return 0
    if version == 0xFEFF:
        own = _DTLS10
    elif version == 0xFEFD:
        own = _DTLS12
    elif version == 0xFEFC:
        own = _DTLS13
    elif version == 0x0100:
        own = _DTLS_OLD
    else:
        return 0
    epoch = be16(data, lo + 3)
    message = be8(data, lo + _DTLS_RECORD_BYTES)
    if kind == _HANDSHAKE and epoch == 0:
        if message == _CLIENT_HELLO and talk["memory"] == 0:
            return _DTLS
        # Bounds: the version stands behind the 12 bytes of the message's header.
        if message == _SERVER_HELLO and hi - lo >= _DTLS_RECORD_BYTES + 14:
            chosen = be16(data, lo + _DTLS_RECORD_BYTES + 12)
            talk["memory"] = _DTLS10 if chosen == 0xFEFF else own if chosen == 0x0100 else _DTLS12
    elif talk["memory"] == 0:
        talk["memory"] = own
    return int(talk["memory"]) if talk["memory"] != 0 else own


@helper
def quic_label(data: NDArray[np.uint8], lo: int, hi: int, talk: Any, is_certain: int) -> int:
    """Label of a datagram that may be QUIC (RFC 9000), or Google's forerunner; 0 if neither."""
    # Bounds: a long header's flags, version and first length are six bytes.
    if hi - lo < 6:
        return int(talk["memory"]) if is_certain else 0
    flags = be8(data, lo)
    label = 0
    if flags & 0x80:
        version = be32(data, lo + 1)
        if _is_google(version):
            label = _GQUIC
        elif _is_quic(version) and be8(data, lo + 5) <= 20:
            label = _QUIC
    # Bounds: public header of Google's QUIC: flags, connection, version in 13 bytes.
    elif flags & 0x09 == 0x09 and hi - lo >= 13 and _is_google(be32(data, lo + 9)):
        label = _GQUIC
    if label != 0:
        talk["memory"] = label
        return label
    return int(talk["memory"]) if is_certain else 0


@helper
def _is_google(version: int) -> bool:
    # "Q0" and two digits, but "Q050" and its kin have the header of RFC 9000.
    return version >> 16 == 0x5130 and version & 0xFFFF < 0x3530


@helper
def _is_quic(version: int) -> bool:
    if version in (_QUIC_V1, _QUIC_V2) or version & 0x0F0F_0F0F == 0x0A0A_0A0A:
        return True
    # Drafts, then Facebook's, Google's ("Q05x", "T05x") and Picoquic's own.
    is_draft = version >> 8 == 0xFF_0000
    is_own = version >> 4 == 0x0FACEB00 or version >> 8 in (0x513035, 0x543035)
    return is_draft or is_own or version >> 16 == 0x5043 or version == 0x709A50C4
