"""What a row of the `flow` view is: the statistics of CICFlowMeter, as they ought to be.

First the 76 of CSE-CIC-IDS2018, then what the corrected CICFlowMeter of Engelen, Rimmer and Joosen
adds, then protocol and ports as classes. Published builds compute many of them otherwise;
docs/conformance.md says which.
In the formulas, `f` is the FLOW row (`tapwatch.tables`), fwd is from the initiator, bwd to it,
"payload" is what follows the transport header, and a gap is the time between two packets that
follow one another, 0 where the later one carries the earlier time. Std is the sample standard
deviation (n - 1) and Var its square: both 0 for fewer than two values. What has no value is 0.
"""

import re
from typing import Any, Final, Literal

from tapwatch.features.flow.classes import (
    FIRST_DYNAMIC,
    FIRST_REGISTERED,
    PORT_CLASSES,
    PORTED,
    PROTOCOL_CLASSES,
    PROTOCOLS,
    SERVICES,
)
from tapwatch.features.schema import make_schema, position_type
from tapwatch.tables import Column

_Kind = Literal["int64", "float64"]
_UNIT_WORDS: Final = {"B": "bytes", "us": "microseconds"}


def snake(original: str) -> str:
    """Spell a column of the data set in snake case.

    >>> snake("Flow Byts/s"), snake("TotLen Fwd Pkts"), snake("Fwd Byts/b Avg")
    ('flow_byts_s', 'totlen_fwd_pkts', 'fwd_byts_b_avg')
    """
    return re.sub(r"[^a-z0-9]+", "_", original.lower()).strip("_")


def _column(
    original: str, unit: str, formula: str, meaning: str, dtype: _Kind = "float64"
) -> Column:
    source = f"CICFlowMeter {original}"
    return Column(snake(original), unit, dtype, formula, source, meaning, original)


def _count(original: str, formula: str, meaning: str, unit: str = "1") -> Column:
    return _column(original, unit, formula, meaning, "int64")


#: Statistic -> (formula over {of}, what it is of {of})
_STATISTICS: Final = {
    "Tot": ("sum of {of}", "sum of {of}"),
    "Mean": ("mean of {of}; 0 without any", "mean of {of}"),
    "Std": (
        "sample standard deviation (n - 1) of {of}; 0 for fewer than 2",
        "standard deviation of {of}",
    ),
    "Var": ("sample variance (n - 1) of {of}; 0 for fewer than 2", "variance of {of}"),
    "Max": ("largest of {of}; 0 without any", "largest of {of}"),
    "Min": ("smallest of {of}; 0 without any", "smallest of {of}"),
}


def _statistics(prefix: str, which: str, of: str, unit: str, extremes: _Kind) -> list[Column]:
    """Columns `prefix` + statistic in the order of `which`."""
    return [
        _column(
            f"{prefix} {name}",
            f"{unit}^2" if name == "Var" else unit,
            _STATISTICS[name][0].format(of=of),
            f"{_STATISTICS[name][1].format(of=of)}, in "
            + (f"squared {_UNIT_WORDS[unit]}" if name == "Var" else _UNIT_WORDS[unit]),
            extremes if name in ("Max", "Min") else "float64",
        )
        for name in which.split()
    ]


def _lengths(prefix: str, which: str, whose: str) -> list[Column]:
    return _statistics(prefix, which, f"the payload lengths of {whose}", "B", "int64")


def _times(prefix: str, which: str, of: str) -> list[Column]:
    return _statistics(prefix, which, of, "us", "float64")


def _rate(original: str, amount: str, unit: str, meaning: str) -> Column:
    return _column(original, unit, f"{amount} / flow_duration in s; 0 for duration 0", meaning)


def _flag_count(original: str, flag: str, way: str = "") -> Column:
    side = {"fwd": "fwd packets", "bwd": "bwd packets"}.get(way, "packets of both ways")
    return _count(original, f"number of {side} with {flag} set", f"{side} with {flag}")


def _bulk(way: str) -> list[Column]:
    bulk = "a bulk is 4 or more packets with payload, no gap over 1 s, none with payload against it"
    name = way.capitalize()
    i = "0" if way == "fwd" else "1"
    return [
        _column(
            f"{name} Byts/b Avg",
            "B",
            f"f.bulk_bytes[{i}] / f.bulk_n[{i}]; 0 without bulks",
            f"{way} payload per bulk; {bulk}",
        ),
        _column(
            f"{name} Pkts/b Avg",
            "1",
            f"f.bulk_packets[{i}] / f.bulk_n[{i}]; 0 without bulks",
            f"{way} packets per bulk",
        ),
        _column(
            f"{name} Blk Rate Avg",
            "B/s",
            f"f.bulk_bytes[{i}] / f.bulk_duration_ns[{i}] in s; 0 for duration 0",
            f"{way} payload rate within bulks",
        ),
    ]


def _subflow(original: str, total: str, unit: str) -> Column:
    return _column(
        original,
        unit,
        f"{total} / (f.long_gaps + 1); a gap over 1 s begins another subflow",
        f"{total} per subflow",
    )


_VOLUME: Final = (
    _column("Flow Duration", "us", "f.last_ts_ns - f.first_ts_ns", "first to last packet"),
    _count("Tot Fwd Pkts", "f.packets[0]", "packets from the initiator"),
    _count("Tot Bwd Pkts", "f.packets[1]", "packets to the initiator"),
    _count("TotLen Fwd Pkts", "f.payload_bytes[0]", "payload from the initiator", "B"),
    _count("TotLen Bwd Pkts", "f.payload_bytes[1]", "payload to the initiator", "B"),
    *_lengths("Fwd Pkt Len", "Max Min Mean Std", "fwd packets"),
    *_lengths("Bwd Pkt Len", "Max Min Mean Std", "bwd packets"),
    _rate("Flow Byts/s", "totlen_fwd_pkts + totlen_bwd_pkts", "B/s", "payload rate, both ways"),
    _rate("Flow Pkts/s", "tot_fwd_pkts + tot_bwd_pkts", "1/s", "packet rate, both ways"),
)

_GAPS: Final = (
    *_times("Flow IAT", "Mean Std Max Min", "the gaps between packets, either way"),
    *_times("Fwd IAT", "Tot Mean Std Max Min", "the gaps between fwd packets"),
    *_times("Bwd IAT", "Tot Mean Std Max Min", "the gaps between bwd packets"),
)

_HEADERS: Final = (
    _flag_count("Fwd PSH Flags", "PSH", "fwd"),
    _flag_count("Bwd PSH Flags", "PSH", "bwd"),
    _flag_count("Fwd URG Flags", "URG", "fwd"),
    _flag_count("Bwd URG Flags", "URG", "bwd"),
    _count("Fwd Header Len", "f.header_bytes[0]", "sum of fwd transport headers", "B"),
    _count("Bwd Header Len", "f.header_bytes[1]", "sum of bwd transport headers", "B"),
    _rate("Fwd Pkts/s", "tot_fwd_pkts", "1/s", "fwd packet rate"),
    _rate("Bwd Pkts/s", "tot_bwd_pkts", "1/s", "bwd packet rate"),
    *_lengths("Pkt Len", "Min Max Mean Std Var", "packets of both ways"),
    _flag_count("FIN Flag Cnt", "FIN"),
    _flag_count("SYN Flag Cnt", "SYN"),
    _flag_count("RST Flag Cnt", "RST"),
    _flag_count("PSH Flag Cnt", "PSH"),
    _flag_count("ACK Flag Cnt", "ACK"),
    _flag_count("URG Flag Cnt", "URG"),
    _flag_count("CWE Flag Count", "CWR"),
    _flag_count("ECE Flag Cnt", "ECE"),
)

_RATIOS: Final = (
    _column(
        "Down/Up Ratio",
        "1",
        "tot_bwd_pkts / tot_fwd_pkts, not rounded; 0 without fwd packets",
        "packets to the initiator for each one from it",
    ),
    _column(
        "Pkt Size Avg",
        "B",
        "(totlen_fwd_pkts + totlen_bwd_pkts) / packets of both ways; 0 without any",
        "payload per packet; equal to pkt_len_mean",
    ),
    _column(
        "Fwd Seg Size Avg",
        "B",
        "totlen_fwd_pkts / tot_fwd_pkts; 0 without any",
        "payload per fwd packet; equal to fwd_pkt_len_mean",
    ),
    _column(
        "Bwd Seg Size Avg",
        "B",
        "totlen_bwd_pkts / tot_bwd_pkts; 0 without any",
        "payload per bwd packet; equal to bwd_pkt_len_mean",
    ),
    *_bulk("fwd"),
    *_bulk("bwd"),
    _subflow("Subflow Fwd Pkts", "tot_fwd_pkts", "1"),
    _subflow("Subflow Fwd Byts", "totlen_fwd_pkts", "B"),
    _subflow("Subflow Bwd Pkts", "tot_bwd_pkts", "1"),
    _subflow("Subflow Bwd Byts", "totlen_bwd_pkts", "B"),
)

_TAIL: Final = (
    _count(
        "Init Fwd Win Byts",
        "f.init_window[0]; -1 without one",
        "TCP window of the first fwd packet, unscaled",
        "B",
    ),
    _count(
        "Init Bwd Win Byts",
        "f.init_window[1]; -1 without one",
        "TCP window of the first bwd packet, unscaled",
        "B",
    ),
    _count("Fwd Act Data Pkts", "f.data_packets[0]", "fwd packets with payload"),
    _count(
        "Fwd Seg Size Min",
        "f.header_min_bytes[0]; 0 without fwd packets",
        "shortest fwd transport header (its usual name misleads)",
        "B",
    ),
    *_times(
        "Active",
        "Mean Std Max Min",
        "the active periods (gaps over 5 s part them; the last one counts, of length 0 none)",
    ),
    *_times("Idle", "Mean Std Max Min", "the gaps over 5 s"),
)

_MORE: Final = (
    _flag_count("Fwd RST Flags", "RST", "fwd"),
    _flag_count("Bwd RST Flags", "RST", "bwd"),
    _count("Bwd Act Data Pkts", "f.data_packets[1]", "bwd packets with payload"),
    _count(
        "Bwd Seg Size Min",
        "f.header_min_bytes[1]; 0 without bwd packets",
        "shortest bwd transport header",
        "B",
    ),
    _count(
        "ICMP Code",
        "f.icmp_code where f.has_icmp, else -1",
        "code of the first packet, -1 where that has no ICMP or ICMPv6 header",
    ),
    _count(
        "ICMP Type",
        "f.icmp_type where f.has_icmp, else -1",
        "type of the first packet, -1 where that has no ICMP or ICMPv6 header",
    ),
    _count(
        "Fwd TCP Retrans. Count",
        "f.retransmissions[0]",
        "fwd segments with payload, SYN or FIN that bring nothing beyond the highest sequence "
        "number before them; keep-alives not counted",
    ),
    _count("Bwd TCP Retrans. Count", "f.retransmissions[1]", "the same of bwd segments"),
    _count(
        "Total TCP Retrans. Count",
        "f.retransmissions[0] + f.retransmissions[1]",
        "the same of both ways",
    ),
    _column(
        "Total Connection Flow Time",
        "us",
        "f.last_ts_ns - f.connection_first_ts_ns",
        "first packet of the connection to the last of the flow; cuts by the active timeout do "
        "not part a connection",
    ),
)


def _ports_in_words(field: str) -> str:
    """The whole table: whoever has the formula can compute the class alone."""
    services = (f"{word} of {' '.join(map(str, ports))}" for word, ports in SERVICES.items())
    return (
        f"class of {field} where f.proto is one of {' '.join(map(str, PORTED))}, else none: "
        f"{', '.join(services)}; of others none of 0, system below {FIRST_REGISTERED}, registered "
        f"below {FIRST_DYNAMIC}, dynamic"
    )


def _port_class(name: str, field: str, original: str, whose: str) -> Column:
    meaning = f"port of the {whose}: a well-known service, else its range"
    source = f"CICFlowMeter {original}, as a class"
    return Column(
        name, "1", "int64", _ports_in_words(field), source, meaning, categories=PORT_CLASSES
    )


_CLASSES: Final = (
    Column(
        "protocol",
        "1",
        "int64",
        "class of f.proto: "
        + ", ".join(f"{word} of {number}" for word, number in PROTOCOLS.items())
        + "; else other",
        "CICFlowMeter Protocol, as a class",
        "transport protocol",
        "Protocol",
        categories=PROTOCOL_CLASSES,
    ),
    _port_class("src_port_class", "f.src_port", "Src Port", "initiator"),
    _port_class("dst_port_class", "f.dst_port", "Dst Port", "responder"),
)

FLOW_COLUMNS: Final = (*_VOLUME, *_GAPS, *_HEADERS, *_RATIOS, *_TAIL, *_MORE, *_CLASSES)
FLOW_SCHEMA: Final = make_schema("flow", 2, FLOW_COLUMNS)

FlowAt: Any = position_type("FlowAt", __name__, FLOW_COLUMNS)
#: Position of each column in the matrix, by name.
FLOW_AT: Final = FlowAt(*range(len(FLOW_COLUMNS)))
